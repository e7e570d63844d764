package view

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// Version is stable or the candidate: what it is, which part of the requests it gets, and
// how its pods are.
type Version struct {
	// Side is "stable" or "canary".
	Side, Tag, Image, Digest, Revision string
	// Set is the ReplicaSet that runs it, or the ControllerRevision of a StatefulSet.
	Set string
	// Percent of the requests; -1 when that is not known.
	Percent int32
	// Pods that are there and Ready of them; both -1 when the pods were not read.
	Pods, Ready int
	// Problem is why pods are missing or not ready; empty when all are ready.
	Problem string
	// PushedBy is who wrote the template; empty when that is not known.
	PushedBy string
}

func versions(in Input) []Version {
	s := &in.Rollout.Status
	share := shareOf(s)
	var out []Version
	if s.Stable != nil {
		v := version(in, "stable", s.Stable)
		if share >= 0 {
			v.Percent = 100 - share
		}
		out = append(out, v)
	}
	if s.Candidate != nil && (s.Stable == nil || s.Candidate.Revision != s.Stable.Revision) {
		v := version(in, "canary", s.Candidate)
		v.Percent, v.Tag = share, restartTag(v.Tag, restarts(s, in.Run))
		out = append(out, v)
	}
	return out
}

// shareOf is the candidate's percentage of the requests; -1 when it is not known.
func shareOf(s *v1alpha1.RolloutStatus) int32 {
	switch {
	case !s.Phase.InRun():
		return 0
	case s.Step == nil || s.Phase == v1alpha1.PhaseHandingOver:
		return -1
	default:
		return s.Step.Weight.Observed
	}
}

func version(in Input, side string, r *v1alpha1.Revision) Version {
	v := Version{Side: side, Tag: Tag(r), Image: Text(r.Image, 512), Digest: digest(r.Images), Revision: Text(r.Revision, 10),
		Set: Text(r.ReplicaSet, 253), Percent: -1, Pods: -1, Ready: -1, PushedBy: pushedBy(in, r)}
	if in.Pods == nil || r.ReplicaSet == "" {
		return v
	}
	pods := workload.ActivePods(ofVersion(in, r))
	v.Pods, v.Ready = len(pods), len(workload.ReadyPods(pods))
	wanted := v.Pods
	if step := in.Rollout.Status.Step; side == "canary" && step != nil && in.Rollout.Status.Phase.InRun() {
		wanted = int(step.Replicas.Desired)
	} else if side == "stable" && in.Workload != nil {
		wanted = int(workload.Replicas(in.Workload))
		if in.Rollout.Spec.WorkloadRef.Ordered() && in.Rollout.Status.Phase.InRun() {
			// The versions share its pods: those below the partition are stable's.
			wanted = min(wanted, int(workload.Partition(in.Workload)))
		}
	}
	v.Pods = max(v.Pods, wanted)
	v.Problem = Text(workload.Cause(workload.Set{Name: r.ReplicaSet, Desired: int32(wanted)}, pods, in.Now), 512)
	return v
}

// ofVersion are the pods of a version: those of its ReplicaSet, or of a StatefulSet those that
// are labelled with its ControllerRevision.
func ofVersion(in Input, r *v1alpha1.Revision) []corev1.Pod {
	owner, ordered := metav1.OwnerReference{Kind: "ReplicaSet", Name: r.ReplicaSet}, in.Rollout.Spec.WorkloadRef.Ordered()
	if ordered {
		owner = metav1.OwnerReference{Kind: v1alpha1.KindStatefulSet, Name: in.Rollout.Spec.WorkloadRef.Name}
	}
	return slices.DeleteFunc(slices.Clone(in.Pods), func(p corev1.Pod) bool {
		return len(p.OwnerReferences) == 0 || p.OwnerReferences[0].Kind != owner.Kind || p.OwnerReferences[0].Name != owner.Name ||
			ordered && workload.VersionOf(&p) != r.ReplicaSet
	})
}

// digest is that of the first container, when it is known.
func digest(images []v1alpha1.ContainerImage) string {
	if len(images) == 0 {
		return ""
	}
	return Text(images[0].Digest, 128)
}

