// Package invariants says what must hold of every decision, whatever was
// observed. It judges one decision against the input it rests on, in its own
// words and without the planner's predicates, so that the planner's enumeration
// and the simulated world hold it to the same promises.
package invariants

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

type check struct {
	in  plan.Input
	d   plan.Decision
	out []string
}

// Check returns what is wrong with d as the decision on in, or nothing.
func Check(in plan.Input, d plan.Decision) []string {
	c := &check{in: in, d: d}
	c.shape()
	c.wakeUp()
	c.phases()
	c.traffic()
	c.scaleDown()
	c.deployment()
	c.advance()
	c.failure()
	c.deletion()
	c.rejected()
	c.stableVersion()
	c.history()
	return c.out
}

func (c *check) require(ok bool, format string, args ...any) {
	if !ok {
		c.out = append(c.out, c.d.Rule+": "+fmt.Sprintf(format, args...))
	}
}

// shape: a decision can be explained and fits the API's bounds.
func (c *check) shape() {
	c.require(slices.Contains(plan.Rules(), c.d.Rule), "is not a rule")
	c.require(c.d.Why != "", "does not say why")
	c.require(len(c.d.Status.Message) <= 1024, "message has %d bytes", len(c.d.Status.Message))
	c.require(len(c.d.Status.Rejected) <= 20, "%d rejected revisions", len(c.d.Status.Rejected))
	c.require(c.d.Standing.State != "" && c.d.Standing.Reason != "", "has no standing")
	c.require(!c.d.Repeats || c.d.Rule == "RunMissing", "is recorded nowhere")
	if to, ok := c.d.Effect.(plan.SetSplit); ok {
		c.require(to.Weight >= 0 && to.Weight <= 100, "weight %d", to.Weight)
		c.require(c.d.Weight != nil && c.d.Weight.To == to.Weight, "the shown weight is not the effect's")
	}
}

// wakeUp: nothing in progress depends on a watch event arriving.
func (c *check) wakeUp() {
	c.require(c.d.Recheck >= 0 && c.d.Recheck <= c.in.Watchdog, "looks again after %s", c.d.Recheck)
	c.require(c.d.Standing.State != plan.Working || c.d.Recheck > 0, "works, but never looks again")
	c.require(!c.trial() || c.d.Recheck > 0, "a run in progress never looks again")
}

// phases: the API server would take the status.
func (c *check) phases() {
	from, to := c.in.Status.Phase, c.d.Status.Phase
	c.require(to.MayFollow(from), "phase %q may not follow %q", to, from)
	c.require(c.d.Status.Epoch >= c.in.Status.Epoch, "the epoch fell")
	if from != to && (to == v1alpha1.PhaseRollingBack || to == v1alpha1.PhaseStepping) {
		c.require(c.d.Status.Epoch > c.in.Status.Epoch, "a run or rollback begins in the epoch of the last")
	}
	if from == v1alpha1.PhaseGating && to == v1alpha1.PhaseStepping {
		c.require(c.in.Guard.Proven, "an unguarded run starts")
		c.require(c.in.Blocked.Reason == "" && c.in.Route.Fault.Reason == "" && !c.in.Spec.Paused, "a blocked run starts")
		passed := c.in.Status.Preflight != nil && c.in.Status.Preflight.Outcome == v1alpha1.VerdictPass
		c.require(!c.in.Preflight.Required || passed, "a run starts that the service cannot afford")
		c.require(c.in.Workload.StableReady > 0, "a run starts with nothing to go back to")
	}
}

func (c *check) trial() bool {
	switch c.in.Status.Phase {
	case v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseBaking:
		return true
	default:
		return false
	}
}

func (c *check) observed() int32 {
	if c.in.Route.Split == nil {
		return 0
	}
	return *c.in.Route.Split
}

