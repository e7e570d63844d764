package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

func testApp() (*app, *bytes.Buffer, *bytes.Buffer) {
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	return &app{flags: genericclioptions.NewConfigFlags(false), streams: streams, terminal: terminal{width: 100}, now: time.Now, every: time.Millisecond}, out, errOut
}

// TestColoursCarryNothing: the same screen with colours has the same words, and without
// them no escape sequence.
func TestColoursCarryNothing(t *testing.T) {
	escapes := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for name := range moments {
		in := read(t, name)
		screen := view.Rollout(in)
		plain := statusScreen(terminal{width: 100}, screen, in.Now, nil)
		coloured := statusScreen(terminal{width: 100, colour: true}, screen, in.Now, nil)
		if strings.Contains(plain, "\x1b") {
			t.Errorf("%s: an escape sequence without colours", name)
		}
		if !escapes.MatchString(coloured) || escapes.ReplaceAllString(coloured, "") != plain {
			t.Errorf("%s: the words differ with colours:\n%s", name, coloured)
		}
	}
}

// TestNothingFromOutsideControlsTheTerminal: every text of the objects is hostile.
func TestNothingFromOutsideControlsTheTerminal(t *testing.T) {
	const hostile = "\x1b]0;title\x07\x1b[2J\u202e\u009b1mtext\nsecond line"
	for name := range moments {
		in := read(t, name)
		s, now := &in.Rollout.Status, in.Now
		s.Message, s.Serving = hostile, hostile
		s.Refusal = &v1alpha1.Refusal{Effect: hostile, Message: hostile}
		for i := range s.Conditions {
			s.Conditions[i].Reason, s.Conditions[i].Message = hostile, hostile
		}
		for i := range s.Verdicts {
			s.Verdicts[i].Message, s.Verdicts[i].Reason, s.Verdicts[i].Trigger = hostile, hostile, hostile
		}
		for i := range s.History {
			s.History[i].Message, s.History[i].Trigger, s.History[i].Run, s.History[i].Image = hostile, hostile, hostile, hostile
		}
		in.Workload.SetAnnotations(map[string]string{v1alpha1.AnnotationPushedBy: hostile})
		text := statusScreen(terminal{width: 100}, view.Rollout(in), now, nil)
		text += listScreen(terminal{width: 100}, []view.Row{view.RowOf(view.Input{Rollout: in.Rollout, Now: now}, hostile)}, now, true, true)
		if in.Run != nil {
			run := in.Run
			run.Spec.StartedBy, run.Spec.Image, run.Status.Message, run.Status.Trigger = hostile, hostile, hostile, hostile
			for i := range run.Status.Decisions {
				run.Status.Decisions[i].Why, run.Status.Decisions[i].Actor = hostile, hostile
			}
			for i := range run.Status.Analysis.Triggers {
				trigger := &run.Status.Analysis.Triggers[i]
				trigger.Query, trigger.Message, trigger.SamplesSHA256 = hostile, hostile, hostile
				trigger.Statistics = append(trigger.Statistics, v1alpha1.Statistic{Name: hostile, Value: hostile})
			}
			account := view.Explain(view.Input{Rollout: in.Rollout, Run: run, Now: in.Now})
			text += whyScreen(terminal{width: 100}, account, now) + showScreen(terminal{width: 100}, account, run)
			text += historyScreen(terminal{width: 100}, view.History(in.Rollout, []v1alpha1.RolloutRun{*run}), now)
		}
		if i := strings.IndexAny(text, "\x1b\x07\u202e\u009b"); i >= 0 {
			t.Errorf("%s: control characters from outside: %q", name, text[i:min(len(text), i+60)])
		}
		if !strings.Contains(text, "second line") {
			t.Errorf("%s: the text itself is gone", name)
		}
	}
}

func TestWrapping(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"one two three":          "one two|three",
		"abcdefghijklmnopqr end": "abcdefghij|klmnopqr|end",
	} {
		if got := strings.Join(wrap(text, 10), "|"); got != want {
			t.Errorf("%q is wrapped to %q, want %q", text, got, want)
		}
	}
}

