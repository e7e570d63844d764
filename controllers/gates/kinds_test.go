package gates

import (
	"context"
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// ordered makes the bench's Rollout one of a StatefulSet, which stands beside the
// Deployment of the same name.
func (b *guardBench) ordered(set *appsv1.StatefulSet) {
	b.t.Helper()
	rollout := b.rollout()
	rollout.Spec.WorkloadRef.Kind = v1alpha1.KindStatefulSet
	b.Expect(b.client.Update(b.t.Context(), rollout)).To(Succeed())
	if set != nil {
		b.Expect(b.client.Create(b.t.Context(), set)).To(Succeed())
	}
}

func labelledSet(label string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", UID: "s1", Labels: map[string]string{v1alpha1.LabelRollout: label}}}
}

func TestTheGuardLooksAtTheWorkloadOfTheKind(t *testing.T) {
	for name, c := range map[string]struct {
		set   *appsv1.StatefulSet
		says  string
		asked int
		want  plan.GateOutcome
	}{
		"labelled":        {labelledSet("shop"), "a changed template is held", 1, plan.Open},
		"not labelled":    {labelledSet(""), "the guard holds StatefulSet shop from when Belay sets its label", 0, plan.Unknown},
		"another's label": {labelledSet("other"), `StatefulSet shop is labelled for another Rollout, "other"`, 0, plan.Unknown},
		"there is none":   {nil, "StatefulSet shop does not exist", 0, plan.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			b := newGuardBench(t)
			b.ordered(c.set)
			b.paused = true
			b.look()
			b.Expect(b.last().Outcome).To(Equal(c.want))
			b.Expect(b.last().Message).To(ContainSubstring(c.says))
			b.Expect(b.asked).To(Equal(c.asked))
		})
	}
}

// TestAStatefulSetsMissingPolicy is told from one that is new, as of Deployments.
func TestAStatefulSetsMissingPolicy(t *testing.T) {
	b := newGuardBench(t)
	b.ordered(labelledSet("shop"))
	b.look()
	b.Expect(b.last().Outcome).To(Equal(plan.Unknown))
	b.Expect(b.last().Message).To(ContainSubstring("waiting for the API server to enforce the guard"))
	b.after(settlingTime).look()
	b.Expect(b.last().Outcome).To(Equal(plan.Closed))
	b.Expect(b.last().Reason).To(Equal(v1alpha1.ReasonGuardMissing))
	b.Expect(b.last().Message).To(ContainSubstring("a pushed template would roll at once"))
}

// TestWhatHoldsAStatefulSet: nothing but the one partition that no ordinal reaches.
func TestWhatHoldsAStatefulSet(t *testing.T) {
	partition := func(n int32) client.Object {
		return &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
			RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &n}}}}
	}
	for name, c := range map[string]struct {
		object client.Object
		want   bool
	}{
		"hold":                  {partition(v1alpha1.PartitionHold), true},
		"one less":              {partition(v1alpha1.PartitionHold - 1), false},
		"zero":                  {partition(0), false},
		"no partition":          {&appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{UpdateStrategy: appsv1.StatefulSetUpdateStrategy{RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{}}}}, false},
		"no rolling update":     {&appsv1.StatefulSet{}, false},
		"a paused Deployment":   {&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Paused: true}}, false},
		"nothing of a workload": {&v1alpha1.Rollout{}, false},
	} {
		t.Run(name, func(t *testing.T) { NewWithT(t).Expect(statefulSets.waits(c.object)).To(Equal(c.want)) })
	}
}

// TestTheDryRunsLetAStatefulSetRoll: one that is held already proves nothing unless the
// request itself says otherwise.
func TestTheDryRunsLetAStatefulSetRoll(t *testing.T) {
	g := NewWithT(t)
	var documents []map[string]any
	as := interceptor.NewClient(fake.NewClientBuilder().WithScheme(testScheme(t)).Build(), interceptor.Funcs{
		Patch: func(_ context.Context, _ client.WithWatch, o client.Object, p client.Patch, _ ...client.PatchOption) error {
			raw, err := p.Data(nil)
			g.Expect(err).NotTo(HaveOccurred())
			document := map[string]any{}
			g.Expect(json.Unmarshal(raw, &document)).To(Succeed())
			documents = append(documents, document)
			waiting(o, true)
			return nil
		},
	})
	statefulSets.probe(t.Context(), as, shop, start)
	g.Expect(documents).To(HaveLen(2))
	rolls := map[string]any{"rollingUpdate": map[string]any{"partition": 0.0}}
	for _, document := range documents {
		g.Expect(document["spec"]).To(HaveKeyWithValue("updateStrategy", rolls))
		g.Expect(document["spec"]).To(HaveKey("template"), "which makes a new generation, if it is accepted")
	}
}
