package calendars_test

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/calendars"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// TestTheStatusOfAFreeze follows one through its window.
func TestTheStatusOfAFreeze(t *testing.T) {
	after := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: noon.Add(d)} }
	spec := v1alpha1.FreezeSpec{Owner: "sre", Reason: "sale", Expires: after(3 * time.Hour), Windows: []v1alpha1.FreezeWindow{{From: after(20 * time.Second), Until: after(2 * time.Hour)}}}
	freeze := &v1alpha1.Freeze{ObjectMeta: metav1.ObjectMeta{Name: "sale", Namespace: "shop", Generation: 3}, Spec: spec}
	broken := &v1alpha1.Freeze{ObjectMeta: metav1.ObjectMeta{Name: "broken", Namespace: "shop"}, Spec: v1alpha1.FreezeSpec{Windows: []v1alpha1.FreezeWindow{{}}}}
	everywhere := &v1alpha1.ClusterFreeze{ObjectMeta: metav1.ObjectMeta{Name: "sale"}, Spec: v1alpha1.ClusterFreezeSpec{FreezeSpec: spec,
		NamespaceSelector: metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}}}
	unselective := &v1alpha1.ClusterFreeze{ObjectMeta: metav1.ObjectMeta{Name: "unreadable"}, Spec: v1alpha1.ClusterFreezeSpec{FreezeSpec: spec,
		NamespaceSelector: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Perhaps"}}}}}
	objects := []client.Object{freeze, broken, everywhere, unselective}
	for name, env := range map[string]string{"shop": "prod", "search": "prod", "lab": "test"} {
		objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"env": env}}},
			&v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: name}})
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Freeze{}, &v1alpha1.ClusterFreeze{}).Build()
	for name, test := range map[string]struct {
		namespace, name string
		now             time.Time
		ready           metav1.ConditionStatus
		reason          string
		active          bool
		opens, closes   *metav1.Time
		rollouts        int32
		again           time.Duration
	}{
		"before its window": {"shop", "sale", noon, metav1.ConditionTrue, v1alpha1.ReasonValid, false, nil, after(20 * time.Second), 1, 20 * time.Second},
		"in its window":     {"shop", "sale", noon.Add(time.Hour), metav1.ConditionTrue, v1alpha1.ReasonValid, true, after(2 * time.Hour), nil, 1, time.Minute},
		"after its window":  {"shop", "sale", noon.Add(2 * time.Hour), metav1.ConditionTrue, v1alpha1.ReasonValid, false, nil, nil, 1, time.Minute},
		"expired":           {"shop", "sale", noon.Add(3 * time.Hour), metav1.ConditionTrue, v1alpha1.ReasonExpired, false, nil, nil, 1, time.Minute},
		"unreadable":        {"shop", "broken", noon, metav1.ConditionFalse, v1alpha1.ReasonInvalid, true, nil, nil, 1, time.Minute},
		"by selector":       {"", "sale", noon.Add(time.Hour), metav1.ConditionTrue, v1alpha1.ReasonValid, true, after(2 * time.Hour), nil, 2, time.Minute},
		"by none":           {"", "unreadable", noon, metav1.ConditionFalse, v1alpha1.ReasonInvalid, true, nil, nil, 3, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := &calendars.Reconciler{Client: c, Clock: clocktesting.NewFakePassiveClock(test.now), Every: time.Minute}
			key := types.NamespacedName{Namespace: test.namespace, Name: test.name}
			result, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: key})
			if err != nil {
				t.Fatal(err)
			}
			status := statusOf(t, c, key)
			ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
			if ready == nil || ready.Status != test.ready || ready.Reason != test.reason || *status.Active != test.active || *status.Rollouts != test.rollouts {
				t.Errorf("%+v, active %t, for %d Rollouts", ready, *status.Active, *status.Rollouts)
			}
			if !status.NextOpens.Equal(test.opens) || !status.NextCloses.Equal(test.closes) {
				t.Errorf("opens %s, closes %s", status.NextOpens, status.NextCloses)
			}
			if result.RequeueAfter != test.again && test.reason != v1alpha1.ReasonInvalid {
				t.Errorf("again after %s", result.RequeueAfter)
			}
		})
	}
	gone := &calendars.Reconciler{Client: c, Clock: clocktesting.NewFakePassiveClock(noon), Every: time.Minute}
	if _, err := gone.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "gone"}}); err != nil {
		t.Error(err)
	}
}

func statusOf(t *testing.T, c client.Client, key types.NamespacedName) v1alpha1.FreezeStatus {
	t.Helper()
	if key.Namespace == "" {
		f := &v1alpha1.ClusterFreeze{}
		if err := c.Get(t.Context(), key, f); err != nil {
			t.Fatal(err)
		}
		return f.Status
	}
	f := &v1alpha1.Freeze{}
	if err := c.Get(t.Context(), key, f); err != nil {
		t.Fatal(err)
	}
	return f.Status
}
