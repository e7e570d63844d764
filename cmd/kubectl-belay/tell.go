package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// aboutRun is a command about one run.
func (a *app) aboutRun(cmd *cobra.Command, screen func(context.Context, *session, view.Input) string) *cobra.Command {
	cmd.Args = cobra.MaximumNArgs(1)
	cmd.ValidArgsFunction = a.completeRuns
	o := outputOf(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := a.connect()
		if err != nil {
			return err
		}
		rollout, run, err := s.run(cmd.Context(), first(args))
		if err != nil {
			return err
		}
		if _, ok := o.screen(); !ok {
			return a.print(o, run)
		}
		_, err = fmt.Fprint(a.streams.Out, screen(cmd.Context(), s, view.Input{Rollout: rollout, Run: run, Now: a.now()}))
		return err
	}
	return cmd
}

func (a *app) why() *cobra.Command {
	return a.aboutRun(&cobra.Command{
		Use:   "why [RUN]",
		Short: "Explain why a run ended as it did",
		Long: "Explain on one screen why a run ended as it did: which trigger, what was measured against what, who pushed, what ran, what it cost, and what to do next.\n\n" +
			"RUN is a RolloutRun, or a Rollout for its newest run. Runs stay when their Rollout is deleted.",
		Example: `  kubectl belay why checkout
  kubectl belay why checkout-9fd21c3b07-4
  kubectl belay why checkout -o yaml`,
	}, func(ctx context.Context, s *session, in view.Input) string {
		if in.Rollout == nil {
			return whyScreen(a.pasted(), view.Explain(in), in.Now)
		}
		asked := s.ask(ctx, in.Rollout, askedFor)
		// What to do next depends on what it declares, as far as that may be read.
		if object, err := s.workload(ctx, in.Rollout); err == nil {
			in.Workload = object
		}
		account := view.Explain(in)
		account.Actions, account.Barred = asked.part(in.Rollout, account.Actions)
		return whyScreen(a.pasted(), account, in.Now)
	})
}

func (a *app) log() *cobra.Command {
	return a.aboutRun(&cobra.Command{
		Use:   "log [RUN]",
		Short: "Tell a run's decisions as a story",
		Long:  "Tell all recorded decisions of a run in order, each with its time and its reason. RUN is a RolloutRun, or a Rollout for its newest run.",
		Example: `  kubectl belay log checkout
  kubectl belay log checkout-9fd21c3b07-4`,
	}, func(_ context.Context, _ *session, in view.Input) string {
		p := a.terminal.paint()
		p.line(cell{"Run " + in.Run.Name, bold}, cell{"  started " + in.Run.Spec.StartedAt.UTC().Format(time.RFC3339), dim})
		p.story(view.Story(in.Rollout, in.Run), in.Now)
		return p.String()
	})
}

func (a *app) show() *cobra.Command {
	return a.aboutRun(&cobra.Command{
		Use:   "show [RUN]",
		Short: "Show what a run was judged by: queries, times, counts, hashes",
		Long: "Show everything that a run's triggers were judged by: the query, its time, the counts of both versions, the statistics and the hash of the samples.\n" +
			"-o yaml has the whole record with the pinned inputs.",
		Example: `  kubectl belay show checkout-9fd21c3b07-4
  kubectl belay show checkout-9fd21c3b07-4 -o yaml`,
	}, func(_ context.Context, _ *session, in view.Input) string {
		return showScreen(a.terminal, view.Explain(in), in.Run)
	})
}

func (a *app) history() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history [NAME]",
		Short: "List the runs of a Rollout that have ended",
		Long:  "List the runs of a Rollout that have ended, newest first, also of one that is deleted.",
		Example: `  kubectl belay history checkout
  kubectl belay history checkout -o name`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRollouts,
	}
	o := outputOf(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := a.connect()
		if err != nil {
			return err
		}
		name := bare(first(args))
		rollout, err := s.rollout(cmd.Context(), name)
		if err == nil {
			name = rollout.Name
		} else if name == "" {
			return err
		}
		runs, failed := s.runs(cmd.Context(), name)
		switch {
		case failed != nil && !apierrors.IsForbidden(failed):
			return failed
		case rollout == nil && len(runs) == 0:
			return err
		}
		if _, ok := o.screen(); !ok {
			return a.print(o, &v1alpha1.RolloutRunList{Items: runs})
		}
		ended := view.History(rollout, runs)
		if len(ended) == 0 {
			_, err := fmt.Fprintln(a.streams.Out, "No run has ended yet.")
			return err
		}
		_, err = fmt.Fprint(a.streams.Out, historyScreen(a.terminal, ended, a.now()))
		return err
	}
	return cmd
}

// completeRollouts completes the names of Rollouts.
func (a *app) completeRollouts(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	_, names, directive := a.rolloutNames(cmd.Context(), args)
	return names, directive
}

// completeRuns completes the names of Rollouts and of runs.
func (a *app) completeRuns(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, names, directive := a.rolloutNames(cmd.Context(), args)
	runs := &v1alpha1.RolloutRunList{}
	if s != nil && s.List(cmd.Context(), runs, client.InNamespace(s.namespace)) == nil {
		for i := range runs.Items {
			names = append(names, runs.Items[i].Name+"\t"+string(runs.Items[i].Status.Outcome))
		}
	}
	return names, directive
}

// rolloutNames completes a first argument, and returns the session that it read with; nil
// when there is nothing to complete.
func (a *app) rolloutNames(ctx context.Context, args []string) (*session, []string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := a.connect()
	if err != nil {
		return nil, nil, cobra.ShellCompDirectiveError
	}
	list, err := s.rollouts(ctx)
	if err != nil {
		return nil, nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name+"\t"+string(view.StateOf(&list.Items[i])))
	}
	return s, names, cobra.ShellCompDirectiveNoFileComp
}
