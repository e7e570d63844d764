package workload

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// change makes a pod what a test needs.
type change func(*corev1.Pod)

// newPod is what a kubelet says of a pod that it has started and that is not ready
// yet: made and scheduled age ago.
func newPod(name string, age time.Duration, changes ...change) corev1.Pod {
	at := metav1.NewTime(now.Add(-age))
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: at}, Status: corev1.PodStatus{
		Phase: corev1.PodRunning, StartTime: &at,
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at},
			{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", LastTransitionTime: at},
			{Type: corev1.ContainersReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", LastTransitionTime: at},
		},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "app", Image: "shop:2", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
	}}
	for _, c := range changes {
		c(&pod)
	}
	return pod
}

func setOf(desired int32) Set { return Set{Name: "canary", Desired: desired} }

func set1() Set { return setOf(1) }

func setCondition(kind corev1.PodConditionType, status corev1.ConditionStatus, reason, message string, ago time.Duration) change {
	return func(pod *corev1.Pod) {
		c := corev1.PodCondition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(now.Add(-ago))}
		for i := range pod.Status.Conditions {
			if pod.Status.Conditions[i].Type == kind {
				pod.Status.Conditions[i] = c
				return
			}
		}
		pod.Status.Conditions = append(pod.Status.Conditions, c)
	}
}

func readyFor(ago time.Duration) change {
	return func(pod *corev1.Pod) {
		setCondition(corev1.PodReady, corev1.ConditionTrue, "", "", ago)(pod)
		setCondition(corev1.ContainersReady, corev1.ConditionTrue, "", "", ago)(pod)
		pod.Status.ContainerStatuses[0].Ready = true
	}
}

func lost(ago time.Duration) change {
	return setCondition(corev1.PodReady, corev1.ConditionFalse, "ContainersNotReady", "containers with unready status: [app]", ago)
}

func restarts(n int32, exitCode int32) change {
	return func(pod *corev1.Pod) {
		c := &pod.Status.ContainerStatuses[0]
		c.RestartCount, c.LastTerminationState = n, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: exitCode, Reason: "Error"}}
	}
}

func waiting(reason, message string) change {
	return func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
}

func initContainer(name string, n int32, state corev1.ContainerState) change {
	return func(pod *corev1.Pod) {
		pod.Status.InitContainerStatuses = append(pod.Status.InitContainerStatuses, corev1.ContainerStatus{Name: name, Image: "init:1", RestartCount: n, State: state,
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}})
	}
}

func phase(p corev1.PodPhase) change { return func(pod *corev1.Pod) { pod.Status.Phase = p } }

func deleting(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: now} }

func unschedulable(message string, ago time.Duration) change {
	return func(pod *corev1.Pod) {
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
		setCondition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable, message, ago)(pod)
	}
}