// pushedBy is who wrote the template of a version, by its run or by the workload that declares
// it; empty when nobody recorded that.
func pushedBy(in Input, of *v1alpha1.Revision) string {
	if in.Run != nil && in.Run.Spec.StartedBy != "" && in.Run.Spec.Revision == of.Revision {
		return Text(in.Run.Spec.StartedBy, 256)
	}
	if d := declared(in); d != nil && d.Revision == of.Revision {
		return declaredBy(in)
	}
	return ""
}

// declaredBy is who wrote the template that the workload declares; empty when that is not known.
func declaredBy(in Input) string {
	if in.Workload == nil {
		return ""
	}
	return Text(in.Workload.GetAnnotations()[v1alpha1.AnnotationPushedBy], 256)
}

// notes are what is wrong beside the state, and what is not as people may think.
func notes(in Input) []string {
	s := &in.Rollout.Status
	var out []string
	add := func(format string, args ...any) { out = append(out, Text(fmt.Sprintf(format, args...), 700)) }
	if silent := silence(in); silent > 0 {
		add("Last judged %s ago, which is longer than %s: the judge, or the whole controller, is silent. These verdicts promote nothing any more: kubectl belay doctor tells what is wrong. "+
			"Commands wait until the controller is back; to take the canary's requests away now: docs/runbook.md#take-the-canarys-requests-away.",
			Short(silent), Short(v1alpha1.VerdictsSilent))
	}
	if s.Refusal != nil {
		add("The API server refuses, for %s: %s: %s", Short(in.Now.Sub(s.Refusal.Since.Time)), s.Refusal.Effect, s.Refusal.Message)
	}
	if unanswered(in.Rollout) {
		add("Waits for Belay's answer: %s. Until then only an Abort may take its place. If that lasts, kubectl belay doctor tells whether its controller runs.", unansweredCommand(in))
	}
	if push := Unseen(in); push != "" {
		add("%s. If that lasts, kubectl belay doctor tells whether its controller runs.", push)
	}
	for _, kind := range []string{v1alpha1.ConditionInvariantViolated, v1alpha1.ConditionTrafficConflict} {
		if c := condition(s, kind); c != nil {
			add("%s: %s", kind, c.Message)
		}
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionGuarded); c != nil && c.Status != metav1.ConditionTrue {
		add("The guard is not proven (%s): %s", c.Reason, c.Message)
	}
	for i := range in.Guardrails {
		g := &in.Guardrails[i]
		if c := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status == metav1.ConditionFalse {
			add("Guardrail %s is not Ready (%s): %s", g.Name, c.Reason, c.Message)
		}
	}
	if s.Phase.InRun() {
		for _, o := range s.WouldRollBack {
			add("%s only observes; it would have rolled back at %s, %s", o.Trigger, o.Stage, Moment(o.At.Time, in.Now))
		}
		for _, o := range s.WouldHold {
			add("%s only observes; it would have held %s (%s), %s", o.Trigger, o.Stage, o.Reason, Moment(o.At.Time, in.Now))
		}
	}
	if d := s.DirectCallers; d != nil && d.Mode == v1alpha1.DirectCallersAny && d.CandidatePercent > 0 {
		add("Callers of the Service itself, without a route, reach the canary with %d %% of their requests.", d.CandidatePercent)
	}
	if p := s.Preview; p != nil {
		add("Service %s leads to the candidate alone (revision %s), whatever its weight.", p.Service, p.Revision)
	}
	if a := s.LastHandledAction; a != nil && a.Refused != "" && in.Now.Sub(a.At.Time) < time.Hour {
		add("Last command, by %s: %s", Author(a.By), a.Refused)
	}
	return out
}

// unseen is the version that the workload declares, when it is neither stable nor the candidate;
// nil otherwise.
func unseen(in Input) *v1alpha1.Revision {
	s, d := &in.Rollout.Status, declared(in)
	if d == nil || s.Stable == nil || d.Revision == s.Stable.Revision || candidateIs(s, d.Revision) {
		return nil
	}
	return d
}

// declared is the version that the workload declares; nil when that cannot be read.
func declared(in Input) *v1alpha1.Revision {
	if in.Workload == nil {
		return nil
	}
	version, err := workload.Describe(workload.Template(in.Workload))
	if err != nil {
		return nil
	}
	return &version
}
