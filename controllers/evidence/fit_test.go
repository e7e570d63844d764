package evidence

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// fullStatus has as much of everything as the API allows.
func fullStatus() *v1alpha1.RolloutStatus {
	text := func(n int) string { return strings.Repeat("m", n) }
	revision := func() *v1alpha1.Revision {
		r := &v1alpha1.Revision{Revision: "9fd21c3b07", Image: text(512), ReplicaSet: text(253), PodTemplateHash: text(63)}
		for i := range 32 {
			r.Images = append(r.Images, v1alpha1.ContainerImage{Container: fmt.Sprintf("%063d", i), Image: text(512), Digest: text(128)})
		}
		return r
	}
	zero := int32(0)
	s := &v1alpha1.RolloutStatus{
		Declared: &v1alpha1.DeclaredStatus{Revision: "9fd21c3b07", Image: text(512), Since: at, ChangingSince: at},
		Phase:    v1alpha1.PhaseRollingBack, Message: text(1024), Stable: revision(), Candidate: revision(), Serving: text(256), Run: text(253), Runs: 99, Epoch: 7,
		RunStartedAt: &at, Step: &v1alpha1.StepStatus{Display: text(16), EnteredAt: at, AcknowledgedAt: &at, Next: text(256), NextAt: &at},
		Rollback:          &v1alpha1.RollbackStatus{Outcome: v1alpha1.OutcomeRolledBack, Trigger: text(256), Message: text(1024), StartedAt: at, ZeroAt: &at},
		Promotion:         &v1alpha1.PromotionStatus{StartedAt: at, Message: text(1024), Actor: text(256), Size: &zero},
		DirectCallers:     &v1alpha1.DirectCallersStatus{Message: text(512)},
		Refusal:           &v1alpha1.Refusal{Effect: text(256), Message: text(512), Since: at},
		Decision:          &v1alpha1.DecisionSummary{Seq: 9, Rule: text(63), Key: text(128), Why: text(1024), At: at, Actor: text(256)},
		Preflight:         &v1alpha1.PreflightStatus{Reason: text(63), Message: text(512), EvaluatedAt: at},
		LastHandledAction: &v1alpha1.HandledAction{Token: text(128), By: text(256), Refused: text(512), At: at},
	}
	for i := range 64 {
		outcome := v1alpha1.VerdictPass
		if i < 4 {
			outcome = v1alpha1.VerdictFail
		}
		s.Verdicts = append(s.Verdicts, v1alpha1.VerdictStatus{Kind: "ClusterGuardrail", Guardrail: text(253), Trigger: text(63), Outcome: outcome, Reason: text(63), Message: text(512), EvaluatedAt: &at})
	}
	for i := range 20 {
		s.History = append(s.History, v1alpha1.HistoryEntry{Run: fmt.Sprintf("%0253d", i), Revision: "9fd21c3b07", Image: text(512), Outcome: v1alpha1.OutcomePromoted, Trigger: text(256), Message: text(1024), StartedAt: at, FinishedAt: at})
		s.Rejected = append(s.Rejected, v1alpha1.RejectedRevision{Revision: "9fd21c3b07", Trigger: text(256), Message: text(1024), At: at, Run: text(253), Images: revision().Images})
	}
	for range 10 {
		s.Previous = append(s.Previous, v1alpha1.PreviousRevision{Revision: "9fd21c3b07", Image: text(512), Until: at})
	}
	for i := range 16 {
		s.Conditions = append(s.Conditions, metav1.Condition{Type: fmt.Sprint("T", i), Status: metav1.ConditionTrue, Reason: text(63), Message: text(1024), LastTransitionTime: at})
	}
	return s
}

func statusBytes(t *testing.T, s *v1alpha1.RolloutStatus) int {
	t.Helper()
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return len(encoded)
}

func TestTheLargestStatusFits(t *testing.T) {
	s := fullStatus()
	before := statusBytes(t, s)
	if before < 2*MaxStatusBytes {
		t.Fatalf("%d bytes are not the largest", before)
	}
	if !Fit(s, MaxStatusBytes) || statusBytes(t, s) > MaxStatusBytes {
		t.Errorf("%d bytes of %d, at most %d", statusBytes(t, s), before, MaxStatusBytes)
	}
}