// need is the number of pods a weight asks for: ceil(weight × N), at least one.
func (c *check) need(weight int32) int32 {
	n := weight * c.in.Workload.Replicas
	if n%100 != 0 {
		return n/100 + 1
	}
	return max(n/100, 1)
}

func (c *check) stepWeight() int32 {
	if s := c.in.Status.Step; s != nil && int(s.Index) < len(c.in.Spec.Steps) {
		return c.in.Spec.Steps[s.Index].Weight
	}
	return c.in.Spec.Steps[0].Weight
}

// traffic: no write sends requests to a backend without ready pods, and only
// what the step under test, or a promotion, allows is ever given.
func (c *check) traffic() {
	if _, release := c.d.Effect.(plan.ReleaseRoute); release {
		c.require(!c.in.Route.ServiceMissing || c.in.Deleting != nil, "sends every request to a Service that does not exist")
	}
	to, ok := c.d.Effect.(plan.SetSplit)
	if !ok {
		return
	}
	observed := c.observed()
	if to.Weight > 0 {
		c.require(c.in.Canary.Ready > 0 && c.in.Route.CanaryEndpoints > 0, "gives %d %% to no ready pod", to.Weight)
	}
	if to.Weight < observed {
		c.require(c.in.Workload.StableReady > 0 || c.in.Route.StableEndpoints > 0 || c.in.Workload.Replicas == 0, "gives requests back to no stable pod")
	}
	if to.Weight <= observed || to.Weight == 0 {
		return
	}
	limit := c.stepWeight()
	if c.in.Status.Phase == v1alpha1.PhasePromoting {
		limit = 100
	}
	need := c.need(to.Weight)
	c.require(c.in.Status.Phase == v1alpha1.PhaseStepping || c.in.Status.Phase == v1alpha1.PhasePromoting, "widens in phase %s", c.in.Status.Phase)
	c.require(to.Weight <= limit, "widens to %d %%, %d %% is allowed", to.Weight, limit)
	c.require(c.in.Canary.Ready >= need && c.in.Route.CanaryEndpoints >= need, "widens with %d of %d pods", min(c.in.Canary.Ready, c.in.Route.CanaryEndpoints), need)
	c.require(c.in.Route.Acknowledged || observed < 0, "widens a share the gateway has not acknowledged")
	c.require(c.in.Spec.Mode == v1alpha1.ModeObserve || c.in.Verdict.Outcome != v1alpha1.VerdictFail && !c.in.Verdict.BlindRollback, "widens while a trigger fires")
	c.require(!c.in.Spec.Paused || c.in.Status.Phase != v1alpha1.PhaseStepping, "widens while paused")
	c.require(c.in.Deleting == nil, "widens while being deleted")
}

// scaleDown: pods go only when the gateway acknowledged that they get nothing
// and their connections had the time to finish.
func (c *check) scaleDown() {
	switch e := c.d.Effect.(type) {
	case plan.ScaleCanary:
		c.require(e.Replicas >= c.in.Canary.Desired, "scales the canary down from %d to %d", c.in.Canary.Desired, e.Replicas)
		c.require(c.in.Deleting == nil && c.trial(), "scales a canary that is on its way out")
		return
	case plan.DeleteCanary:
	default:
		return
	}
	others := c.in.Workload.Ready*4 >= c.in.Workload.Replicas*3
	c.require(c.in.Deleting == nil || c.in.Route.Split != nil || c.in.Canary.Ready == 0 || others, "deletes the pods that may be all that serves")
	if c.in.Route.Split == nil {
		// The routes name the user's Service, or nothing: the canary's pods are
		// taken out as any pod of a Service is.
		c.require(c.in.Route.Acknowledged || c.zeroSince() != nil, "deletes a canary before its release is acknowledged")
		return
	}
	c.require(c.observed() == 0, "deletes a canary that has %d %%", c.observed())
	zero := c.zeroSince()
	c.require(zero != nil, "deletes a canary whose weight 0 was never acknowledged")
	if zero != nil {
		c.require(c.in.Now.Sub(zero.Time) >= c.in.Spec.Traffic.Drain.Duration, "deletes a canary before its drain is over")
	}
}