func TestJudgePods(t *testing.T) {
	const pass, fail, unknown = v1alpha1.VerdictPass, v1alpha1.VerdictFail, v1alpha1.VerdictInconclusive
	minute := time.Minute
	blip := []corev1.Pod{newPod("blip", 20*minute, lost(time.Second))}
	for range 99 {
		blip = append(blip, newPod("ok", 20*minute, readyFor(19*minute)))
	}
	tests := map[string]struct {
		set     Set
		pods    []corev1.Pod
		outcome v1alpha1.VerdictOutcome
		reason  string
		message string
	}{
		"none yet":           {set1(), nil, unknown, ReasonPodsNotObserved, "0 of 1 ready: 1 pod not created yet"},
		"scaled to zero":     {setOf(0), nil, unknown, ReasonPodsNotObserved, "at 0 replicas"},
		"only one that goes": {set1(), []corev1.Pod{newPod("a", time.Hour, restarts(9, 1), deleting)}, unknown, ReasonPodsNotObserved, "0 of 1"},
		"too few":            {setOf(3), []corev1.Pod{newPod("a", time.Hour, readyFor(minute))}, unknown, ReasonPodsNotObserved, "1 of 3 ready: 2 pods not created yet"},
		"refused by a quota": {Set{Desired: 1, Failure: `FailedCreate: "exceeded quota: q"`}, nil, unknown, ReasonPodsRefused, `0 of 1 ready: ReplicaFailure: FailedCreate: "exceeded quota: q"`},

		"ready":                     {set1(), []corev1.Pod{newPod("a", time.Hour, readyFor(minute))}, pass, ReasonPodsHealthy, "1 of 1 pods ready, no container restarted more than 1 time"},
		"restarted as often as may": {set1(), []corev1.Pod{newPod("a", time.Hour, restarts(1, 1), readyFor(minute))}, pass, ReasonPodsHealthy, ""},
		"restarted too often":       {setOf(2), []corev1.Pod{newPod("a", time.Hour, readyFor(minute)), newPod("b", time.Second, restarts(2, 137), readyFor(0))}, fail, ReasonPodsRestarting, `container "app" restarted 2 times (last exit code 137) in pod b, at most 1 allowed`},
		"a sidecar restarts":        {set1(), []corev1.Pod{newPod("a", time.Hour, readyFor(minute), initContainer("proxy", 50, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}))}, fail, ReasonPodsRestarting, `init container "proxy" restarted 50 times (last exit code 1)`},
		"an init container crashes": {set1(), []corev1.Pod{newPod("a", minute, initContainer("migrate", 3, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}))}, fail, ReasonPodsRestarting, `init container "migrate" restarted 3 times`},
		"one goes, one is ready":    {set1(), []corev1.Pod{newPod("a", time.Hour, restarts(9, 1), deleting), newPod("b", time.Hour, readyFor(minute))}, pass, ReasonPodsHealthy, ""},

		"still starting":               {set1(), []corev1.Pod{newPod("a", 5*minute)}, unknown, ReasonPodsStarting, "0 of 1 ready: 1 pod is starting"},
		"not ready in time":            {set1(), []corev1.Pod{newPod("a", 5*minute+time.Second)}, fail, ReasonPodsNotReady, "pod a has not become ready in 5m1s, at most 5m0s allowed"},
		"scheduled late":               {set1(), []corev1.Pod{newPod("a", time.Hour, setCondition(corev1.PodScheduled, corev1.ConditionTrue, "", "", minute), lost(minute))}, unknown, ReasonPodsStarting, ""},
		"scheduled late, never ready":  {set1(), []corev1.Pod{newPod("a", time.Hour, setCondition(corev1.PodScheduled, corev1.ConditionTrue, "", "", 6*minute), lost(6*minute))}, fail, ReasonPodsNotReady, "in 6m0s"},
		"one of 100 fails one probe":   {setOf(100), blip, unknown, ReasonReadinessLost, "99 of 100 ready: 1 pod was ready and no longer is (for 1s)"},
		"lost, for longer than it may": {set1(), []corev1.Pod{newPod("a", time.Hour, lost(30*minute))}, unknown, ReasonReadinessLost, "(for 30m0s)"},
		"lost, crashed once":           {set1(), []corev1.Pod{newPod("a", time.Hour, lost(minute), restarts(1, 2))}, unknown, ReasonReadinessLost, `container "app" restarted 1 time (last exit code 2)`},

		"evicted, replaced":        {set1(), []corev1.Pod{newPod("a", 6*minute, phase(corev1.PodFailed)), newPod("b", 50*time.Second, readyFor(minute))}, pass, ReasonPodsHealthy, "1 of 1"},
		"ended":                    {set1(), []corev1.Pod{newPod("a", 6*minute, phase(corev1.PodSucceeded))}, unknown, ReasonPodsNotObserved, ""},
		"unschedulable":            {set1(), []corev1.Pod{newPod("a", time.Hour, unschedulable("0/1 nodes are available: 1 Insufficient cpu.", time.Hour))}, unknown, ReasonPodsUnschedulable, `0 of 1 ready: 1 pod is unschedulable: "0/1 nodes are available: 1 Insufficient cpu."`},
		"being disrupted":          {set1(), []corev1.Pod{newPod("a", time.Hour, setCondition(corev1.DisruptionTarget, corev1.ConditionTrue, "DeletionByTaintManager", "", 0))}, unknown, ReasonNodeTrouble, "DeletionByTaintManager"},
		"its node is silent":       {set1(), []corev1.Pod{newPod("a", time.Hour, readyFor(30*minute), setCondition(corev1.PodReady, corev1.ConditionFalse, "", "", 10*minute))}, unknown, ReasonNodeTrouble, "1 pod is on a node with a problem: the node does not report"},
		"node lost":                {set1(), []corev1.Pod{newPod("a", time.Hour, func(p *corev1.Pod) { p.Status.Reason = "NodeLost" })}, unknown, ReasonNodeTrouble, "NodeLost"},
		"no kubelet has taken it":  {set1(), []corev1.Pod{newPod("a", time.Hour, unschedulable("", 0), setCondition(corev1.PodScheduled, corev1.ConditionTrue, "", "", time.Hour))}, unknown, ReasonNodeTrouble, "the kubelet has not started the pod"},
		"a gate is missing":        {set1(), []corev1.Pod{newPod("a", minute, setCondition(corev1.PodReady, corev1.ConditionFalse, "ReadinessGatesNotReady", "corresponding condition of pod readiness gate \"x/y\" does not exist.", minute), setCondition(corev1.ContainersReady, corev1.ConditionTrue, "", "", 0))}, unknown, ReasonPodsStarting, "1 pod waits for a readiness gate"},
		"a gate is missing, late":  {set1(), []corev1.Pod{newPod("a", 6*minute, setCondition(corev1.PodReady, corev1.ConditionFalse, "ReadinessGatesNotReady", "", 6*minute))}, fail, ReasonPodsNotReady, "readiness gate"},
		"an image cannot be had":   {set1(), []corev1.Pod{newPod("a", minute, waiting("ImagePullBackOff", ""))}, unknown, ReasonPodsStarting, `0 of 1 ready: container "app" waits: ImagePullBackOff on shop:2`},
		"an image, late":           {set1(), []corev1.Pod{newPod("a", 6*minute, waiting("ErrImagePull", "manifest unknown"))}, fail, ReasonPodsNotReady, `pod a has not become ready in 6m0s, at most 5m0s allowed: container "app" waits: ErrImagePull on shop:2: "manifest unknown"`},
		"a ConfigMap is missing":   {set1(), []corev1.Pod{newPod("a", minute, waiting("CreateContainerConfigError", `configmap "shop" not found`))}, unknown, ReasonPodsStarting, `waits: CreateContainerConfigError: "configmap \"shop\" not found"`},
		"init still runs":          {set1(), []corev1.Pod{newPod("a", minute, waiting("PodInitializing", ""), initContainer("migrate", 0, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}))}, unknown, ReasonPodsStarting, `init container "migrate" has not finished`},
		"init still runs, late":    {set1(), []corev1.Pod{newPod("a", 6*minute, waiting("PodInitializing", ""), initContainer("migrate", 0, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}))}, fail, ReasonPodsNotReady, `at most 5m0s allowed: init container "migrate" has not finished`},
		"no status but a creation": {set1(), []corev1.Pod{newPod("a", 6*minute, func(p *corev1.Pod) { p.Status = corev1.PodStatus{} })}, fail, ReasonPodsNotReady, "pod a has not become ready"},
		"a failing one counts":     {setOf(2), []corev1.Pod{newPod("a", time.Hour, unschedulable("", 0)), newPod("b", 6*minute)}, fail, ReasonPodsNotReady, "pod b"},
	}
	one := int32(1)
	trigger := v1alpha1.PodsTrigger{MaxRestarts: &one, ReadyWithin: metav1.Duration{Duration: 5 * minute}}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := JudgePods(trigger, tc.set, tc.pods, now)
			if v.Outcome != tc.outcome || v.Reason != tc.reason || v.Message == "" || !strings.Contains(v.Message, tc.message) {
				t.Errorf("%+v, want %s %s %q", v, tc.outcome, tc.reason, tc.message)
			}
		})
	}
}

