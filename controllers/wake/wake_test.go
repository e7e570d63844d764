package wake

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
)

func scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// indexedClient is a client with Belay's indexes, as the manager's cache has them.
func indexedClient(t testing.TB, objects ...client.Object) client.Client {
	t.Helper()
	b := fake.NewClientBuilder().WithScheme(scheme(t)).WithObjects(objects...)
	for field, values := range Values() {
		b = b.WithIndex(&v1alpha1.Rollout{}, field, values)
	}
	return b.WithIndex(&autoscalingv2.HorizontalPodAutoscaler{}, ByTarget, Target).Build()
}

func TestAutoscalersOfAWorkload(t *testing.T) {
	g := NewWithT(t)
	scales := func(name, kind, target string) *autoscalingv2.HorizontalPodAutoscaler {
		return &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: kind, Name: target}}}
	}
	c := indexedClient(t, scales("own", "Deployment", "web"), scales("other", "Deployment", "api"), scales("ordered", "StatefulSet", "web"), scales("set", "ReplicaSet", "web"))
	for kind, want := range map[string]string{"": "own", "Deployment": "own", "StatefulSet": "ordered"} {
		found := &autoscalingv2.HorizontalPodAutoscalerList{}
		g.Expect(c.List(t.Context(), found, client.InNamespace("shop"), client.MatchingFields{ByTarget: WorkloadKey(kind, "web")})).To(Succeed())
		g.Expect(found.Items).To(HaveLen(1))
		g.Expect(found.Items[0].Name).To(Equal(want))
	}
}

func rollout(name string, phase v1alpha1.Phase) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec: v1alpha1.RolloutSpec{
			WorkloadRef: v1alpha1.WorkloadRef{Kind: "Deployment", Name: "deploy-" + name},
			Traffic:     &v1alpha1.Traffic{Service: "svc-" + name, Routes: []v1alpha1.RouteRef{{Kind: "HTTPRoute", Name: "web"}, {Name: "only-" + name}, {Kind: "GRPCRoute", Name: "rpc"}}},
			Guardrails:  []v1alpha1.GuardrailRef{{Name: "house"}},
		},
		Status: v1alpha1.RolloutStatus{Phase: phase},
	}
}

func TestPriority(t *testing.T) {
	commanded := func(phase v1alpha1.Phase, handled string) *v1alpha1.Rollout {
		r := rollout("a", phase)
		r.Annotations = map[string]string{v1alpha1.AnnotationActionToken: "2"}
		r.Status.LastHandledAction = &v1alpha1.HandledAction{Token: handled}
		return r
	}
	repeated := commanded(v1alpha1.PhaseRolledBack, "3")
	repeated.Status.HandledTokens = []string{"3", "2"}
	deleted := rollout("a", v1alpha1.PhaseStable)
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	first := rollout("a", v1alpha1.PhaseStable)
	first.Annotations = map[string]string{v1alpha1.AnnotationActionToken: "1"}
	for name, c := range map[string]struct {
		rollout *v1alpha1.Rollout
		want    int
	}{
		"new":               {rollout("a", ""), Normal},
		"stable":            {rollout("a", v1alpha1.PhaseStable), Idle},
		"rolled back":       {rollout("a", v1alpha1.PhaseRolledBack), Idle},
		"gating":            {rollout("a", v1alpha1.PhaseGating), Normal},
		"stepping":          {rollout("a", v1alpha1.PhaseStepping), Normal},
		"promoting":         {rollout("a", v1alpha1.PhasePromoting), Normal},
		"baking":            {rollout("a", v1alpha1.PhaseBaking), Normal},
		"handing over":      {rollout("a", v1alpha1.PhaseHandingOver), Urgent},
		"rolling back":      {rollout("a", v1alpha1.PhaseRollingBack), Urgent},
		"deleted":           {deleted, Urgent},
		"command":           {commanded(v1alpha1.PhaseStepping, "1"), Urgent},
		"first command":     {first, Urgent},
		"command when idle": {commanded(v1alpha1.PhaseRolledBack, "1"), Urgent},
		"command repeated":  {repeated, Idle},
		"command handled":   {commanded(v1alpha1.PhaseRolledBack, "2"), Idle},
	} {
		t.Run(name, func(t *testing.T) { NewWithT(t).Expect(Priority(c.rollout)).To(Equal(c.want)) })
	}
}