func (c *check) zeroSince() *metav1.Time {
	if r := c.in.Status.Rollback; r != nil && r.ZeroAt != nil {
		return r.ZeroAt
	}
	if p := c.in.Status.Promotion; p != nil {
		return p.ShiftedAt
	}
	return nil
}

// deployment: the Deployment rolls only to what was judged, or back.
func (c *check) deployment() {
	stable, tried := "", ""
	if c.in.Status.Stable != nil {
		stable = c.in.Status.Stable.Revision
	}
	if c.in.Status.Candidate != nil {
		tried = c.in.Status.Candidate.Revision
	}
	switch e := c.d.Effect.(type) {
	case plan.RestoreTemplate:
		c.require(e.Revision == stable, "restores revision %s", e.Revision)
		c.require(c.in.Status.Phase == v1alpha1.PhaseRollingBack, "restores in phase %s", c.in.Status.Phase)
		served := c.in.Status.Stable != nil && c.in.Route.StableHash == c.in.Status.Stable.PodTemplateHash
		c.require(c.in.Route.Split == nil || c.observed() != 0 || served, "replaces the pods that alone take requests")
	case plan.Unpause:
		c.require(e.Revision == c.in.Workload.Declared.Revision, "unpauses another template than is declared")
		if e.Revision == stable {
			return
		}
		p := c.in.Status.Promotion
		c.require(e.Revision == tried && c.in.Status.Phase == v1alpha1.PhasePromoting && p != nil && p.FullAt != nil, "unpauses a revision that has not passed")
		c.require(c.observed() == 100 && c.in.Route.Acknowledged, "unpauses while the stable pods take requests")
		c.require(c.in.Route.CanaryEndpoints >= c.need(100), "unpauses without the canary pods to carry everything")
		if p != nil && p.FullAt != nil {
			c.require(c.in.Now.Sub(p.FullAt.Time) >= c.in.Spec.Traffic.Drain.Duration, "unpauses before the stable pods' drain is over")
		}
	}
}

// advance: only a Pass, on an acknowledged weight that stood for the hold, with
// its pods ready, leads on.
func (c *check) advance() {
	was, is := c.in.Status.Step, c.d.Status.Step
	from, to := c.in.Status.Phase, c.d.Status.Phase
	stepped := from == v1alpha1.PhaseStepping && to == from && was != nil && is != nil && is.Index != was.Index
	promoted := from == v1alpha1.PhaseStepping && to == v1alpha1.PhasePromoting
	switch {
	case stepped, promoted:
		c.require(was != nil, "leaves a step that was never entered")
		if was == nil {
			return
		}
		c.require(!stepped || is.Index == was.Index+1, "skips from step %d to %d", was.Index, is.Index)
		c.require(!promoted || int(was.Index) == len(c.in.Spec.Steps)-1, "promotes from step %d", was.Index)
		c.require(c.in.Verdict.Outcome == v1alpha1.VerdictPass, "advances on verdict %q", c.in.Verdict.Outcome)
		c.require(c.observed() == c.stepWeight() && c.in.Route.Acknowledged, "advances from a weight that is not acknowledged")
		c.require(c.in.Canary.Ready >= c.need(c.stepWeight()), "advances without its canary pods")
		c.require(c.elapsed(was.AcknowledgedAt, c.in.Spec.Steps[was.Index].Hold.Duration), "advances before the hold is over")
	case from == v1alpha1.PhaseBaking && to == v1alpha1.PhaseStable:
		gone := !c.in.Canary.Exists && c.in.Route.Split == nil
		c.require(gone, "promoted with the canary or the split left behind")
		c.require(c.in.Status.Promotion != nil && c.elapsed(c.in.Status.Promotion.ShiftedAt, c.in.Spec.Promotion.Bake.Duration), "promoted before the bake is over")
	case from == v1alpha1.PhaseBaking && c.in.Deleting == nil:
		if _, ends := c.d.Effect.(plan.DeleteCanary); ends {
			c.require(c.in.Verdict.Outcome == v1alpha1.VerdictPass, "ends the bake on verdict %q", c.in.Verdict.Outcome)
		}
	}
}