func TestCauseNamesWhatExplainsMost(t *testing.T) {
	pods := []corev1.Pod{
		newPod("a", time.Minute),
		newPod("b", time.Minute, unschedulable("no room", time.Minute)),
		newPod("c", time.Minute, unschedulable("no room", time.Minute)),
		newPod("d", time.Minute, waiting("ImagePullBackOff", "")),
		newPod("e", time.Minute, waiting("ImagePullBackOff", "")),
		newPod("f", time.Minute, readyFor(0)),
	}
	for name, tc := range map[string]struct {
		set  Set
		pods []corev1.Pod
		want string
	}{
		"all are ready":                {set1(), pods[5:], ""},
		"more than wanted":             {set1(), append(pods[5:6:6], newPod("g", time.Hour, readyFor(0))), ""},
		"an image, no room":            {setOf(6), pods, `1 of 6 ready: container "app" waits: ImagePullBackOff on shop:2, the same in 2 pods; 2 pods are unschedulable: "no room"`},
		"refused, no room":             {Set{Desired: 4, Failure: `FailedCreate: "quota"`}, pods[:3], `0 of 4 ready: ReplicaFailure: FailedCreate: "quota"; 2 pods are unschedulable: "no room"`},
		"refused once, and made since": {Set{Desired: 1, Failure: `FailedCreate: "quota"`}, pods[:1], "0 of 1 ready: 1 pod is starting"},
	} {
		if got := Cause(tc.set, tc.pods, now); got != tc.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, tc.want)
		}
	}
}

