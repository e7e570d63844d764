package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// moments are when each of testdata's situations is looked at. Their objects are written by
// hand around config/samples/rolloutrun.yaml: no controller made them. The figures of
// trigger availability, and of held, are invented in the judge's words, and the records of
// promoted and bypassed end early.
var moments = map[string]string{
	"progressing": "2026-11-20T14:05:13Z", "held": "2026-11-20T14:09:20Z", "rolled-back": "2026-11-20T14:26:00Z",
	"promoted": "2026-11-20T17:00:00Z", "budget": "2026-11-20T14:05:10Z", "bypassed": "2026-11-20T15:00:00Z",
}

// realMoments are those of one real release, the bad one of docs/guide.md on the local
// cluster, with the objects as kubectl printed them.
var realMoments = map[string]string{"recorded-step": "2026-11-27T01:27:45Z", "recorded-end": "2026-11-27T01:28:48Z"}

// read decodes the objects of a situation.
func read(t *testing.T, name string) view.Input {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	moment, ok := moments[name]
	if !ok {
		moment = realMoments[name]
	}
	now, err := time.Parse(time.RFC3339, moment)
	if err != nil {
		t.Fatal(err)
	}
	in := view.Input{Now: now}
	into := func(o *unstructured.Unstructured, object any) {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, object); err != nil {
			t.Fatalf("%s: %s %s: %v", name, o.GetKind(), o.GetName(), err)
		}
	}
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return in
		} else if err != nil {
			t.Fatal(err)
		}
		switch o.GetKind() {
		case "Rollout":
			in.Rollout = &v1alpha1.Rollout{}
			into(o, in.Rollout)
		case "RolloutRun":
			in.Run = &v1alpha1.RolloutRun{}
			into(o, in.Run)
		case "Deployment":
			in.Workload = o
		case "Pod":
			pod := corev1.Pod{}
			into(o, &pod)
			in.Pods = append(in.Pods, pod)
		case "Guardrail":
			g := v1alpha1.Guardrail{}
			into(o, &g)
			in.Guardrails = append(in.Guardrails, g)
		default:
			t.Fatalf("%s: a %s", name, o.GetKind())
		}
	}
}

// TestGoldenScreens holds every screen in two widths to what was reviewed.
// go test ./cmd/kubectl-belay -update writes them anew.
func TestGoldenScreens(t *testing.T) {
	for name := range moments {
		for _, width := range []int{80, 140} {
			in, at := read(t, name), terminal{width: width}
			screens := map[string]string{"status": statusScreen(at, view.Rollout(in), in.Now, nil)}
			if in.Run != nil {
				screens["why"] = whyScreen(at, view.Explain(in), in.Now)
			}
			if name == "rolled-back" {
				screens["show"] = showScreen(at, view.Explain(in), in.Run)
				addProofs(screens, at, in)
				p := at.paint()
				p.story(view.Story(in.Rollout, in.Run), in.Now)
				screens["log"] = p.String()
			}
			for kind, text := range screens {
				golden(t, fmt.Sprintf("%s.%s.%d.txt", name, kind, width), text, width)
			}
		}
	}
}

