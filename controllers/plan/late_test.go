package plan_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// TestASilentGatewayInARollbackIsStalledAfterTwoMinutes, with what it has not
// acknowledged, while stepDeadline is an hour. Direct callers are back long before.
func TestASilentGatewayInARollbackIsStalledAfterTwoMinutes(t *testing.T) {
	for name, c := range map[string]struct {
		in    plan.Input
		words []string
	}{
		// Direct callers are narrowed back, and the gateway may not have read that the routes
		// went to the Service.
		"release before the owner changes": {given(handingOver, asRollback, noSplit, narrowed(canaryHash), unacknowledged), []string{"the routes to Service shop", "the canary stays, and may get requests until then"}},
		"weight 0, the canary is gone":     {given(rollingBack(nil), noCanary, unacknowledged), []string{"weight 0 %", "requests that it still sends to the canary, which is gone, fail until then"}},
		"weight 0":                         {given(baking, asRollback, narrowed(canaryHash)), []string{`parent "web": Accepted is False`, "weight 0 %", "for longer than 2m0s", "may get requests", "remove the parentRef"}},
		"release":                          {given(rollingBack(&recently), noCanary), []string{`parent "web": Accepted is False`, "the routes to Service shop", "stable serves", "remove the parentRef"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.in = c.in
			w.in.Route.Unacknowledged = `HTTPRoute "shop": parent "web": Accepted is False`
			begin := w.in.Now
			for w.in.Now.Sub(begin) < 10*time.Minute {
				d := plan.Transition(w.in)
				if d.Progress == plan.Stalled {
					if took := w.in.Now.Sub(begin); took < 2*time.Minute || took > 150*time.Second || d.Reason != v1alpha1.ReasonNotAcknowledged {
						t.Errorf("stalled after %s, reason %s", took, d.Reason)
					}
					for _, word := range c.words {
						if !strings.Contains(d.Status.Message, word) {
							t.Errorf("the message lacks %q: %s", word, d.Status.Message)
						}
					}
					if w.in.Route.Narrowed == canaryHash {
						t.Error("direct callers are still on the canary")
					}
					return
				}
				for _, e := range d.Effects {
					w.apply(e)
				}
				w.in.Status, w.in.Now = d.Status, w.in.Now.Add(2*time.Second)
			}
			t.Error("not stalled after ten minutes")
		})
	}
}

// TestWaitsOfARollbackAndADeletionAreBounded: each of them is stalled after two minutes,
// and one that a run waits for in a step or a handover is not.
func TestWaitsOfARollbackAndADeletionAreBounded(t *testing.T) {
	soon := deleted(time.Second)
	gone := all(rollingBack(&recently), noCanary)
	for name, c := range map[string]struct {
		in     plan.Input
		reason string
	}{
		"RollbackAwaitsRoute":    {given(rollingBack(nil), unacknowledged), v1alpha1.ReasonNotAcknowledged},
		"RollbackAwaitsStable":   {given(rollingBack(nil), split(50), stableReady(0), serviceEndpoints(0)), v1alpha1.ReasonWorkloadNotReady},
		"RollbackAwaitsPods":     {given(rollingBack(nil), byPods, noCanary, podsLeft(2)), v1alpha1.ReasonDeadlineExceeded},
		"RollbackAwaitsService":  {given(gone, portRenamed), v1alpha1.ReasonServiceUnusable},
		"RollbackAwaitsRelease":  {given(gone, noSplit, unacknowledged), v1alpha1.ReasonNotAcknowledged},
		"DeletingAwaitsWorkload": {given(baking, stableReady(2), noSplit, soon), v1alpha1.ReasonWorkloadNotReady},
		"Deleting":               {given(stepAt(0), split(0), unacknowledged, soon), v1alpha1.ReasonNotAcknowledged},
		"RollbackDrains":         {given(rollingBack(&justNow)), ""},
		"AwaitsRoute":            {given(stepAt(0), unacknowledged), ""},
		"HandoverAwaitsRoute":    {given(handedAlone, unacknowledged), ""},
	} {
		for since, want := range map[time.Duration]string{119 * time.Second: "", 121 * time.Second: c.reason} {
			in := c.in
			in.ReleaseTimeout = time.Hour
			first := plan.Decide(in)
			in.Status.Decision = &v1alpha1.DecisionSummary{Seq: 7, Rule: name, Key: first.Key, At: ago(since)}
			d := plan.Decide(in)
			if stalled := d.Progress == plan.Stalled; d.Rule != name || stalled != (want != "") || stalled && d.Reason != want {
				t.Errorf("%s after %s: %s is %+v: %s", name, since, d.Rule, shown(d), d.Why)
			}
			in.Status.Decision.Rule = "Another"
			if d := plan.Decide(in); d.Progress == plan.Stalled {
				t.Errorf("%s is stalled at once: %s", name, d.Why)
			}
		}
	}
}

