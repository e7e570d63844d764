package v1alpha1

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestCheckStage(t *testing.T) {
	at := metav1.NewTime(time.Unix(1_800_000_000, 0))
	step := func(index int32, acknowledged *metav1.Time) *StepStatus {
		return &StepStatus{Index: index, AcknowledgedAt: acknowledged}
	}
	for name, c := range map[string]struct {
		status       RolloutStatus
		stage        int32
		acknowledged bool
	}{
		"no step":                         {RolloutStatus{Phase: PhaseStepping}, 0, false},
		"a new step":                      {RolloutStatus{Phase: PhaseStepping, Step: step(1, nil)}, 1, false},
		"an acknowledged step":            {RolloutStatus{Phase: PhaseStepping, Step: step(1, &at)}, 1, true},
		"promoting":                       {RolloutStatus{Phase: PhasePromoting, Step: step(2, &at), Promotion: &PromotionStatus{}}, 3, false},
		"baking":                          {RolloutStatus{Phase: PhaseBaking, Step: step(2, &at), Promotion: &PromotionStatus{FullAt: &at}}, 3, true},
		"handing over":                    {RolloutStatus{Phase: PhaseHandingOver, Step: step(2, &at), Promotion: &PromotionStatus{FullAt: &at}}, 3, true},
		"a native promotion, settled":     {RolloutStatus{Phase: PhaseHandingOver, Step: step(2, &at), Promotion: &PromotionStatus{SettledAt: &at}}, 3, true},
		"a native promotion, in progress": {RolloutStatus{Phase: PhaseHandingOver, Step: step(2, &at), Promotion: &PromotionStatus{}}, 2, true},
	} {
		stage, acknowledged := c.status.CheckStage(3)
		if stage != c.stage || acknowledged != c.acknowledged {
			t.Errorf("%s: stage %d, acknowledged %v; want %d, %v", name, stage, acknowledged, c.stage, c.acknowledged)
		}
		// A stage is acknowledged when its samples count.
		if started := !c.status.StageStart(time.Time{}).IsZero(); started != c.acknowledged {
			t.Errorf("%s: acknowledged %v, but StageStart says %v", name, acknowledged, started)
		}
	}
}

func TestDefaultsOfChecks(t *testing.T) {
	none := &CheckTrigger{}
	if none.Attempts() != 3 || none.TimeoutOrDefault() != 5*time.Minute {
		t.Errorf("%d attempts of %s", none.Attempts(), none.TimeoutOrDefault())
	}
	own := &CheckTrigger{Retries: new(int32), Timeout: metav1.Duration{Duration: time.Second}}
	if own.Attempts() != 1 || own.TimeoutOrDefault() != time.Second {
		t.Errorf("%d attempts of %s", own.Attempts(), own.TimeoutOrDefault())
	}
}