// TestReadmeShowsARealRelease: what README.md shows is what today's screens make of the
// recorded release. go test ./cmd/kubectl-belay -update writes it anew.
func TestReadmeShowsARealRelease(t *testing.T) {
	const page = "../../README.md"
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text, at := string(raw), terminal{width: usualWidth}
	step, end := read(t, "recorded-step"), read(t, "recorded-end")
	for _, screen := range []struct{ command, want string }{
		{"kubectl belay status shop -n shop -w", statusScreen(at, view.Rollout(step), step.Now, nil)},
		{"kubectl belay status shop -n shop", statusScreen(at, view.Rollout(end), end.Now, nil)},
		{"kubectl belay why shop -n shop", whyScreen(at, view.Explain(end), end.Now)},
	} {
		before, rest, found := strings.Cut(text, "```\n$ "+screen.command+"\n")
		got, after, closed := strings.Cut(rest, "```\n")
		switch {
		case !found || !closed:
			t.Errorf("README.md has no block that begins with $ %s", screen.command)
		case got != screen.want && *update:
			text = before + "```\n$ " + screen.command + "\n" + screen.want + "```\n" + after
		case got != screen.want:
			t.Errorf("README.md: %s shows\n%s\nwant\n%s", screen.command, got, screen.want)
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGoldenSilence: a run whose controller stopped four minutes ago, just before another
// version was declared. What passed then is not shown as if it passed now.
func TestGoldenSilence(t *testing.T) {
	in := pushed(t, "progressing")
	in.Now = in.Now.Add(4 * time.Minute)
	in.Rollout.Status.WouldHold = []v1alpha1.ObservedHold{{Trigger: "checkout/load", Stage: "step 1 of 4, weight 5 %", Reason: "BelowMinSamples", At: in.Rollout.Status.Step.EnteredAt}}
	for _, width := range []int{80, 140} {
		golden(t, fmt.Sprintf("silent.status.%d.txt", width), statusScreen(terminal{width: width}, view.Rollout(in), in.Now, nil), width)
	}
}

// TestGoldenBarred: somebody on call, who may give commands and may not change the Deployment, and
// somebody who may only look.
func TestGoldenBarred(t *testing.T) {
	in, ended := read(t, "held"), read(t, "rolled-back")
	for who, may := range map[string]func(right) bool{
		"oncall": func(r right) bool { return r.resource == "rollouts" && r.verb != "bypass" },
		"viewer": func(right) bool { return false },
	} {
		q := answer(in.Rollout, may)
		for _, width := range []int{80, 140} {
			screen, account := view.Rollout(in), view.Explain(ended)
			screen.Actions, screen.Barred = q.part(in.Rollout, screen.Actions)
			account.Actions, account.Barred = q.part(in.Rollout, account.Actions)
			golden(t, fmt.Sprintf("%s.status.%d.txt", who, width), statusScreen(terminal{width: width}, screen, in.Now, nil), width)
			golden(t, fmt.Sprintf("%s.why.%d.txt", who, width), whyScreen(terminal{width: width}, account, ended.Now), width)
		}
	}
}

// awaiting is a moment in which the first step has passed and waits for its approval.
func awaiting(t *testing.T) view.Input {
	in := read(t, "progressing")
	for _, steps := range [][]v1alpha1.Step{in.Rollout.Spec.Steps, in.Run.Spec.Steps} {
		steps[0].Hold.Duration, steps[0].Approval, steps[2].Approval = 2*time.Minute, v1alpha1.ApprovalRequired, v1alpha1.ApprovalRequired
	}
	s := &in.Rollout.Status
	since := metav1.NewTime(in.Now.Add(-56 * time.Second))
	s.Step.AwaitsApprovalSince, s.Step.Next, s.Step.NextAt = &since, "approval of step 1 of 4", nil
	s.Message = "step 1 of 4 waits for its approval since " + since.UTC().Format("15:04:05Z") + ", at 5 %: 3 of 3 triggers pass; a trigger that fires still rolls back; to go on, run kubectl belay approve checkout -n shop --step 1 --revision " + s.Candidate.Revision + " (verb approve)"
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAwaitingApproval, Message: s.Message})
	for i := range s.Verdicts {
		s.Verdicts[i].Outcome, s.Verdicts[i].Reason, s.Verdicts[i].Message = v1alpha1.VerdictPass, "", ""
		s.Verdicts[i].EvaluatedAt = &metav1.Time{Time: in.Now}
	}
	return in
}

// TestGoldenApproval: a step that waits for a person, and the line to paste.
func TestGoldenApproval(t *testing.T) {
	in := awaiting(t)
	for _, width := range []int{80, 140} {
		golden(t, fmt.Sprintf("approval.status.%d.txt", width), statusScreen(terminal{width: width}, view.Rollout(in), in.Now, nil), width)
	}
}

// TestGoldenLists holds the list of all situations, worst first, and a history.
func TestGoldenLists(t *testing.T) {
	now := time.Date(2026, 11, 20, 17, 0, 0, 0, time.UTC)
	var rows []view.Row
	for name := range moments {
		in := read(t, name)
		in.Rollout.Name = name
		rows = append(rows, view.RowOf(in, "app-team@example.com (kubectl-set)"))
	}
	in := awaiting(t)
	in.Rollout.Name = "approval"
	silent := read(t, "progressing")
	silent.Rollout.Name, silent.Now = "silent", silent.Now.Add(4*time.Minute)
	rows = append(rows, view.RowOf(silent, ""))
	rows = append(rows, view.RowOf(in, "app-team@example.com (kubectl-set)"))
	view.Worst(rows)
	in = read(t, "rolled-back")
	for _, width := range []int{80, 140} {
		at := terminal{width: width}
		golden(t, fmt.Sprintf("list.%d.txt", width), listScreen(at, rows, now, false, true), width)
		golden(t, fmt.Sprintf("history.%d.txt", width), historyScreen(at, view.History(in.Rollout, []v1alpha1.RolloutRun{*in.Run}), now), width)
	}
}

func golden(t *testing.T, name, got string, width int) {
	t.Helper()
	for line := range strings.Lines(got) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > width && !strings.Contains(name, ".show.") && !strings.Contains(name, ".verify") && !strings.Contains(name, ".replay") && !strings.HasPrefix(name, "lint.") && !strings.HasPrefix(name, "diff") {
			t.Errorf("%s: a line has %d columns: %s", name, n, line)
		}
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is now:\n%s", name, got)
	}
}

// TestASilentRunSaysSoEverywhere: nobody has judged it for 4 minutes. That is no progress, and
// comes before what a person has to do elsewhere.
func TestASilentRunSaysSoEverywhere(t *testing.T) {
	in := read(t, "progressing")
	if view.Overdue(in.Rollout, in.Now) {
		t.Error("a run that was judged just now is overdue")
	}
	in.Now = in.Now.Add(4 * time.Minute)
	screen, row := view.Rollout(in), view.RowOf(in, "")
	if !view.Overdue(in.Rollout, in.Now) || row.State != view.StateUnjudged || row.Next != "kubectl belay doctor" || screen.Next != row.Next {
		t.Errorf("list: %+v, status: next %q", row, screen.Next)
	}
	rows := []view.Row{{Name: "a", State: view.StateRolledBack}, row}
	if view.Worst(rows); rows[0].Name != row.Name {
		t.Error("a run that nobody judges comes after one that is rolled back")
	}
	text := statusScreen(terminal{width: 400}, screen, in.Now, nil)
	for _, want := range []string{"NOT JUDGED at 5 %: controller or judge silent   for 4m02s", "docs/runbook.md#take-the-canarys-requests-away"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not say %q:\n%s", want, text)
		}
	}
	// Who may not read the run is told nothing that is not known.
	in.Run = nil
	if row := view.RowOf(in, ""); row.State == view.StateUnjudged {
		t.Error("without its run, nobody knows whether metrics judge it")
	}
}
