// Package gitops has the states of Belay's objects, and what a GitOps tool has to make of
// each. The tests of this package read them by kstatus and by Argo CD's Lua scripts;
// hack/gitops by Argo CD's and Flux' own code.
package gitops

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"belay.dev/belay/api/v1alpha1"
	screens "belay.dev/belay/controllers/view"
	"belay.dev/belay/test/world"
)

// Health is what a GitOps tool has to make of an object.
type Health string

// Each Health in the words of kstatus. A suspended object is InProgress for it.
const (
	Progressing Health = "InProgress"
	Suspended   Health = "Suspended"
	Healthy     Health = "Current"
	Failed      Health = "Failed"
	// Undecided is a run that ended without a verdict; nobody waits for it.
	Undecided Health = "Undecided"
)

// State is an object in one of its states.
type State struct {
	// Name says which: kind, and story and time, or reason.
	Name   string
	Object *unstructured.Unstructured
	// Want is what Argo CD's scripts and Flux' expressions have to say.
	Want Health
	// Plain is what kstatus says without expressions.
	Plain Health
	// Actions are the commands that the command line offers.
	Actions []string
}

// generation of the spec that every object here has.
const generation = 3

// Rollouts hands every status that the controller writes in a story to a function, as the
// API server would show it.
func Rollouts(story world.Story, see func(State)) {
	w := story.Begin(1)
	version := 0
	w.Statuses(func(r *v1alpha1.Rollout, run *v1alpha1.RolloutRun, now time.Time) {
		if r.Status.Phase != "" && len(r.Status.Conditions) == 0 {
			// Some stories begin in a run, with a status that nobody wrote.
			return
		}
		r = r.DeepCopy()
		version++
		r.Generation, r.ResourceVersion = generation, fmt.Sprint(1000+version)
		r.Annotations = map[string]string{"team": "checkout", v1alpha1.AnnotationActionReason: "an earlier command"}
		if r.Status.ObservedGeneration >= 0 {
			r.Status.ObservedGeneration = generation
		}
		health := ofRollout(r)
		state := State{
			Name: fmt.Sprintf("%s at %s, %s", story.Name, now.Format("15:04:05"), r.Status.Phase), Object: object(r, "Rollout"),
			Want: health, Plain: health.Plain(), Actions: screens.Rollout(screens.Input{Rollout: r, Run: run, Now: now}).Actions,
		}
		see(state)
	})
	w.Run()
}

// Plain is a Health in the words of kstatus, which knows no suspended object.
func (h Health) Plain() Health {
	if h == Suspended {
		return Progressing
	}
	return h
}

// ofRollout is derived from the phase and the versions. Of the conditions it reads only
// what nothing else says: that a person is needed, a pause, or that a step waits for its approval.
func ofRollout(r *v1alpha1.Rollout) Health {
	s := &r.Status
	waits := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReconciling)
	switch {
	case s.ObservedGeneration != r.Generation:
		return Progressing
	case meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionStalled):
		return Failed
	case waits != nil && (waits.Reason == v1alpha1.ReasonPaused || waits.Reason == v1alpha1.ReasonAwaitingApproval || waits.Reason == v1alpha1.ReasonFrozen):
		return Suspended
	case s.Phase == v1alpha1.PhaseStable && s.Candidate == nil && waits == nil:
		return Healthy
	default:
		return Progressing
	}
}

// Others are the states of the kinds besides Rollout.
func Others() []State {
	return slices.Concat(runStates(), guardrailStates(), sourceStates(), freezeStates(), []State{{
		Name: "CheckEndpoint", Object: object(&v1alpha1.CheckEndpoint{ObjectMeta: named("scan")}, "CheckEndpoint"), Want: Healthy, Plain: Healthy,
	}})
}

// runStates are the outcomes of a run. A run has no conditions: kstatus takes every one as
// Current, and nobody declares runs in Git.
func runStates() (all []State) {
	for outcome, want := range map[v1alpha1.Outcome]Health{
		"": Progressing, v1alpha1.OutcomePromoted: Healthy, v1alpha1.OutcomeRolledBack: Failed,
		v1alpha1.OutcomeSuperseded: Undecided, v1alpha1.OutcomeCancelled: Undecided, v1alpha1.OutcomeBypassed: Undecided,
	} {
		run := &v1alpha1.RolloutRun{ObjectMeta: named("shop-1"), Status: v1alpha1.RolloutRunStatus{Outcome: outcome}}
		all = append(all, State{Name: "RolloutRun " + string(outcome), Object: object(run, "RolloutRun"), Want: want, Plain: Healthy})
	}
	return all
}

// reasons of a condition Ready, and what each value of it means for who waits.
type reasons struct {
	status metav1.ConditionStatus
	want   Health
	all    []string
}