// TestARefusedWriteOfARollbackIsStalledAfterTwoMinutes, and what is refused is named.
func TestARefusedWriteOfARollbackIsStalledAfterTwoMinutes(t *testing.T) {
	deleted := all(deleted(time.Second), func(in *plan.Input) { in.ReleaseTimeout = time.Hour })
	for name, c := range map[string]struct {
		in     plan.Input
		effect plan.Effect
		soon   bool
	}{
		"rollback":               {given(baking, asRollback), plan.SetSplit{}, true},
		"deletion":               {given(baking, deleted), plan.SetSplit{}, true},
		"after the owner change": {given(handed), plan.ReleaseRoute{}, true},
		"a step":                 {given(stepAt(0), split(0)), plan.SetSplit{Weight: 10}, false},
	} {
		for since, late := range map[time.Duration]bool{119 * time.Second: false, 121 * time.Second: c.soon, 61 * time.Minute: true} {
			in := c.in
			in.Status.Refusal = &v1alpha1.Refusal{Effect: c.effect.String(), Message: "no webhook answers", Since: metav1.NewTime(now.Add(-since))}
			d := plan.Decide(in)
			if stalled := shown(d) == (condition{plan.Stalled, v1alpha1.ReasonRefused}); stalled != late {
				t.Errorf("%s, refused for %s: %s is %+v", name, since, d.Rule, shown(d))
			}
			if says := "the API server does not let Belay " + c.effect.String() + ": no webhook answers"; !strings.Contains(d.Status.Message, says) {
				t.Errorf("%s: the message lacks %q: %s", name, says, d.Status.Message)
			}
		}
	}
}

// TestASilentGatewayInADeletionIsStalledBeforeItLetsGo, with the default flags, and what
// is said then and at the end is true: stable need not be what serves.
func TestASilentGatewayInADeletionIsStalledBeforeItLetsGo(t *testing.T) {
	for name, c := range map[string]struct {
		in   plan.Input
		word string
	}{
		"weight 0":        {given(stepAt(0), split(0), deleted(0)), "the canary may get requests until then"},
		"release":         {given(stepAt(0), noCanary, noSplit, deleted(0)), "it may still use Services shop-stable and shop-canary"},
		"release, handed": {given(handedAlone, deleted(0)), "it may still use Services shop-stable and shop-canary"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.in = c.in
			w.in.Route.Unacknowledged = `HTTPRoute "shop": parent "web": Accepted is False`
			stalled := false
			for w.in.Now.Sub(*w.in.Deleting) < 5*time.Minute {
				w.in.Route.Acknowledged = false
				r := plan.Transition(w.in)
				if strings.Contains(r.Why, "stable serves") || strings.Contains(r.Why, "next version") {
					t.Fatalf("%s: %s", r.Rule, r.Why)
				}
				if r.Progress == plan.Stalled && r.Reason == v1alpha1.ReasonNotAcknowledged {
					stalled = true
					if !strings.Contains(r.Why, c.word) || !strings.Contains(r.Why, "12:02:00Z") || !strings.Contains(r.Why, "for longer than 1m0s") {
						t.Fatalf("%s: %s", r.Rule, r.Why)
					}
				}
				if _, gone := plan.EffectOf[plan.Leave](r.Decision); gone {
					if !stalled || r.Event == nil || !strings.Contains(r.Event.Message, `had not acknowledged the routes to Service shop: HTTPRoute "shop"`) {
						t.Errorf("lets go after %s, stalled before: %v: %s", w.in.Now.Sub(*w.in.Deleting), stalled, r.Why)
					}
					return
				}
				for _, e := range r.Effects {
					w.apply(e)
				}
				w.in.Status, w.in.Now = r.Status, w.in.Now.Add(2*time.Second)
			}
			t.Error("does not let go")
		})
	}
}
