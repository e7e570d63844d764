package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// waiting is a step whose weight the gateway has not acknowledged, and the decision
// that set it, some time ago.
func waiting(ago time.Duration, changes ...change) plan.Input {
	in := given(stepAt(0), acknowledgedAt(nil), unacknowledged, func(in *plan.Input) {
		t := plan.Transition(*in)
		in.Status = t.Status
		in.Status.Decision = &v1alpha1.DecisionSummary{Seq: 7, Rule: "SetsWeight", At: metav1.NewTime(in.Now.Add(-ago))}
	})
	all(changes...)(&in)
	return in
}

// TestAShortWaitWritesNothing: it leaves the status as it is, and is looked at again
// when it is to be shown.
func TestAShortWaitWritesNothing(t *testing.T) {
	more := func(in *plan.Input) {
		in.Canary.Ready, in.Route.CanaryShare, in.Route.ServiceEndpoints = 3, 3, 6
		in.Canary.Name, in.Canary.Images = "shop-new", []v1alpha1.ContainerImage{{Container: "app", Image: "shop:b"}}
	}
	for name, in := range map[string]plan.Input{
		"the same":              waiting(0),
		"with other counts":     waiting(3*time.Second, more),
		"just before its time":  waiting(5*time.Second - time.Millisecond),
		"with another message":  waiting(time.Second, func(in *plan.Input) { in.Route.Unacknowledged = "Gateway b has not reported" }),
		"in a rollback, drains": quietly(given(rollingBack(&justNow), split(0)), time.Second),
	} {
		r := plan.Transition(in)
		if diff := cmp.Diff(in.Status, r.Status); diff != "" {
			t.Errorf("%s: the status changes (-was +is):\n%s", name, diff)
		}
		left := in.Status.Decision.At.Add(5 * time.Second).Sub(in.Now)
		if r.News || r.Record != nil || r.Event != nil || r.Recheck <= 0 || r.Recheck > left {
			t.Errorf("%s: %s, news %t, record %v, event %v, again after %s of %s", name, r.Rule, r.News, r.Record, r.Event, r.Recheck, left)
		}
	}
}

// quietly gives an input the status that its own decision would leave.
func quietly(in plan.Input, ago time.Duration) plan.Input {
	in.Status = plan.Transition(in).Status
	in.Status.Decision = &v1alpha1.DecisionSummary{Seq: 7, Rule: "RollbackAtZero", At: metav1.NewTime(in.Now.Add(-ago))}
	return in
}

// TestWhatIsNoShortWaitIsWritten: what lasts, does something, concludes something or
// changes what people act on.
func TestWhatIsNoShortWaitIsWritten(t *testing.T) {
	for name, in := range map[string]plan.Input{
		"a wait of five seconds":    waiting(5 * time.Second),
		"nothing was decided yet":   waiting(0, func(in *plan.Input) { in.Status.Decision = nil }),
		"the acknowledgement":       waiting(0, func(in *plan.Input) { in.Route.Acknowledged = true }),
		"an effect":                 waiting(0, split(0), func(in *plan.Input) { in.Route.Acknowledged = true }),
		"a hold":                    quietly(given(stepAt(0)), 0),
		"a person's spec":           waiting(0, func(in *plan.Input) { in.Generation++ }),
		"another reason":            waiting(0, specPaused),
		"a guard that does not bar": waiting(0, unproven),
		"who changed the routes":    waiting(0, stepAt(0), split(50), func(in *plan.Input) { in.Route.Owner = "kubectl" }),
		"somebody has to act":       waiting(0, routeGone),
	} {
		if name == "a hold" {
			// The verdict that lets the step go on does not come.
			in.Verdict.Outcome = v1alpha1.VerdictInconclusive
		}
		r := plan.Transition(in)
		if cmp.Equal(in.Status, r.Status) {
			t.Errorf("%s: %s leaves the status as it is", name, r.Rule)
		}
	}
}
