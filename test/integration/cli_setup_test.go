package integration

import (
	"testing"

	"belay.dev/belay/api/v1alpha1"
)

// TestCommandLineBypasses a rejected version, as somebody who has the verb; who lacks it is
// refused before anything changes.
func TestCommandLineBypasses(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "bypasser@example.com", "system:masters")
	me.expect(me.says("bypass", "shop", "--yes"), 2, "a bypass needs --reason")
	me.expect(me.says("bypass", "shop", "--reason", "outage", "--yes"), 1, "There is nothing to bypass", "v1, which is the stable version")
	s.release(better)
	s.fails = atWeight
	rejected := s.until("rolled back", ended(better)).Status.Rejected[0].Revision
	s.until("marked", func(*v1alpha1.Rollout) bool { return s.deployment().Labels[v1alpha1.LabelRejected] == rejected })
	before := s.deployment()

	me.expect(me.says("bypass", "shop", "--reason", "outage"), 2, "v2 goes to all pods of Deployment shop at once", "without being judged", "this is no terminal: --yes")
	dev(t)
	developer := personIn(t, s.namespace, "dev")
	developer.expect(developer.says("bypass", "shop", "--reason", "outage", "--yes"), 1, "nothing was bypassed", "needs the verb bypass on rollouts.belay.dev/shop")
	if d := s.deployment(); d.Generation != before.Generation || d.Annotations[v1alpha1.AnnotationBypassReason] != "" {
		t.Errorf("the Deployment was changed: generation %d to %d, annotations %v", before.Generation, d.Generation, d.Annotations)
	}

	unpaused := func() bool { return !s.deployment().Spec.Paused }
	served := func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == better
	}
	me.expect(me.during(s, unpaused, served, "bypass", "shop", "--reason", `the "outage"; INC-1042`, "--yes"), 0,
		"Deployment shop rolls out v2", `bypasser@example.com`, "Bypassed: v2 is the stable version and serves. It was not judged.")
	r := s.rollout()
	if h := r.Status.History[0]; h.Outcome != v1alpha1.OutcomeBypassed || r.Status.IsRejected(rejected) == nil {
		t.Errorf("history %s %q, rejected %v", h.Outcome, h.Message, r.Status.Rejected)
	}
	me.expect(me.says("why", "shop"), 0, "BYPASSED", "INC-1042")
}

// TestCommandLineBypassesWithANewVersion in the middle of a run: reason and image go in one
// write, and Services that select one version select all of them.
func TestCommandLineBypassesWithANewVersion(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "sre@example.com", "system:masters")
	s.release(better)
	s.until("at 50 %", atWeight)
	me.expect(me.says("bypass", "shop", "--reason", "outage", "--image", "app="+fixed, "--yes"), 2, `has no container "app"`)
	served := func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && r.Status.Stable.Image == fixed
	}
	me.expect(me.during(s, declares(s, fixed), served, "bypass", "shop", "--reason", "outage", "--image", "shop="+fixed, "--yes"), 0, "v3 goes to all pods", "Bypassed: v3")
	if d := s.deployment(); d.Spec.Paused {
		t.Error("the Deployment is paused")
	}
}