// taken are the Rollouts a queue holds, each as name@priority, in the order in
// which a worker gets them.
func taken(t *testing.T, feed func(q workqueue.TypedRateLimitingInterface[reconcile.Request])) []string {
	t.Helper()
	q := priorityqueue.New[reconcile.Request](t.Name())
	defer q.ShutDown()
	feed(q)
	// The last one marks the end: nothing has a lower priority.
	last := reconcile.Request{NamespacedName: client.ObjectKey{Name: "end"}}
	lowest := Idle - 1
	q.AddWithOpts(priorityqueue.AddOpts{Priority: &lowest}, last)
	var got []string
	for {
		r, priority, _ := q.GetWithPriority()
		if r == last {
			return got
		}
		got = append(got, fmt.Sprintf("%s@%d", r.Name, priority))
		q.Done(r)
	}
}

func update(h handler.EventHandler, t *testing.T, before, now client.Object) []string {
	t.Helper()
	before.SetResourceVersion("1")
	now.SetResourceVersion("2")
	return taken(t, func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		h.Update(t.Context(), event.UpdateEvent{ObjectOld: before, ObjectNew: now}, q)
	})
}

func named(o client.Object, name string, labels map[string]string) client.Object {
	o.SetNamespace("shop")
	o.SetName(name)
	o.SetLabels(labels)
	return o
}

func TestWhomAnEventWakes(t *testing.T) {
	elsewhere := rollout("a", v1alpha1.PhaseStable)
	elsewhere.Namespace = "other"
	// It is for a StatefulSet with the name of a's Deployment.
	ordered := rollout("ordered", v1alpha1.PhaseStable)
	ordered.Spec = v1alpha1.RolloutSpec{WorkloadRef: v1alpha1.WorkloadRef{Kind: v1alpha1.KindStatefulSet, Name: "deploy-a"}}
	c := indexedClient(t, rollout("a", v1alpha1.PhaseStable), rollout("b", v1alpha1.PhaseRollingBack), ordered, elsewhere)
	podOf := func(kind, owner string) client.Object {
		pod := named(&corev1.Pod{}, owner+"-0", nil)
		pod.SetOwnerReferences([]metav1.OwnerReference{{Kind: kind, Name: owner, Controller: new(true)}})
		return pod
	}
	unstructuredOf := func(kind string) client.Object {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
		return named(u, "deploy-a", nil)
	}
	slice := func(labels map[string]string) client.Object { return named(&discoveryv1.EndpointSlice{}, "s", labels) }
	for name, tc := range map[string]struct {
		h      handler.EventHandler
		object client.Object
		want   []string
	}{
		"Deployment":                {RolloutsByWorkload(c), named(&appsv1.Deployment{}, "deploy-a", nil), []string{"a@0"}},
		"Deployment, unstructured":  {RolloutsByWorkload(c), unstructuredOf("Deployment"), []string{"a@0"}},
		"StatefulSet":               {RolloutsByWorkload(c), named(&appsv1.StatefulSet{}, "deploy-a", nil), []string{"ordered@0"}},
		"StatefulSet, unstructured": {RolloutsByWorkload(c), unstructuredOf("StatefulSet"), []string{"ordered@0"}},
		"pod of it":                 {RolloutsByPod(c), podOf("StatefulSet", "deploy-a"), []string{"ordered@0"}},
		"pod of another":            {RolloutsByPod(c), podOf("StatefulSet", "deploy-b"), nil},
		"pod of a ReplicaSet":       {RolloutsByPod(c), podOf("ReplicaSet", "deploy-a"), nil},
		"pod of nobody":             {RolloutsByPod(c), named(&corev1.Pod{}, "deploy-a-0", nil), nil},
		"its autoscaler":            {RolloutsByAutoscaler(c), autoscaler("StatefulSet", "deploy-a"), []string{"ordered@0"}},
		"autoscaler of it":          {RolloutsByAutoscaler(c), autoscaler("Deployment", "deploy-a"), []string{"a@0"}},
		"autoscaler of a set":       {RolloutsByAutoscaler(c), autoscaler("ReplicaSet", "deploy-a"), nil},
		"autoscaler of another":     {RolloutsByAutoscaler(c), autoscaler("Deployment", "a"), nil},
		"foreign Deployment":        {RolloutsByWorkload(c), named(&appsv1.Deployment{}, "a", nil), nil},
		"Service":                   {RolloutsByService(c), named(&corev1.Service{}, "svc-b", nil), []string{"b@100"}},
		"slice of the Service":      {RolloutsByService(c), slice(map[string]string{discoveryv1.LabelServiceName: "svc-a"}), []string{"a@0"}},
		"slice without Service":     {RolloutsByService(c), slice(nil), nil},
		"slice of a generated one":  {RolloutsByLabel(c), slice(map[string]string{v1alpha1.LabelRollout: "b"}), []string{"b@100"}},
		"route of two":              {RolloutsByRoute(c, "HTTPRoute"), named(&gatewayv1.HTTPRoute{}, "web", nil), []string{"b@100", "a@0"}},
		"route without a kind":      {RolloutsByRoute(c, "HTTPRoute"), named(&gatewayv1.HTTPRoute{}, "only-a", nil), []string{"a@0"}},
		"gRPC route of two":         {RolloutsByRoute(c, "GRPCRoute"), named(&gatewayv1.GRPCRoute{}, "rpc", nil), []string{"b@100", "a@0"}},
		"route of another kind":     {RolloutsByRoute(c, "GRPCRoute"), named(&gatewayv1.GRPCRoute{}, "web", nil), nil},
		"Guardrail":                 {RolloutsByGuardrail(c), named(&v1alpha1.Guardrail{}, "house", nil), []string{"b@100", "a@0"}},
		"foreign Guardrail":         {RolloutsByGuardrail(c), named(&v1alpha1.Guardrail{}, "garage", nil), nil},
		"ReplicaSet":                {RolloutsByLabel(c), named(&appsv1.ReplicaSet{}, "x", map[string]string{v1alpha1.LabelRollout: "a"}), []string{"a@0"}},
		"ReplicaSet without label":  {RolloutsByLabel(c), named(&appsv1.ReplicaSet{}, "x", nil), nil},
		"ReplicaSet of one gone":    {RolloutsByLabel(c), named(&appsv1.ReplicaSet{}, "x", map[string]string{v1alpha1.LabelRollout: "gone"}), nil},
		"the Rollout itself":        {Self(), rollout("a", v1alpha1.PhaseStable), []string{"a@0"}},
		"the Rollout, rolling back": {Self(), rollout("b", v1alpha1.PhaseRollingBack), []string{"b@100"}},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := tc.object.DeepCopyObject().(client.Object)
			NewWithT(t).Expect(update(tc.h, t, before, tc.object)).To(Equal(tc.want))
		})
	}
}

