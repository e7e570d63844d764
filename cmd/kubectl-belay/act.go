package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// commandManager is the field manager of commands. It does not begin with kubectl: Flux
// removes what managers of that name wrote, and with it the command before it is read.
const commandManager = "belay-cli"

// pollEvery is how often an effect is looked for.
const pollEvery = 500 * time.Millisecond

// longestReason is what the record keeps of a reason.
const longestReason = 256

// order is a command and what to say of its effect.
type order struct {
	action v1alpha1.Action
	// useless says why the command would have no effect now; empty when it has one.
	useless func(*v1alpha1.Rollout) string
	// done reports whether the effect on the candidate of that revision is there, or why
	// it will not come. Before is the Rollout as the command found it.
	done func(r, before *v1alpha1.Rollout, revision string) (bool, error)
	// within is how long that may take, 2 minutes unless it is set.
	within time.Duration
	// owned is what to know where a GitOps tool writes the workload, of the candidate's
	// tag; nil when that does not matter.
	owned func(candidate string) string
}

func (a *app) abort() *cobra.Command {
	return a.command(&cobra.Command{
		Use:   "abort [NAME]",
		Short: "Roll the candidate back and reject it",
		Long: "Roll the candidate back and reject it: all requests go to the stable version, and the candidate gets no run again until it is retried.\n\n" +
			"The command is for the candidate of now: if another version is pushed meanwhile, it is refused.",
		Example: `  kubectl belay abort checkout --reason "customers see wrong prices"`,
	}, order{
		action: v1alpha1.ActionAbort,
		useless: func(r *v1alpha1.Rollout) string {
			switch r.Status.Phase {
			case "", v1alpha1.PhaseStable:
				return "There is nothing to abort: no candidate is on trial. kubectl belay rollback goes back to the version before."
			case v1alpha1.PhaseRolledBack:
				return "There is nothing to abort: " + view.Tag(r.Status.Candidate) + " is rolled back already. kubectl belay why tells why."
			default:
				return ""
			}
		},
		done:  aborted,
		owned: func(tag string) string { return fmt.Sprintf("it goes on declaring %s. Revert that there.", tag) },
	})
}

// aborted is whether a version is out of service. One that was promoted before the command
// came to it is not.
func aborted(r, _ *v1alpha1.Rollout, revision string) (bool, error) {
	s := &r.Status
	if s.Phase == v1alpha1.PhaseStable && s.Stable != nil && s.Stable.Revision == revision {
		return false, exit{exitNo, "Too late: " + view.Tag(s.Stable) + " was promoted before, and serves. kubectl belay rollback goes back to the version before it."}
	}
	replaced := s.Candidate == nil || s.Candidate.Revision != revision
	return replaced || s.Phase == v1alpha1.PhaseRolledBack, nil
}

func (a *app) retry() *cobra.Command {
	return a.command(&cobra.Command{
		Use:     "retry [NAME]",
		Short:   "Let a rejected version run once more",
		Long:    "Let the rejected version that the workload still declares run once more, from its first step. It is judged like any other.",
		Example: `  kubectl belay retry checkout --reason "the database is back"`,
	}, order{
		action: v1alpha1.ActionRetry,
		useless: func(r *v1alpha1.Rollout) string {
			if r.Status.Phase != v1alpha1.PhaseRolledBack {
				return fmt.Sprintf("There is nothing to retry: no version is rolled back, the Rollout is %s.", view.StateOf(r))
			}
			return ""
		},
		done: func(r, _ *v1alpha1.Rollout, _ string) (bool, error) {
			return r.Status.Phase != v1alpha1.PhaseRolledBack, nil
		},
	})
}

// given is what a person gives with a command that acts.
type given struct {
	reason  string
	timeout time.Duration
}

// target is the step and the version that a person has looked at, of a command about a step.
// A line that is pasted twice, or late, names another one than is in progress then.
type target struct {
	step     int32
	revision string
}

// misses says why the Rollout is not where the person means; nil when it is.
func (t target) misses(at terminal, r *v1alpha1.Rollout, command string) error {
	s := &r.Status
	if s.Step == nil || s.Candidate == nil {
		return nil
	}
	step := s.Step.Index + 1
	switch is := fmt.Sprintf("%s is in step %d", view.Tag(s.Candidate), step); {
	case t.step == 0:
		line := at.toPaste(command, r.Name, r.Namespace, fmt.Sprintf("--step %d", step), "--revision "+view.Text(s.Candidate.Revision, 64))
		return usage(fmt.Errorf("--step is missing: %s. If that is the one you have looked at: %s", is, line))
	case t.revision != "" && t.revision != s.Candidate.Revision:
		return exit{exitNo, fmt.Sprintf("Not given: it is for revision %q, and the candidate is %s. Look at that with kubectl belay status.", view.Text(t.revision, 64), view.Text(s.Candidate.Revision, 64))}
	case t.step != step:
		return exit{exitNo, fmt.Sprintf("Not given: it is for step %d, and %s. Look at that with kubectl belay status.", t.step, is)}
	default:
		return nil
	}
}

