package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/gates"
	"belay.dev/belay/controllers/orphans"
	"belay.dev/belay/controllers/plan"
)

// gateOf asks for the guard's gate of a Rollout, anew each time, as if it had been
// proven before: what is missing is then said at once.
func gateOf(t *testing.T, name string) func() (plan.GateOutcome, string) {
	t.Helper()
	key := types.NamespacedName{Namespace: "shop", Name: name}
	return func() (plan.GateOutcome, string) {
		ctx := context.WithoutCancel(t.Context())
		rollout := &v1alpha1.Rollout{}
		if err := admin.Get(ctx, key, rollout); err != nil {
			return "", err.Error()
		}
		rollout.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionGuarded, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonGuardMissing}}
		guard := &gates.Guard{Client: remembering{admin, rollout}, Probe: as(t, guardProbe), Clock: clock.RealClock{}, Stands: time.Minute}
		if _, err := guard.Reconcile(ctx, reconcile.Request{NamespacedName: key}); err != nil {
			return "", err.Error()
		}
		gate := guard.Last(rollout)
		return gate.Outcome, gate.Message
	}
}

// remembering reads one Rollout as it is given.
type remembering struct {
	client.Reader
	rollout *v1alpha1.Rollout
}

func (r remembering) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if into, ok := o.(*v1alpha1.Rollout); ok {
		r.rollout.DeepCopyInto(into)
		return nil
	}
	return r.Reader.Get(ctx, key, o, opts...)
}

// TestGateOfTheGuard asks for both kinds of Deployment: one that rolls and
// one that is held. A held one is paused in any case, which proves nothing.
func TestGateOfTheGuard(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "gate-rolls", true)
	guarded(t, "gate-held", true)
	rolls, held := gateOf(t, "gate-rolls"), gateOf(t, "gate-held")
	adopt(t, "gate-held", `{"spec":{"paused":true}}`)
	both := func(outcome plan.GateOutcome, says string) func(Gomega) {
		return func(g Gomega) {
			for _, ask := range []func() (plan.GateOutcome, string){rolls, held} {
				got, message := ask()
				g.Expect(got).To(Equal(outcome), message)
				g.Expect(message).To(ContainSubstring(says))
			}
		}
	}
	open := both(plan.Open, "a changed template is paused")
	g.Eventually(open).WithTimeout(soon).Should(Succeed())

	t.Run("nothing pauses, and belay-guard-release refuses", func(t *testing.T) {
		without(t, open, mutating("hold"))
		NewWithT(t).Eventually(both(plan.Closed, "policy belay-guard-hold or its binding is not in force")).WithTimeout(soon).Should(Succeed())
	})
	t.Run("nothing pauses or refuses", func(t *testing.T) {
		without(t, open, mutating("hold"), validating("release"))
		NewWithT(t).Eventually(both(plan.Closed, "would roll at once")).WithTimeout(soon).Should(Succeed())
	})
	t.Run("nothing refuses a bypass", func(t *testing.T) {
		without(t, open, validating("release"))
		NewWithT(t).Eventually(both(plan.Closed, "policy belay-guard-release or its binding is not in force")).WithTimeout(soon).Should(Succeed())
	})
	t.Run("no rights", func(t *testing.T) {
		without(t, open, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "belay-guard-probe"}})
		NewWithT(t).Eventually(both(plan.Unknown, "could not be checked")).WithTimeout(soon).Should(Succeed())
	})
	t.Run("a handover locks the template", func(t *testing.T) {
		guarded(t, "gate-locked", true)
		adopt(t, "gate-locked", `{"metadata":{"labels":{"belay.dev/handover":"gate-1"}}}`)
		outcome, message := gateOf(t, "gate-locked")()
		NewWithT(t).Expect(outcome).To(Equal(plan.Unknown))
		NewWithT(t).Expect(message).To(ContainSubstring("waiting for a handover to end"))
	})
}