func autoscaler(kind, name string) *autoscalingv2.HorizontalPodAutoscaler {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: kind, Name: name}}}
	hpa.Namespace, hpa.Name = "shop", "any"
	return hpa
}

func TestAnAutoscalersStatusIsNoNews(t *testing.T) {
	looked, retargeted := autoscaler("Deployment", "deploy-a"), autoscaler("Deployment", "deploy-b")
	looked.Status.CurrentReplicas = 3
	for _, c := range []struct {
		now  *autoscalingv2.HorizontalPodAutoscaler
		want bool
	}{{looked, false}, {retargeted, true}} {
		if got := AutoscalerChanged().Update(event.UpdateEvent{ObjectOld: autoscaler("Deployment", "deploy-a"), ObjectNew: c.now}); got != c.want {
			t.Errorf("woken by %+v: %v", c.now, got)
		}
	}
}

// TestAnObjectThatMovesWakesBoth: whom it concerned before and whom it does now.
func TestAnObjectThatMovesWakesBoth(t *testing.T) {
	c := indexedClient(t, rollout("a", v1alpha1.PhaseStable), rollout("b", v1alpha1.PhaseStable))
	of := func(name string) client.Object {
		return named(&appsv1.ReplicaSet{}, "x", map[string]string{v1alpha1.LabelRollout: name})
	}
	NewWithT(t).Expect(update(RolloutsByLabel(c), t, of("a"), of("b"))).To(ConsistOf("a@0", "b@0"))
}

