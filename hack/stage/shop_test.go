package stage

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/api/v1alpha1"
)

// on is a stage on a cluster with these objects.
func on(t *testing.T, objects ...client.Object) *Stage {
	t.Helper()
	scheme := runtime.NewScheme()
	NewWithT(t).Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	NewWithT(t).Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	return &Stage{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()}
}

func named(name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: "u", Labels: labels}
}

func TestSomebodyElsesNamespaceIsLeftAlone(t *testing.T) {
	g := NewWithT(t)
	theirs := &corev1.Namespace{ObjectMeta: named("shop", map[string]string{"team": "payments"})}
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: "shop"}}
	s := on(t, theirs, rollout)
	shop := s.Shop("shop")

	g.Expect(shop.Serve(t.Context(), "image")).To(MatchError(And(
		ContainSubstring("namespace shop is somebody else's"), ContainSubstring(label), ContainSubstring("another cluster"))))
	g.Expect(shop.Remove(t.Context())).To(Succeed(), "there is nothing of the stage's to remove")

	g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(theirs), theirs)).To(Succeed())
	g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(rollout), rollout)).To(Succeed())
}

func TestTheStagesNamespaceIsRemoved(t *testing.T) {
	g := NewWithT(t)
	ours := &corev1.Namespace{ObjectMeta: named("shop", map[string]string{label: "true"})}
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: "shop"}}
	s := on(t, ours, rollout)

	g.Expect(s.Shop("shop").Remove(t.Context())).To(Succeed())
	for _, object := range []client.Object{ours, rollout} {
		g.Expect(apierrors.IsNotFound(s.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object))).To(BeTrue())
	}
	g.Expect(s.Shop("shop").Remove(t.Context())).To(Succeed(), "once more, with nothing left")
}

// TestTheShopsNamespaceIsMarked: otherwise the next stage would refuse it.
func TestTheShopsNamespaceIsMarked(t *testing.T) {
	NewWithT(t).Expect(on(t).Shop("shop").fill(shopManifest)).To(ContainSubstring(label + `: "true"`))
}

// TestAnOrderedShopIsAStatefulSetWithoutTraffic: replacements that no longer match would be silent.
func TestAnOrderedShopIsAStatefulSetWithoutTraffic(t *testing.T) {
	g := NewWithT(t)
	shop := on(t).Shop("shop")
	shop.Ordered = true
	g.Expect(shop.Declared("image")).To(And(ContainSubstring("kind: StatefulSet\n"), ContainSubstring("volumeClaimTemplates:"),
		ContainSubstring("SHOP_DATA"), ContainSubstring("clusterIP: None\n"), Not(ContainSubstring("Deployment"))))
	g.Expect(shop.DeclaredGuard(Short()...)).To(And(ContainSubstring("workloadRef: {kind: StatefulSet, name: shop}\n"), Not(ContainSubstring("traffic"))))
}

// TestANamespaceOnItsWayOutIsWaitedFor: Leave does not wait for it, and AwaitRemovals does.
func TestANamespaceOnItsWayOutIsWaitedFor(t *testing.T) {
	g := NewWithT(t)
	held := named("shop", map[string]string{label: "true"})
	held.Finalizers = []string{"kubernetes"}
	theirs := named("theirs", nil)
	theirs.Finalizers = held.Finalizers
	s := on(t, &corev1.Namespace{ObjectMeta: held}, &corev1.Namespace{ObjectMeta: theirs})
	g.Expect(s.AwaitRemovals(t.Context())).To(Succeed(), "nothing is on its way out")

	namespace, err := s.Shop("shop").Leave(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(namespace.Name).To(Equal("shop"))
	g.Expect(s.Client.Delete(t.Context(), &corev1.Namespace{ObjectMeta: theirs})).To(Succeed())
	short, cancel := context.WithTimeout(t.Context(), lookEvery)
	defer cancel()
	g.Expect(s.AwaitRemovals(short)).To(MatchError(ContainSubstring("removed: shop: context deadline exceeded")))

	g.Expect(s.Client.Get(t.Context(), client.ObjectKeyFromObject(namespace), namespace)).To(Succeed())
	namespace.Finalizers = nil
	g.Expect(s.Client.Update(t.Context(), namespace)).To(Succeed())
	g.Expect(s.AwaitRemovals(t.Context())).To(Succeed(), "somebody else's is none of the stage's business")
}