func (c *check) elapsed(from *metav1.Time, d time.Duration) bool {
	return from != nil && c.in.Now.Sub(from.Time) >= d
}

// failure: a failing trigger leads to a rollback from wherever triggers are
// armed, unless deletion or a person's command came first.
func (c *check) failure() {
	failed := c.in.Verdict.Outcome == v1alpha1.VerdictFail || c.in.Verdict.BlindRollback
	preceded := c.in.Deleting != nil || !c.in.Workload.Found || c.in.FinalizerMissing || c.in.Action != nil || c.in.Status.Stable == nil
	if failed && c.trial() && !preceded && c.in.Spec.Mode != v1alpha1.ModeObserve {
		c.require(c.d.Status.Phase == v1alpha1.PhaseRollingBack, "a failing trigger does not roll back")
	}
}

// deletion ends, and gives nobody anything new.
func (c *check) deletion() {
	if c.in.Deleting == nil {
		return
	}
	switch c.d.Effect.(type) {
	case plan.AddFinalizer, plan.CreateRun, plan.PointServices, plan.ScaleCanary, plan.Unpause, plan.RestoreTemplate:
		c.require(false, "starts something while being deleted")
	case plan.RemoveFinalizer:
		c.require(c.in.Route.Split == nil, "lets go of routes that still name Belay's Services")
	case nil:
		c.require(c.in.Now.Sub(*c.in.Deleting) <= c.in.ReleaseTimeout, "still waits after the release timeout")
	}
}

// rejected: a rejected revision does not run again by itself.
func (c *check) rejected() {
	to := c.d.Status.Phase
	if to != v1alpha1.PhaseGating && to != v1alpha1.PhaseStepping || c.d.Status.Candidate == nil {
		return
	}
	tried := c.d.Status.Candidate.Revision
	same := c.in.Status.Phase == to && c.in.Status.Candidate != nil && c.in.Status.Candidate.Revision == tried
	if !same {
		c.require(c.d.Status.IsRejected(tried) == nil, "rejected revision %s is on its way again", tried)
	}
	if c.in.Status.IsRejected(tried) != nil && c.d.Status.IsRejected(tried) == nil {
		c.require(c.in.Action != nil && c.in.Action.Action == v1alpha1.ActionRetry, "forgets a rejection unasked")
	}
}

// history: the API server refuses a status that takes the newest entry away, or
// changes one.
func (c *check) history() {
	for i, was := range c.in.Status.History {
		at := slices.IndexFunc(c.d.Status.History, func(is v1alpha1.HistoryEntry) bool { return is.Run == was.Run })
		c.require(at >= 0 || i > 0, "forgets the newest run")
		c.require(at < 0 || c.d.Status.History[at] == was, "changes a finished run")
	}
}

// stableVersion: what is called stable serves, settled or baked.
func (c *check) stableVersion() {
	was, is := c.in.Status.Stable, c.d.Status.Stable
	if was == nil || is == nil || was.Revision == is.Revision {
		c.require(was == nil || is != nil, "forgets the stable version")
		return
	}
	baked := c.in.Status.Phase == v1alpha1.PhaseBaking && c.d.Status.Phase == v1alpha1.PhaseStable &&
		c.in.Status.Candidate != nil && is.Revision == c.in.Status.Candidate.Revision
	settled := c.in.Workload.Settled && is.Revision == c.in.Workload.Declared.Revision
	c.require(baked || settled, "calls revision %s stable before it serves", is.Revision)
}