// unnamed says what is missing of the override of a freeze, or that it is for another version;
// nil when nothing is.
func (t target) unnamed(at terminal, r *v1alpha1.Rollout, reason string) error {
	c := r.Status.Candidate
	switch {
	case c == nil:
		return nil
	case t.revision == "" || reason == "":
		line := at.toPaste("override-freeze", r.Name, r.Namespace, "--revision "+view.Text(c.Revision, 64), `--reason "…"`)
		return usage(fmt.Errorf("it needs --revision and --reason: the candidate is %s. If that is the one you have looked at: %s", view.Tag(c), line))
	case t.revision != c.Revision:
		return exit{exitNo, fmt.Sprintf("Not given: it is for revision %q, and the candidate is %s. Look at that with kubectl belay status.", view.Text(t.revision, 64), view.Text(c.Revision, 64))}
	default:
		return nil
	}
}

// flags are those by which a person names what they have looked at, where a command needs that.
func (o order) flags(cmd *cobra.Command) *target {
	at := &target{}
	switch {
	case o.action.OfStep():
		cmd.Flags().Int32Var(&at.step, "step", 0, "the step that you have looked at, counted from 1; needed, and refused when another one is in progress")
		cmd.Flags().StringVar(&at.revision, "revision", "", "the candidate that you have looked at; refused when it is another one")
	case o.action == v1alpha1.ActionOverrideFreeze:
		cmd.Flags().StringVar(&at.revision, "revision", "", "the candidate that you have looked at; needed, and refused when it is another one")
	}
	return at
}

// misses says what is missing of them, or that the Rollout is not where the person means.
func (o order) misses(at *target, t terminal, r *v1alpha1.Rollout, command, reason string) error {
	switch {
	case o.action.OfStep():
		return at.misses(t, r, command)
	case o.action == v1alpha1.ActionOverrideFreeze:
		return at.unnamed(t, r, reason)
	default:
		return nil
	}
}

// acting lets a command take a NAME, --reason and --timeout, and do something about the
// Rollout of that name.
func (a *app) acting(cmd *cobra.Command, reason string, timeout time.Duration, wait string, do func(context.Context, *session, *v1alpha1.Rollout, given) error) *cobra.Command {
	var g given
	cmd.Args, cmd.ValidArgsFunction = cobra.MaximumNArgs(1), a.completeRollouts
	cmd.Flags().StringVar(&g.reason, "reason", "", reason)
	cmd.Flags().DurationVar(&g.timeout, "timeout", timeout, wait)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(g.reason) > longestReason {
			return usage(fmt.Errorf("--reason has %d bytes, at most %d are kept", len(g.reason), longestReason))
		}
		s, rollout, err := a.open(cmd.Context(), args)
		if err != nil {
			return err
		}
		return do(cmd.Context(), s, rollout, g)
	}
	return cmd
}

func (a *app) command(cmd *cobra.Command, o order) *cobra.Command {
	cmd.Long += fmt.Sprintf("\n\nIt needs the verbs get, patch and %s on the Rollout, and list to find it without a NAME.", strings.ToLower(string(o.action)))
	const reason, wait = "why; it is kept in the record with your name", "how long to wait for the effect; 0 only gives the command"
	if o.within == 0 {
		o.within = 2 * time.Minute
	}
	at := o.flags(cmd)
	return a.acting(cmd, reason, o.within, wait, func(ctx context.Context, s *session, rollout *v1alpha1.Rollout, g given) error {
		if why := o.useless(rollout); why != "" {
			if push := s.unseenBy(ctx, rollout); push != "" {
				why = fmt.Sprintf("There is nothing to %s yet. %s. kubectl belay rollback takes the push back now.", cmd.Name(), push)
			}
			return exit{exitNo, why}
		}
		if err := o.misses(at, a.pasted(), rollout, cmd.Name(), g.reason); err != nil {
			return err
		}
		if o.owned != nil {
			if object, err := s.workload(ctx, rollout); err == nil {
				a.warnOfOwner(object, o.owned(view.Tag(rollout.Status.Candidate)))
			}
		}
		token, revision := rand.Text(), ""
		if c := rollout.Status.Candidate; c != nil {
			revision = c.Revision
		}
		if err := s.give(ctx, rollout, o.action, token, g.reason); err != nil {
			return fmt.Errorf("%s was not given: %w", o.action, err)
		}
		fmt.Fprintf(a.streams.Out, "%s of %s given to Rollout %s.\n", o.action, view.Tag(rollout.Status.Candidate), rollout.Name)
		if g.timeout == 0 {
			return nil
		}
		end, answered := "", false
		err := a.follow(ctx, s, rollout, g.timeout, func(r *v1alpha1.Rollout) (bool, error) {
			if !r.Status.Handled(token) {
				return false, nil
			}
			answered = true
			if last := r.Status.LastHandledAction; last != nil && last.Token == token && last.Refused != "" {
				return false, exit{exitNo, "Refused: " + view.Text(last.Refused, 512)}
			}
			done, err := o.done(r, rollout, revision)
			if done {
				end = view.Rollout(view.Input{Rollout: r, Now: a.now()}).Headline
			}
			return done, err
		})
		if err == nil {
			fmt.Fprintf(a.streams.Out, "Rollout %s: %s\n", rollout.Name, end)
		}
		if late := (exit{}); errors.As(err, &late) && late.code == exitTimeout && !answered {
			return exit{exitTimeout, intoTheVoid(o.action, g.timeout)}
		}
		return err
	})
}