// TestNarrowTables drop what is at the right.
func TestNarrowTables(t *testing.T) {
	rows := [][]cell{header("NAME", "STATE", "MESSAGE"), {{"checkout", bold}, {"holding", yellow}, {"a long message of the planner", plain}}}
	for width, want := range map[int]string{60: "NAME      STATE    MESSAGE\ncheckout  holding  a long message of the planner\n",
		35: "NAME      STATE    MESSAGE\ncheckout  holding  a long message …\n", 22: "NAME      STATE\ncheckout  holding\n", 10: "NAME\ncheckout\n"} {
		p := terminal{width: width}.paint()
		p.table(0, rows)
		if p.String() != want {
			t.Errorf("in %d columns:\n%s", width, p.String())
		}
	}
}

// TestExitCodes holds them to the page that promises them.
func TestExitCodes(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, text := range map[int]string{exitOK: "done", exitNo: "answer is no", exitError: "error", exitUnknown: "no answer", exitRolledBack: "rolled back",
		exitSuperseded: "another version", exitCancelled: "stable version", exitBypassed: "without being judged", exitTimeout: "time out", exitInterrupted: "interrupted"} {
		for where, all := range map[string]string{"docs/cli.md": string(page), "--help": exitCodes} {
			if !regexp.MustCompile(fmt.Sprintf(`(?m)^[| ]+%d\b.*%s`, code, text)).MatchString(all) {
				t.Errorf("%s does not say that %d means %q", where, code, text)
			}
		}
	}
	a, _, _ := testApp()
	for _, cmd := range a.root().Commands() {
		if cmd.IsAvailableCommand() && !strings.Contains(string(page), "\n| `"+strings.ReplaceAll(strings.TrimPrefix(cmd.Use, "kubectl-belay "), "|", `\|`)) {
			t.Errorf("docs/cli.md has no row for %s", cmd.Use)
		}
		if cmd.Example == "" || cmd.Long == "" || cmd.Args == nil {
			t.Errorf("%s teaches nothing: it needs a Long, an Example and Args", cmd.Name())
		}
	}
	for _, c := range []struct {
		err  error
		code int
		said string
	}{
		{nil, 0, ""}, {context.Canceled, 130, ""}, {errors.New("no\x1b[31mthing"), 2, "error: no[31mthing\n"}, {exit{exitTimeout, "Time out"}, 14, "Time out\n"},
		{fmt.Errorf("wrapped: %w", exit{exitRolledBack, ""}), 10, ""}, {usage(errors.New("wrong")), 2, "error: wrong\n"},
	} {
		out := &bytes.Buffer{}
		if code := codeOf(c.err, out); code != c.code || out.String() != c.said {
			t.Errorf("%v: %d, %q", c.err, code, out)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"status", "a", "b"}, {"status", "--nothing"}, {"nothing"}, {"list", "name"}, {"wait", "a", "--revision", "b", "--image", "c"}, {"init", "a", "--hold", "soon"}, {"init", "a", "--hold", "200h"}} {
		a, _, _ := testApp()
		root := a.root()
		root.SetArgs(args)
		if code := codeOf(root.ExecuteContext(t.Context()), &bytes.Buffer{}); code != exitError {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

func TestHelpTeaches(t *testing.T) {
	a, out, _ := testApp()
	root := a.root()
	root.SetOut(out)
	root.SetArgs([]string{"status", "--help"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kubectl belay status [NAME] [flags]", "Examples:", "--namespace", "kubectl belay status checkout -w"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out.String(), "--tls-server-name") {
		t.Errorf("the flags of the connection hide the others:\n%s", out)
	}
}

// TestWatchingAppendsWhereNothingCanBeRedrawn, and redraws on a terminal. The last screen
// stays.
func TestWatching(t *testing.T) {
	frames := []frame{{"one\n", "1", "a"}, {"one again\n", "1 again", "a"}, {"two\n", "2", "b"}}
	play := func(live bool) string {
		a, out, errOut := testApp()
		a.terminal.live = live
		ctx, stop := context.WithCancel(t.Context())
		n := -1
		err := a.repeat(ctx, true, func(context.Context) (frame, error) {
			if n++; n == 3 {
				return frame{}, errors.New("connection refused")
			} else if n > 3 {
				stop()
				return frame{}, ctx.Err()
			}
			return frames[n], nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out.String() + errOut.String()
	}
	if got := play(false); got != "1\n2\nerror: connection refused\n" {
		t.Errorf("appended %q", got)
	}
	got := play(true)
	for _, want := range []string{enterScreen + home + "one" + eraseLine + "\n" + eraseRest, home + "two" + eraseLine, staleMark + "connection refused", leaveScreen + "two\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in %q", want, got)
		}
	}
	if got := (terminal{height: 4}).crop("1\n2\n3\n4\n5\n"); got != "1\n2\n…\n" {
		t.Errorf("cropped to %q", got)
	}
}

func TestGitOpsOwners(t *testing.T) {
	object := func(change func(*unstructured.Unstructured)) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{}}
		change(o)
		return o
	}
	for want, o := range map[string]*unstructured.Unstructured{
		"": object(func(o *unstructured.Unstructured) {
			o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kubectl-client-side-apply"}})
		}),
		"the Argo CD application checkout": object(func(o *unstructured.Unstructured) {
			o.SetAnnotations(map[string]string{"argocd.argoproj.io/tracking-id": "checkout:apps/Deployment:shop/checkout"})
		}),
		"the Flux Kustomization apps": object(func(o *unstructured.Unstructured) {
			o.SetLabels(map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"})
		}),
		"Flux (kustomize-controller)": object(func(o *unstructured.Unstructured) {
			o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "kustomize-controller"}})
		}),
		"the Helm release shop": object(func(o *unstructured.Unstructured) {
			o.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "Helm"})
			o.SetAnnotations(map[string]string{"meta.helm.sh/release-name": "shop"})
		}),
	} {
		if got := gitOpsOwner(o); got != want {
			t.Errorf("the owner is %q, want %q", got, want)
		}
	}
}