// TestGateOfTheGuardOfStatefulSets: it looks at the StatefulSet, also where a Deployment of
// the same name is guarded, and misses each of the policies.
func TestGateOfTheGuardOfStatefulSets(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "gate-set", false)
	guardedSet(t, "gate-set", 0)
	rollout := object(t, strings.ReplaceAll(valid["Rollout"], "rules", "gate-set"))
	apply(t, rollout, []change{{"spec.workloadRef.kind", v1alpha1.KindStatefulSet}, {"spec.traffic", nil}})
	create(t, rollout)
	ask := gateOf(t, "gate-set")
	is := func(want plan.GateOutcome, says string) func(Gomega) {
		return func(g Gomega) {
			got, message := ask()
			g.Expect(got).To(Equal(want), message)
			g.Expect(message).To(ContainSubstring(says))
		}
	}
	open := is(plan.Open, "a changed template is held")
	g.Eventually(open).WithTimeout(soon).Should(Succeed())
	adoptSet(t, "gate-set", `{"spec":`+atPartition(v1alpha1.PartitionHold)+`}`)
	g.Eventually(open).WithTimeout(soon).Should(Succeed(), "one that is held in any case")

	for name, c := range map[string]struct {
		missing []client.Object
		want    plan.GateOutcome
		says    string
	}{
		"nothing holds, and belay-guard-release refuses": {[]client.Object{mutating("statefulsets-hold")}, plan.Closed, "policy belay-guard-statefulsets-hold or its binding is not in force"},
		"nothing holds or refuses":                       {[]client.Object{mutating("statefulsets-hold"), validating("release")}, plan.Closed, "would roll at once"},
		"nothing refuses a bypass":                       {[]client.Object{validating("release")}, plan.Closed, "policy belay-guard-release or its binding is not in force"},
		"no rights":                                      {[]client.Object{&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "belay-guard-probe"}}}, plan.Unknown, "could not be checked"},
	} {
		t.Run(name, func(t *testing.T) {
			without(t, open, c.missing...)
			NewWithT(t).Eventually(is(c.want, c.says)).WithTimeout(soon).Should(Succeed())
		})
	}
	t.Run("the policy of Deployments is not theirs", func(t *testing.T) {
		held := gateOf(t, "gate-set")
		without(t, func(g Gomega) {
			d, err := push(context.WithoutCancel(t.Context()), admin, "gate-set", image())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(d.Spec.Paused).To(BeTrue())
		}, mutating("hold"))
		outcome, message := held()
		NewWithT(t).Expect(outcome).To(Equal(plan.Open), message)
	})
}

// TestOrphanedLabelsGoThroughTheGuard: the controller takes them away, as whoever
// is not exempt could not, and not from a Deployment that changed meanwhile.
func TestOrphanedLabelsGoThroughTheGuard(t *testing.T) {
	g := NewWithT(t)
	d := guarded(t, "orphaned", false)
	adopt(t, "orphaned", `{"metadata":{"labels":{"belay.dev/rejected":"9fd21c3b07","belay.dev/handover":"orphaned-1"}},"spec":{"paused":true}}`)
	recorder := events.NewFakeRecorder(4)
	janitor := &orphans.Labels{Client: as(t, controller, "system:masters"), Live: admin, Events: recorder, FieldManager: "belay"}
	stale := &orphans.Labels{Client: staleReader{janitor.Client, d.DeepCopy()}, Live: admin, Events: recorder, FieldManager: "belay"}
	request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(d)}

	result, err := stale.Reconcile(t.Context(), request)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result.RequeueAfter).NotTo(BeZero(), "the Deployment changed since it was read")
	g.Expect(admin.Get(t.Context(), request.NamespacedName, d)).To(Succeed())
	g.Expect(d.Labels).To(HaveKey(v1alpha1.LabelRollout))
	g.Expect(recorder.Events).To(BeEmpty())

	_, err = janitor.Reconcile(t.Context(), request)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(admin.Get(t.Context(), request.NamespacedName, d)).To(Succeed())
	g.Expect(d.Labels).To(BeEmpty())
	g.Expect(d.Spec.Paused).To(BeTrue())
	g.Expect(<-recorder.Events).To(ContainSubstring("It stays paused"))
}

// staleReader reads one Deployment as it was.
type staleReader struct {
	client.Client
	was *appsv1.Deployment
}

func (r staleReader) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if into, ok := o.(*appsv1.Deployment); ok {
		r.was.DeepCopyInto(into)
		return nil
	}
	return r.Client.Get(ctx, key, o, opts...)
}