// intoTheVoid says what becomes of a command that nobody has answered in time.
func intoTheVoid(action v1alpha1.Action, timeout time.Duration) string {
	said := fmt.Sprintf("Time out after %s: Belay has not answered yet. %s is kept, and carried out when Belay is back. kubectl belay doctor tells whether its controller runs.", view.Short(timeout), action)
	if action == v1alpha1.ActionAbort {
		said += "\nIf users see errors now, take the canary's requests away without Belay: docs/runbook.md#take-the-canarys-requests-away"
	}
	return said
}

// unseenBy says which push is neither stable nor the candidate; empty when there is none, or when
// the workload cannot be read.
func (s *session) unseenBy(ctx context.Context, r *v1alpha1.Rollout) string {
	object, err := s.workload(ctx, r)
	if err != nil {
		return ""
	}
	return view.Unseen(view.Input{Rollout: r, Workload: object, Now: s.now()})
}

// give writes a command for the present candidate.
func (s *session) give(ctx context.Context, r *v1alpha1.Rollout, action v1alpha1.Action, token, reason string) error {
	// An annotation that is null is removed: an earlier command's does not stay.
	values := map[string]any{v1alpha1.AnnotationAction: action, v1alpha1.AnnotationActionToken: token,
		v1alpha1.AnnotationActionRevision: nil, v1alpha1.AnnotationActionStep: nil, v1alpha1.AnnotationActionReason: nil}
	if r.Status.Step != nil && action.OfStep() {
		values[v1alpha1.AnnotationActionStep] = strconv.Itoa(int(r.Status.Step.Index) + 1)
	}
	if r.Status.Candidate != nil {
		values[v1alpha1.AnnotationActionRevision] = r.Status.Candidate.Revision
	}
	if reason != "" {
		values[v1alpha1.AnnotationActionReason] = reason
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": values}})
	if err != nil {
		return err
	}
	return s.Patch(ctx, r.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(commandManager))
}

// repeatEvery is how often a message is written that only counts on.
const repeatEvery = 15 * time.Second

// progress tells when to write a message: at once for another decision or verdict, and else
// every 15 s at most.
type progress struct {
	key, message string
	at           time.Time
}

func progressOf(r *v1alpha1.Rollout, at time.Time) progress {
	p := progress{key: string(r.Status.Phase), message: inShort(r.Status.Message), at: at}
	if d := r.Status.Decision; d != nil {
		p.key += " " + d.Rule + " " + d.Key
	}
	for _, v := range r.Status.Verdicts {
		p.key += " " + v.Guardrail + "/" + v.Trigger + string(v.Outcome) + v.Reason
	}
	return p
}

// after is whether it is worth a line after the last one that was written.
func (p progress) after(last progress) bool {
	return p.message != "" && p.message != last.message && (p.key != last.key || p.at.Sub(last.at) >= repeatEvery)
}

// interval is what a verdict says of a ratio beside its counts.
var interval = regexp.MustCompile(`, 95 % interval [^)]*`)

// inShort is a message without what kubectl belay status says too: intervals, and what comes
// after the ratios of both versions.
func inShort(message string) string {
	if said, _, cut := strings.Cut(message, "; burn "); cut {
		message = said
	}
	return view.Text(interval.ReplaceAllString(message, ""), 300)
}

// follow writes the messages of a Rollout that are new to what was read before, until done,
// an error, or the time is over.
func (a *app) follow(ctx context.Context, s *session, before *v1alpha1.Rollout, timeout time.Duration, done func(*v1alpha1.Rollout) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	every := time.NewTicker(pollEvery)
	defer every.Stop()
	said := progressOf(before, s.now())
	last := said.message
	for {
		r, err := s.rollout(ctx, before.Name)
		switch {
		case err != nil && ctx.Err() == nil && !transient(err):
			return err
		case err == nil:
			over, err := done(r)
			now := progressOf(r, s.now())
			if now.after(said) || over && now.message != said.message && now.message != "" {
				fmt.Fprintln(a.streams.Out, now.at.UTC().Format("15:04:05Z")+"  "+now.message)
				said = now
			}
			last = now.message
			if err != nil || over {
				return err
			}
		}
		select {
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				return exit{exitTimeout, fmt.Sprintf("Time out after %s. The last that Belay said: %s", view.Short(timeout), cmp.Or(last, "nothing yet"))}
			}
			return ctx.Err()
		case <-every.C:
		}
	}
}

// transient errors of the API server are not the end of a wait, nor is that the time that is
// left is too short for another request.
func transient(err error) bool {
	return strings.Contains(err.Error(), "would exceed context deadline") || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) || strings.Contains(err.Error(), "connection refused")
}