func TestAFiredTriggerIsUrgent(t *testing.T) {
	run := func(of string, verdict v1alpha1.VerdictOutcome, outcome v1alpha1.Outcome) *v1alpha1.RolloutRun {
		r := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: of + "-1"}}
		r.Spec.Rollout.Name = of
		r.Status.Outcome = outcome
		r.Status.Analysis = &v1alpha1.AnalysisStatus{Verdict: verdict}
		return r
	}
	metadata := func(labels map[string]string) client.Object {
		return named(&metav1.PartialObjectMetadata{}, "r", labels)
	}
	checked := func(check v1alpha1.VerdictOutcome, outcome v1alpha1.Outcome) *v1alpha1.RolloutRun {
		r := run("a", v1alpha1.VerdictPass, outcome)
		r.Status.Checks = []v1alpha1.CheckStatus{{Outcome: check}, {}}
		return r
	}
	c := indexedClient(t, rollout("a", v1alpha1.PhaseStepping), rollout("idle", v1alpha1.PhaseStable))
	for name, tc := range map[string]struct {
		run  client.Object
		want []string
	}{
		"passes":                  {run("a", v1alpha1.VerdictPass, ""), []string{"a@0"}},
		"fails":                   {run("a", v1alpha1.VerdictFail, ""), []string{"a@100"}},
		"failed, has an outcome":  {run("a", v1alpha1.VerdictFail, v1alpha1.OutcomeRolledBack), []string{"a@0"}},
		"a check fails":           {checked(v1alpha1.VerdictFail, ""), []string{"a@100"}},
		"a check passes":          {checked(v1alpha1.VerdictPass, ""), []string{"a@0"}},
		"a check failed before":   {checked(v1alpha1.VerdictFail, v1alpha1.OutcomeRolledBack), []string{"a@0"}},
		"a late verdict":          {run("idle", v1alpha1.VerdictFail, ""), []string{"idle@0"}},
		"metadata":                {metadata(map[string]string{v1alpha1.LabelRollout: "a"}), []string{"a@100"}},
		"metadata of an idle one": {metadata(map[string]string{v1alpha1.LabelRollout: "idle"}), []string{"idle@0"}},
		"metadata, finished": {metadata(map[string]string{v1alpha1.LabelRollout: "a", v1alpha1.LabelOutcome: "Promoted"}),
			[]string{"a@0"}},
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := tc.run.DeepCopyObject().(client.Object)
			NewWithT(t).Expect(update(RolloutsByRun(c), t, before, tc.run)).To(Equal(tc.want))
		})
	}
}

// TestNoNewsIsIdle: what the initial list and a resync repeat comes last, unless
// the Rollout itself is in a hurry.
func TestNoNewsIsIdle(t *testing.T) {
	g := NewWithT(t)
	idle, busy := rollout("idle", v1alpha1.PhaseStable), rollout("busy", v1alpha1.PhaseRollingBack)
	g.Expect(taken(t, func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		Self().Create(t.Context(), event.CreateEvent{Object: idle, IsInInitialList: true}, q)
		Self().Create(t.Context(), event.CreateEvent{Object: busy, IsInInitialList: true}, q)
	})).To(Equal([]string{"busy@100", "idle@-100"}))
	g.Expect(taken(t, func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		Self().Update(t.Context(), event.UpdateEvent{ObjectOld: idle, ObjectNew: idle}, q)
	})).To(Equal([]string{"idle@-100"}))
	g.Expect(taken(t, func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		Self().Create(t.Context(), event.CreateEvent{Object: idle}, q)
	})).To(Equal([]string{"idle@0"}))
	g.Expect(taken(t, func(q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		Self().Delete(t.Context(), event.DeleteEvent{Object: idle}, q)
	})).To(Equal([]string{"idle@0"}), "a deleted Rollout is dropped from memory")
}

// TestAPlainQueueIsFine: without priorities the Rollout comes all the same.
func TestAPlainQueueIsFine(t *testing.T) {
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer q.ShutDown()
	Enqueue(q, rollout("a", v1alpha1.PhaseStable), true)
	NewWithT(t).Expect(q.Len()).To(Equal(1))
}

func TestARolloutWithoutTrafficHasNoServiceToFindItBy(t *testing.T) {
	g := NewWithT(t)
	r := rollout("a", v1alpha1.PhaseStable)
	r.Spec.Traffic = nil
	g.Expect(Values()[ByService](r)).To(BeEmpty())
	g.Expect(Values()[ByRoute](r)).To(BeEmpty())
	g.Expect(Values()[ByWorkload](r)).To(Equal([]string{"Deployment/deploy-a"}))
}

