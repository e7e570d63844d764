package workload

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// pod was created some time ago, is ready or not, and its container restarted so
// often.
func pod(age time.Duration, ready bool, restarts int32) corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-1", CreationTimestamp: metav1.NewTime(now.Add(-age))},
		Status: corev1.PodStatus{
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: status}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "app", RestartCount: restarts}},
		},
	}
}

func TestJudgePods(t *testing.T) {
	one := int32(1)
	trigger := v1alpha1.PodsTrigger{MaxRestarts: &one, ReadyWithin: metav1.Duration{Duration: time.Minute}}
	going := pod(time.Hour, false, 9)
	going.DeletionTimestamp = &metav1.Time{Time: now}
	tests := map[string]struct {
		pods    []corev1.Pod
		outcome v1alpha1.VerdictOutcome
		reason  string
	}{
		"none yet":                  {nil, v1alpha1.VerdictInconclusive, ReasonPodsNotObserved},
		"only one that goes":        {[]corev1.Pod{going}, v1alpha1.VerdictInconclusive, ReasonPodsNotObserved},
		"ready":                     {[]corev1.Pod{pod(time.Hour, true, 0)}, v1alpha1.VerdictPass, ReasonPodsHealthy},
		"still starting":            {[]corev1.Pod{pod(time.Minute, false, 0)}, v1alpha1.VerdictPass, ReasonPodsHealthy},
		"not ready in time":         {[]corev1.Pod{pod(61*time.Second, false, 0)}, v1alpha1.VerdictFail, ReasonPodsNotReady},
		"restarted as often as may": {[]corev1.Pod{pod(time.Hour, true, 1)}, v1alpha1.VerdictPass, ReasonPodsHealthy},
		"restarted too often":       {[]corev1.Pod{pod(time.Hour, true, 0), pod(time.Second, true, 2)}, v1alpha1.VerdictFail, ReasonPodsRestarting},
		"one goes, one is ready":    {[]corev1.Pod{going, pod(time.Hour, true, 0)}, v1alpha1.VerdictPass, ReasonPodsHealthy},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			v := JudgePods(trigger, tc.pods, now)
			if v.Outcome != tc.outcome || v.Reason != tc.reason || v.Message == "" {
				t.Errorf("%+v, want %s %s", v, tc.outcome, tc.reason)
			}
		})
	}
}

func template(image string, labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}}}
}

// TestARevisionIsTheTemplatesOwn: what the Deployment controller and Belay add
// to a template does not make it another version; what the user changes does.
func TestARevisionIsTheTemplatesOwn(t *testing.T) {
	revision := func(t2 corev1.PodTemplateSpec) string {
		r, err := RevisionOf(t2)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	base := revision(template("shop:1", map[string]string{"app": "shop"}))
	if len(base) != 10 {
		t.Errorf("revision %q", base)
	}
	added := map[string]string{"app": "shop", appsv1.DefaultDeploymentUniqueLabelKey: "6c7", v1alpha1.LabelRevision: "x", v1alpha1.LabelRole: "canary"}
	if got := revision(template("shop:1", added)); got != base {
		t.Errorf("the labels that controllers add make it %s, not %s", got, base)
	}
	if revision(template("shop:2", map[string]string{"app": "shop"})) == base || revision(template("shop:1", map[string]string{"app": "other"})) == base {
		t.Error("another template has the same revision")
	}
	given := template("shop:1", added)
	TemplateOf(given)
	if len(given.Labels) != 4 {
		t.Error("TemplateOf changed what it was given")
	}
}

func TestCanaryIsTheRolloutsAndLooksLikeTheDeployments(t *testing.T) {
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "team", UID: "u1"}}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "team"}, Spec: appsv1.DeploymentSpec{
		MinReadySeconds: 7, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}}}
	set := Canary(rollout, deployment, template("shop:2", map[string]string{"app": "shop"}), "abcdef0123", 3)
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case !metav1.IsControlledBy(set, rollout):
		t.Error("the Rollout does not control it")
	case set.Name != "shop-abcdef0123" || set.Namespace != "team" || *set.Spec.Replicas != 3 || set.Spec.MinReadySeconds != 7:
		t.Errorf("made %s/%s with %d replicas", set.Namespace, set.Name, *set.Spec.Replicas)
	case !selector.Matches(labelsOf(set.Spec.Template.Labels)):
		t.Error("it does not select its own pods")
	case selector.Matches(labelsOf{"app": "shop"}):
		t.Error("it selects the Deployment's pods")
	case len(deployment.Spec.Selector.MatchLabels) != 1:
		t.Error("the Deployment's selector was changed")
	}
}

type labelsOf map[string]string

func (l labelsOf) Has(k string) bool              { _, ok := l[k]; return ok }
func (l labelsOf) Get(k string) string            { return l[k] }
func (l labelsOf) Lookup(k string) (string, bool) { v, ok := l[k]; return v, ok }

func TestSettled(t *testing.T) {
	settled := func(change func(*appsv1.Deployment)) bool {
		want := int32(2)
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: 3}, Spec: appsv1.DeploymentSpec{Replicas: &want},
			Status: appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}}
		change(d)
		return Settled(d)
	}
	for name, tc := range map[string]struct {
		change func(*appsv1.Deployment)
		want   bool
	}{
		"all are updated and available": {func(*appsv1.Deployment) {}, true},
		"the newest spec is not seen":   {func(d *appsv1.Deployment) { d.Generation = 4 }, false},
		"one is not updated":            {func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }, false},
		"one is not available":          {func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }, false},
		"an old one is left":            {func(d *appsv1.Deployment) { d.Status.Replicas = 3 }, false},
	} {
		if got := settled(tc.change); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