// TestWhatDecidesStays, however little room there is.
func TestWhatDecidesStays(t *testing.T) {
	s, whole := fullStatus(), fullStatus()
	if Fit(s, 0) {
		t.Error("nothing fits 0 bytes")
	}
	for _, field := range []string{"Phase", "Message", "Declared", "Serving", "Previous", "Run", "Runs", "RunStartedAt", "Epoch", "Step", "Rollback", "Promotion", "Refusal", "LastHandledAction"} {
		got, want := reflect.ValueOf(s).Elem().FieldByName(field).Interface(), reflect.ValueOf(whole).Elem().FieldByName(field).Interface()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s changed", field)
		}
	}
	if s.Stable.ReplicaSet != whole.Stable.ReplicaSet || s.Candidate.PodTemplateHash != whole.Candidate.PodTemplateHash {
		t.Error("stable or candidate lost what it is found by")
	}
	if len(s.Rejected) != 20 || s.Rejected[19].Revision == "" || s.Decision.Key == "" || len(s.Conditions) != 16 {
		t.Errorf("%d rejected revisions, decision %+v, %d conditions", len(s.Rejected), s.Decision, len(s.Conditions))
	}
	if !reflect.DeepEqual(s.History, whole.History[:keptHistory]) {
		t.Errorf("%d history entries, or one that changed: the API refuses that", len(s.History))
	}
}

// TestWhatGoesFirst: each thing goes only when what stands before it was not
// enough.
func TestWhatGoesFirst(t *testing.T) {
	gone := []func(*v1alpha1.RolloutStatus) bool{
		func(s *v1alpha1.RolloutStatus) bool { return s.Verdicts == nil || s.Verdicts[63].Message == "" },
		func(s *v1alpha1.RolloutStatus) bool { return s.Verdicts == nil || s.Verdicts[0].Message == "" },
		func(s *v1alpha1.RolloutStatus) bool { return len(s.History) < 20 },
		func(s *v1alpha1.RolloutStatus) bool { return len(s.History) == keptHistory },
		func(s *v1alpha1.RolloutStatus) bool { return s.Decision.Why == "" },
		func(s *v1alpha1.RolloutStatus) bool { return s.Rejected[0].Message == "" },
		func(s *v1alpha1.RolloutStatus) bool { return s.Rejected[19].Images == nil },
		func(s *v1alpha1.RolloutStatus) bool { return s.Rejected[0].Images == nil },
		func(s *v1alpha1.RolloutStatus) bool { return s.Stable.Images == nil },
		func(s *v1alpha1.RolloutStatus) bool { return s.Verdicts == nil },
		func(s *v1alpha1.RolloutStatus) bool { return len(s.Conditions[0].Message) == keptMessage },
	}
	reached := map[int]bool{}
	status := func() *v1alpha1.RolloutStatus {
		s := fullStatus()
		for i := range s.Rejected {
			s.Rejected[i].Images = s.Rejected[i].Images[:1]
		}
		return s
	}
	for limit := statusBytes(t, status()); limit > 0; limit -= 500 {
		s := status()
		ok := Fit(s, limit)
		if ok && statusBytes(t, s) > limit {
			t.Fatalf("%d bytes are said to fit %d", statusBytes(t, s), limit)
		}
		last := -1
		for i, is := range gone {
			if !is(s) {
				break
			}
			last = i
		}
		reached[last] = true
		for i := last + 1; i < len(gone); i++ {
			if gone[i](s) {
				t.Fatalf("limit %d: part %d is gone although part %d is not", limit, i, last+1)
			}
		}
		if !ok {
			break
		}
	}
	for i := range gone {
		if !reached[i] {
			t.Errorf("no limit ends with part %d", i)
		}
	}
}

// TestAStatusThatFitsIsLeftAlone, and one that does not shares nothing with what
// the caller got it from.
func TestAStatusThatFitsIsLeftAlone(t *testing.T) {
	small := &v1alpha1.RolloutStatus{Phase: v1alpha1.PhaseStable, Verdicts: []v1alpha1.VerdictStatus{{Message: "fine"}}}
	if !Fit(small, MaxStatusBytes) || small.Verdicts[0].Message != "fine" {
		t.Errorf("got %+v", small)
	}
	cached := fullStatus()
	shared := *cached
	Fit(&shared, 0)
	if !reflect.DeepEqual(cached, fullStatus()) {
		t.Error("the status it was made from changed too")
	}
}

func BenchmarkFit(b *testing.B) {
	for name, limit := range map[string]int{"fits": 1 << 20, "too large": MaxStatusBytes} {
		b.Run(name, func(b *testing.B) {
			whole := fullStatus()
			for b.Loop() {
				s := *whole
				Fit(&s, limit)
			}
		})
	}
}