func guardrailStates() (all []State) {
	for _, of := range []reasons{
		{metav1.ConditionTrue, Healthy, []string{v1alpha1.ReasonMeasured, v1alpha1.ReasonNothingToMeasure, v1alpha1.ReasonNoRollouts}},
		{metav1.ConditionFalse, Failed, []string{v1alpha1.ReasonInvalidSpec, v1alpha1.ReasonNotRouted, v1alpha1.ReasonMetricSourceDenied, v1alpha1.ReasonEverythingBad}},
		{metav1.ConditionFalse, Progressing, []string{v1alpha1.ReasonUnknownLabel, v1alpha1.ReasonNeverSeen, v1alpha1.ReasonNoSeries, v1alpha1.ReasonNoBucket}},
		{metav1.ConditionUnknown, Progressing, []string{v1alpha1.ReasonSourceUnusable}},
	} {
		for _, reason := range of.all {
			all = append(all, guardrailState(reason, of.want, ready(of.status, reason), generation)...)
		}
	}
	// A new one, and one whose spec has changed since Belay looked.
	all = append(all, guardrailState("new", Progressing, nil, -1)...)
	return append(all, guardrailState("changed", Progressing, ready(metav1.ConditionTrue, v1alpha1.ReasonMeasured), generation-1)...)
}

// guardrailState is a state of both kinds of guardrails.
func guardrailState(name string, want Health, conditions []metav1.Condition, observed int64) []State {
	status := v1alpha1.GuardrailStatus{Conditions: conditions, ObservedGeneration: observed}
	spoken := plainOf(conditions, observed)
	return []State{
		{Name: "Guardrail " + name, Object: object(&v1alpha1.Guardrail{ObjectMeta: named("shop"), Status: status}, "Guardrail"), Want: want, Plain: spoken},
		{Name: "ClusterGuardrail " + name, Object: object(&v1alpha1.ClusterGuardrail{ObjectMeta: named("all"), Status: status}, "ClusterGuardrail"), Want: want, Plain: spoken},
	}
}

// freezeStates are those of both kinds of freezes.
func freezeStates() (all []State) {
	add := func(name string, want Health, observed int64, conditions []metav1.Condition) {
		status, spoken := v1alpha1.FreezeStatus{Conditions: conditions, ObservedGeneration: observed}, plainOf(conditions, observed)
		all = append(all,
			State{Name: "Freeze " + name, Object: object(&v1alpha1.Freeze{ObjectMeta: named("quiet"), Status: status}, "Freeze"), Want: want, Plain: spoken},
			State{Name: "ClusterFreeze " + name, Object: object(&v1alpha1.ClusterFreeze{ObjectMeta: named("quiet"), Status: status}, "ClusterFreeze"), Want: want, Plain: spoken})
	}
	read := ready(metav1.ConditionTrue, v1alpha1.ReasonFrozen)
	add("new", Progressing, -1, nil)
	add("changed", Progressing, generation-1, read)
	add("read", Healthy, generation, read)
	add("unreadable", Failed, generation, ready(metav1.ConditionFalse, v1alpha1.ReasonInvalid))
	return all
}

func sourceStates() (all []State) {
	add := func(name string, want Health, observed int64, conditions ...metav1.Condition) {
		source := &v1alpha1.MetricSource{ObjectMeta: named("default"), Status: v1alpha1.MetricSourceStatus{Conditions: conditions, ObservedGeneration: observed}}
		all = append(all, State{Name: "MetricSource " + name, Object: object(source, "MetricSource"), Want: want, Plain: plainOf(conditions, observed)})
	}
	condition := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: reason}
	}
	answers := condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAnswered)
	calm := condition(v1alpha1.ConditionOutage, metav1.ConditionFalse, v1alpha1.ReasonNoOutage)
	add("new", Progressing, -1)
	add("answers", Healthy, generation, answers, calm)
	add("changed", Progressing, generation-1, answers, calm)
	add("unreachable", Failed, generation, condition(v1alpha1.ConditionReady, metav1.ConditionFalse, "Unreachable"), calm)
	add("credentials", Failed, generation, condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInvalidCredentials), calm)
	add("outage", Failed, generation, answers, condition(v1alpha1.ConditionOutage, metav1.ConditionTrue, v1alpha1.ReasonManyRunsBlind))
	return all
}

// plainOf is how kstatus reads an object that has the condition Ready and no other of its
// own: what is not ready may still become so.
func plainOf(conditions []metav1.Condition, observed int64) Health {
	if observed == generation && meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady) {
		return Healthy
	}
	return Progressing
}

func ready(status metav1.ConditionStatus, reason string) []metav1.Condition {
	return []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: reason}}
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, Generation: generation, ResourceVersion: "7"}
}

// object is what a tool reads from the API server.
func object(o runtime.Object, kind string) *unstructured.Unstructured {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	return u
}