// TestAGuardrailWakesItsRolloutsWhenItsUseChanges, not at every probe of its indicators.
func TestAGuardrailWakesItsRolloutsWhenItsUseChanges(t *testing.T) {
	guardrail := func(change func(*v1alpha1.Guardrail)) *v1alpha1.Guardrail {
		g := &v1alpha1.Guardrail{}
		g.Generation, g.Status.ObservedGeneration = 2, 2
		g.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonMeasured, Message: "1"}}
		change(g)
		return g
	}
	reason := func(name, message string) func(*v1alpha1.Guardrail) {
		return func(g *v1alpha1.Guardrail) {
			g.Status.Conditions[0].Reason, g.Status.Conditions[0].Message = name, message
		}
	}
	same := func(*v1alpha1.Guardrail) {}
	for name, tc := range map[string]struct {
		before, now func(*v1alpha1.Guardrail)
		wakes       bool
	}{
		"another number":   {same, reason(v1alpha1.ReasonMeasured, "2"), false},
		"another label":    {same, reason(v1alpha1.ReasonUnknownLabel, "2"), false},
		"a mistake":        {same, reason(v1alpha1.ReasonInvalidSpec, "2"), true},
		"another mistake":  {reason(v1alpha1.ReasonInvalidSpec, "2"), reason(v1alpha1.ReasonInvalidSpec, "3"), true},
		"a mended mistake": {reason(v1alpha1.ReasonInvalidSpec, "2"), same, true},
		"a changed spec":   {func(g *v1alpha1.Guardrail) { g.Generation = 1 }, same, true},
		"a checked spec":   {func(g *v1alpha1.Guardrail) { g.Status.ObservedGeneration = 1 }, same, true},
		"a warning": {same, func(g *v1alpha1.Guardrail) {
			g.Status.Exclusions = []v1alpha1.ExclusionStatus{{Rollout: "shop/shop", Trigger: "errors"}}
		}, true},
		"a deletion": {same, func(g *v1alpha1.Guardrail) { g.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, true},
	} {
		if got := GuardrailChanged().Update(event.UpdateEvent{ObjectOld: guardrail(tc.before), ObjectNew: guardrail(tc.now)}); got != tc.wakes {
			t.Errorf("%s: wakes %v", name, got)
		}
	}
}

// TestAFreezeWakesWhatItMayHold: candidates, and nothing for its status.
func TestAFreezeWakesWhatItMayHold(t *testing.T) {
	g := NewWithT(t)
	elsewhere := rollout("c", v1alpha1.PhaseBaking)
	elsewhere.Namespace = "other"
	h := RolloutsOfFreeze(indexedClient(t, rollout("a", v1alpha1.PhaseStable), rollout("b", v1alpha1.PhaseGating), elsewhere, rollout("d", v1alpha1.PhaseRollingBack)))
	freeze := func(generation int64) *v1alpha1.Freeze {
		return &v1alpha1.Freeze{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "sale", Generation: generation}}
	}
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	g.Expect(taken(t, func(q queue) { h.Create(t.Context(), event.CreateEvent{Object: freeze(1)}, q) })).To(Equal([]string{"b@0"}))
	g.Expect(taken(t, func(q queue) { h.Delete(t.Context(), event.DeleteEvent{Object: freeze(1)}, q) })).To(Equal([]string{"b@0"}))
	changed, seen := freeze(2), freeze(1)
	changed.ResourceVersion, seen.ResourceVersion = "2", "2"
	g.Expect(taken(t, func(q queue) {
		h.Update(t.Context(), event.UpdateEvent{ObjectOld: freeze(1), ObjectNew: changed}, q)
	})).To(Equal([]string{"b@0"}))
	g.Expect(taken(t, func(q queue) {
		h.Update(t.Context(), event.UpdateEvent{ObjectOld: freeze(1), ObjectNew: seen}, q)
	})).To(BeEmpty())
	g.Expect(taken(t, func(q queue) {
		h.Create(t.Context(), event.CreateEvent{Object: &v1alpha1.ClusterFreeze{}}, q)
	})).To(ConsistOf("b@0", "c@0"))
}

func TestARolloutIsFoundByItsComparersService(t *testing.T) {
	g := NewWithT(t)
	r := rollout("a", v1alpha1.PhaseStable)
	r.Spec.Traffic.Comparer = &v1alpha1.Comparer{Service: "a-comparer"}
	g.Expect(Values()[ByService](r)).To(Equal([]string{"svc-a", "a-comparer"}))
}