// TestTextFromOutsideIsBoundedAndQuoted: a message, a reason and an image may be
// anything.
func TestTextFromOutsideIsBoundedAndQuoted(t *testing.T) {
	hostile := strings.Repeat("\x1b[31m%d\n\u202e", 400)
	pod := newPod("a", time.Hour, waiting(hostile, hostile))
	imaged := newPod("b", time.Hour, waiting("ErrImagePull", hostile), func(p *corev1.Pod) { p.Status.ContainerStatuses[0].Image = hostile })
	pending := newPod("c", time.Hour, unschedulable(hostile, 0))
	other := newPod("d", time.Hour, unschedulable(hostile, 0))
	trigger := v1alpha1.PodsTrigger{ReadyWithin: metav1.Duration{Duration: time.Minute}}
	texts := []string{
		Cause(setOf(4), []corev1.Pod{pod, imaged, pending, other}, now), Cause(setOf(2), []corev1.Pod{pending, other}, now), Cause(set1(), []corev1.Pod{imaged}, now),
		JudgePods(trigger, set1(), []corev1.Pod{pod}, now).Message, JudgePods(trigger, set1(), []corev1.Pod{imaged}, now).Message,
	}
	for _, text := range texts {
		if text == "" || len(text) > 512 || strings.ContainsAny(text, "\x1b\n\u202e") || strings.Contains(text, "%!") {
			t.Errorf("%d bytes: %q", len(text), text)
		}
	}
}

func TestReadinessTimes(t *testing.T) {
	ready := newPod("a", time.Hour, readyFor(time.Minute))
	if since, ok := ReadySince(&ready); !ok || !since.Equal(now.Add(-time.Minute)) {
		t.Errorf("ready since %s, %v", since, ok)
	}
	if since, was := UnreadySince(&ready); was || !since.IsZero() {
		t.Errorf("unready since %s, %v, and is ready", since, was)
	}
	for name, tc := range map[string]struct {
		pod      corev1.Pod
		since    time.Duration
		wasReady bool
	}{
		"never ready":                  {newPod("a", time.Hour), time.Hour, false},
		"its status came a second on":  {newPod("a", time.Hour, lost(time.Hour-time.Second)), time.Hour, false},
		"lost":                         {newPod("a", time.Hour, lost(2*time.Minute)), 2 * time.Minute, true},
		"started late":                 {newPod("a", time.Hour, lost(50*time.Minute), func(p *corev1.Pod) { p.Status.StartTime = &metav1.Time{Time: now.Add(-50 * time.Minute)} }), time.Hour, false},
		"without a condition":          {newPod("a", time.Hour, func(p *corev1.Pod) { p.Status.Conditions = nil }), time.Hour, false},
		"without a time on the status": {newPod("a", time.Hour, func(p *corev1.Pod) { p.Status.Conditions[1].LastTransitionTime = metav1.Time{} }), time.Hour, false},
	} {
		if since, was := UnreadySince(&tc.pod); was != tc.wasReady || !since.Equal(now.Add(-tc.since)) {
			t.Errorf("%s: since %s before, was ready %v", name, now.Sub(since), was)
		}
		if _, ok := ReadySince(&tc.pod); ok {
			t.Errorf("%s: and is ready", name)
		}
	}
}

func TestWhichPodsCount(t *testing.T) {
	yes := true
	ofSet := func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{UID: "node-1"}, {UID: "s-1", Controller: &yes}}
	}
	pods := []corev1.Pod{newPod("a", time.Hour, readyFor(0), ofSet), newPod("b", time.Hour), newPod("c", time.Hour, readyFor(0), deleting), newPod("d", time.Hour, readyFor(0), phase(corev1.PodFailed))}
	if got := OwnedBy(pods, "s-1"); len(got) != 1 || got[0].Name != "a" {
		t.Errorf("owned: %d", len(got))
	}
	if got := OwnedBy(pods, "node-1"); len(got) != 0 {
		t.Errorf("owned, not controlled: %d", len(got))
	}
	if got := ActivePods(pods); len(got) != 2 {
		t.Errorf("active: %d", len(got))
	}
	if got := ReadyPods(pods); len(got) != 1 || got[0].Name != "a" {
		t.Errorf("ready: %d", len(got))
	}
}