func TestTheVersionToGoBackTo(t *testing.T) {
	stable, candidate := &v1alpha1.Revision{Revision: "stable"}, &v1alpha1.Revision{Revision: "candidate"}
	before := []v1alpha1.PreviousRevision{{Revision: "before"}, {Revision: "older"}}
	promoted := []v1alpha1.HistoryEntry{{Run: "two", Revision: "stable"}, {Run: "one", Revision: "before"}}
	run := func(rule string) []v1alpha1.RolloutRun {
		r := v1alpha1.RolloutRun{}
		r.Name, r.Status.Decisions = "two", []v1alpha1.DecisionRecord{{Rule: rule}}
		return []v1alpha1.RolloutRun{r}
	}
	for name, c := range map[string]struct {
		status   v1alpha1.RolloutStatus
		declared string
		to       string
		runs     []v1alpha1.RolloutRun
		want     string
	}{
		"on trial":                   {v1alpha1.RolloutStatus{Stable: stable, Candidate: candidate, Previous: before}, "candidate", "", nil, "stable"},
		"pushed, not seen yet":       {v1alpha1.RolloutStatus{Stable: stable, Previous: before}, "pushed", "", nil, "stable"},
		"stable":                     {v1alpha1.RolloutStatus{Stable: stable, Previous: before, History: promoted}, "stable", "", run("RunStarts"), "before"},
		"adopted, and nothing since": {v1alpha1.RolloutStatus{Stable: stable, Previous: before}, "stable", "", nil, "before"},
		"returning":                  {v1alpha1.RolloutStatus{Stable: stable, Candidate: &v1alpha1.Revision{Revision: "before"}, Previous: before}, "before", "", nil, ""},
		"returning, not seen yet":    {v1alpha1.RolloutStatus{Stable: stable, Previous: before}, "before", "", nil, ""},
		"returned":                   {v1alpha1.RolloutStatus{Stable: stable, Previous: before, History: promoted}, "stable", "", run("RevertStarts"), ""},
		"returned, or not":           {v1alpha1.RolloutStatus{Stable: stable, Previous: before, History: promoted}, "stable", "", nil, ""},
		"returned, another is named": {v1alpha1.RolloutStatus{Stable: stable, Previous: before, History: promoted}, "stable", "older", run("RevertStarts"), "older"},
		"named":                      {v1alpha1.RolloutStatus{Stable: stable}, "stable", "named", nil, "named"},
		"named, and rejected":        {v1alpha1.RolloutStatus{Stable: stable, Rejected: []v1alpha1.RejectedRevision{{Revision: "named"}}}, "stable", "named", nil, ""},
		"rejected, but stable since": {v1alpha1.RolloutStatus{Stable: &v1alpha1.Revision{Revision: "named"}, Rejected: []v1alpha1.RejectedRevision{{Revision: "named"}}}, "pushed", "named", nil, "named"},
		"nothing before":             {v1alpha1.RolloutStatus{Stable: stable}, "stable", "", nil, ""},
		"not adopted":                {v1alpha1.RolloutStatus{}, "pushed", "", nil, ""},
	} {
		got, err := targetOf(&v1alpha1.Rollout{Status: c.status}, c.declared, c.to, c.runs)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestAnAbortThatCameTooLateIsAnError(t *testing.T) {
	stable, candidate := &v1alpha1.Revision{Revision: "stable"}, &v1alpha1.Revision{Revision: "candidate"}
	for name, c := range map[string]struct {
		status v1alpha1.RolloutStatus
		done   bool
		fails  bool
	}{
		"going back":           {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseRollingBack, Stable: stable, Candidate: candidate}, false, false},
		"back":                 {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseRolledBack, Stable: stable, Candidate: candidate}, true, false},
		"nothing is left":      {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable, Stable: stable}, true, false},
		"a newer one is there": {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseGating, Stable: stable, Candidate: &v1alpha1.Revision{Revision: "newer"}}, true, false},
		"promoted":             {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable, Stable: candidate}, false, true},
		"being promoted":       {v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseHandingOver, Stable: stable, Candidate: candidate}, false, false},
	} {
		done, err := aborted(&v1alpha1.Rollout{Status: c.status}, nil, "candidate")
		if done != c.done || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v", name, done, err)
		}
	}
}

