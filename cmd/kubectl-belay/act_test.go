package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/api/v1alpha1"
)

// TestAnUnansweredCommandIsKept: who gives one while the controller is dead learns what becomes
// of it, and where users see errors what to do without Belay.
func TestAnUnansweredCommandIsKept(t *testing.T) {
	abort, pause := intoTheVoid(v1alpha1.ActionAbort, 2*time.Minute), intoTheVoid(v1alpha1.ActionPause, 2*time.Minute)
	const runbook = "docs/runbook.md#take-the-canarys-requests-away"
	for _, want := range []string{"Time out after 2m", "Abort is kept, and carried out when Belay is back", "kubectl belay doctor", runbook} {
		if !strings.Contains(abort, want) {
			t.Errorf("%q does not say %q", abort, want)
		}
	}
	if strings.Contains(pause, runbook) {
		t.Errorf("to take requests away is no pause: %s", pause)
	}
}

// TestATimeOutSaysWhereItStands: also where that has not changed since, or only counts on.
func TestATimeOutSaysWhereItStands(t *testing.T) {
	types, err := scheme()
	if err != nil {
		t.Fatal(err)
	}
	for message, want := range map[string]string{"holding at 5 %": "holding at 5 %", "": "nothing yet"} {
		r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "checkout"}, Status: v1alpha1.RolloutStatus{Message: message}}
		a, _, _ := testApp()
		s := &session{Client: fake.NewClientBuilder().WithScheme(types).WithObjects(r).Build(), namespace: "shop", now: time.Now}
		err := a.follow(t.Context(), s, r, 50*time.Millisecond, func(*v1alpha1.Rollout) (bool, error) { return false, nil })
		if late := (exit{}); !errors.As(err, &late) || late.code != exitTimeout || !strings.HasSuffix(late.text, ". The last that Belay said: "+want) {
			t.Errorf("%q: %v", message, err)
		}
	}
}

// TestALineSaysSomethingNew: at once for another verdict, every 15 s where a count goes on, and
// never twice the same.
func TestALineSaysSomethingNew(t *testing.T) {
	at := time.Date(2026, 11, 27, 1, 27, 7, 0, time.UTC)
	r := &v1alpha1.Rollout{}
	r.Status.Message = "step 1 of 4: shop/availability is Inconclusive (BelowMinSamples): 36 of 200 requests needed at this weight; canary 2.8 % errors (1/36, 95 % interval 0.007–20.5 %), stable 0.0 % errors (0/1887, 95 % interval 0.0–0.4 %); burn 27.8x; this run has spent 0.001 %"
	r.Status.Verdicts = []v1alpha1.VerdictStatus{{Trigger: "availability", Outcome: v1alpha1.VerdictInconclusive}}
	last := progressOf(r, at)
	if want := "step 1 of 4: shop/availability is Inconclusive (BelowMinSamples): 36 of 200 requests needed at this weight; canary 2.8 % errors (1/36), stable 0.0 % errors (0/1887)"; last.message != want {
		t.Errorf("%s, want %s", last.message, want)
	}
	if progressOf(r, at.Add(time.Hour)).after(last) {
		t.Error("the same is written again")
	}
	r.Status.Message = strings.Replace(r.Status.Message, "36 of 200", "72 of 200", 1)
	if progressOf(r, at.Add(14*time.Second)).after(last) || !progressOf(r, at.Add(15*time.Second)).after(last) {
		t.Error("a count that goes on is not written every 15 s")
	}
	r.Status.Verdicts[0].Outcome = v1alpha1.VerdictFail
	if !progressOf(r, at.Add(time.Second)).after(last) {
		t.Error("another verdict is not written at once")
	}
}

// TestAnUnknownCommandNamesWhatIsMeant.
func TestAnUnknownCommandNamesWhatIsMeant(t *testing.T) {
	for typed, want := range map[string]string{"undo": "rollback", "stop": "abort", "force": "bypass", "get": "list", "logs": "log", "statsu": "status"} {
		streams, _, _, stderr := genericiooptions.NewTestIOStreams()
		if code := execute(t.Context(), []string{typed}, streams); code != exitError || !strings.Contains(stderr.String(), "did you mean") || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit code %d, %s", typed, code, stderr)
		}
	}
}

// TestALineIsPastedWithItsComment: zsh hands what stands behind # over as words, unless it is told
// that typed lines have comments.
func TestALineIsPastedWithItsComment(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "nothing"))
	pasted := []string{"abort", "checkout", "-n", "shop", "--reason", "it's #1 # really"}
	says := func(args []string) string {
		streams, _, _, stderr := genericiooptions.NewTestIOStreams()
		execute(t.Context(), args, streams)
		return stderr.String()
	}
	alone := says(pasted)
	if with := says(append(pasted, strings.Fields("# back to 1.4.2, 1.5.0 stays declared --and rejected")...)); with != alone || !strings.Contains(alone, "no cluster is configured") {
		t.Errorf("with its comment it says %q, alone %q", with, alone)
	}
}