// TestHelpNamesTheVerbs: a command reads the Rollout and patches its annotations, which the
// verb of its name does not cover.
func TestHelpNamesTheVerbs(t *testing.T) {
	for _, name := range []string{"abort", "retry", "promote", "skip", "approve", "pause", "resume"} {
		a, _, _ := testApp()
		cmd, _, err := a.root().Find([]string{name})
		if err != nil || !strings.Contains(cmd.Long, "the verbs get, patch and "+name+" on the Rollout") {
			t.Errorf("%s: %v, %s", name, err, cmd.Long)
		}
	}
}

// TestAPrintedListNamesItsKinds: what -o yaml prints can be applied.
func TestAPrintedListNamesItsKinds(t *testing.T) {
	for want, list := range map[string]runtime.Object{
		"kind: Rollout\n":    &v1alpha1.RolloutList{Items: make([]v1alpha1.Rollout, 2)},
		"kind: RolloutRun\n": &v1alpha1.RolloutRunList{Items: make([]v1alpha1.RolloutRun, 2)},
	} {
		a, out, _ := testApp()
		cmd := &cobra.Command{}
		o := outputOf(cmd)
		if err := errors.Join(cmd.Flags().Set("output", "yaml"), a.print(o, list)); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), want); n != 2 {
			t.Errorf("%d times %q in:\n%s", n, want, out)
		}
	}
}
