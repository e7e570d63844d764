package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// rolling is an update strategy with a partition, or without one.
func rolling(partition *int32) appsv1.StatefulSetUpdateStrategy {
	return appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: partition}}
}

// manifests are what the developers of a StatefulSet may have written down of its strategy.
var manifests = map[string]appsv1.StatefulSetUpdateStrategy{
	"nothing":                      {},
	"the type alone":               {Type: appsv1.RollingUpdateStatefulSetStrategyType},
	"partition 0":                  rolling(ptr.To[int32](0)),
	"partition 1":                  rolling(ptr.To[int32](1)),
	"the partition that holds all": rolling(ptr.To(v1alpha1.PartitionHold)),
}

// wholeSet is a StatefulSet as its manifest has it, without Belay's label.
func wholeSet(s *appsv1.StatefulSet, strategy appsv1.StatefulSetUpdateStrategy) *appsv1.StatefulSet {
	whole := statefulSet(s.Name, s.Spec.Template.Spec.Containers[0].Image)
	whole.Spec.UpdateStrategy = strategy
	whole.Labels = map[string]string{"team": "a"}
	return whole
}

// setWriters are the ways in which a manifest reaches the API server.
var setWriters = map[string]func(ctx context.Context, c client.Client, live, whole *appsv1.StatefulSet) error{
	"kubectl replace": func(ctx context.Context, c client.Client, live, whole *appsv1.StatefulSet) error {
		whole.ResourceVersion = live.ResourceVersion
		return c.Update(ctx, whole, client.FieldOwner(byReplace))
	},
	"server-side apply": func(ctx context.Context, c client.Client, _, whole *appsv1.StatefulSet) error {
		raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(whole)
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{Object: raw}
		u.SetAPIVersion("apps/v1")
		u.SetKind("StatefulSet")
		unstructured.RemoveNestedField(u.Object, "status")
		return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(byGitOps), client.ForceOwnership)
	},
	// What kubectl apply and Helm send: the differences between the manifest and what is there.
	"client-side apply": func(ctx context.Context, c client.Client, live, whole *appsv1.StatefulSet) error {
		strategy := map[string]any{"$retainKeys": []string{"type"}, "type": "RollingUpdate"}
		if r := whole.Spec.UpdateStrategy.RollingUpdate; r != nil {
			strategy = map[string]any{"rollingUpdate": map[string]any{"partition": r.Partition}}
		}
		raw, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": whole.Labels}, "spec": map[string]any{"updateStrategy": strategy,
			"template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": whole.Spec.Template.Spec.Containers[0].Image}}}}}})
		if err != nil {
			return err
		}
		return c.Patch(ctx, live.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, raw), client.FieldOwner(byApply))
	},
}

// setUsers are exempt from nothing.
func setUsers(t *testing.T) map[string]client.Client {
	return map[string]client.Client{"dev": dev(t), "sre without a reason": sre(t), "cluster administrator": admin,
		"the StatefulSet controller": as(t, "system:serviceaccount:kube-system:statefulset-controller", "system:masters")}
}

// TestAManifestReleasesNothing: whoever applies it, however, and whatever it says of the
// partition, with another template every pod waits, and with the same one the partition
// stays as it was: 0 included, so that a version that was let roll goes on.
func TestAManifestReleasesNothing(t *testing.T) {
	n := 0
	for who, user := range setUsers(t) {
		for how, write := range setWriters {
			for what, strategy := range manifests {
				for _, before := range []int32{0, 2, v1alpha1.PartitionHold} {
					if who != "dev" && (what != "partition 0" || before != 2) {
						// One case shows that nobody is exempt.
						continue
					}
					n++
					name := fmt.Sprint("manifest-", n)
					t.Run(fmt.Sprintf("%s, %s, %s, %d before", who, how, what, before), func(t *testing.T) {
						g := NewWithT(t)
						s := guardedSet(t, name, before)
						whole := wholeSet(s, strategy)
						g.Expect(write(t.Context(), user, s, whole)).To(Succeed())
						s = liveSet(t, name)
						g.Expect(max(partitionOf(s), 0)).To(Equal(before), "the same template")
						g.Expect(s.Labels).To(Equal(map[string]string{v1alpha1.LabelRollout: name, "team": "a"}), "the rest of the write goes through")

						whole = wholeSet(s, strategy)
						whole.Spec.Template.Spec.Containers[0].Image = image()
						g.Expect(write(t.Context(), user, s, whole)).To(Succeed())
						s = liveSet(t, name)
						g.Expect(partitionOf(s)).To(Equal(v1alpha1.PartitionHold), "another template")
						g.Expect(s.Labels).To(HaveKeyWithValue(v1alpha1.LabelRollout, name))
						g.Expect(s.Annotations).To(HaveKey(v1alpha1.AnnotationPushedBy))
					})
				}
			}
		}
	}
}

// TestEveryPushOfAStatefulSetIsHeld: by kubectl's commands too, and when it asks to let the
// pods go in the same write.
func TestEveryPushOfAStatefulSetIsHeld(t *testing.T) {
	n := 0
	for who, user := range setUsers(t) {
		for how, c := range map[string]struct{ manager, document string }{
			"set image":            {"kubectl-set", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"IMAGE"}]}}}}`},
			"restart":              {"kubectl-rollout", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"IMAGE"}}}}}`},
			"undo":                 {"kubectl-rollout", `{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"NAME"}},"spec":{"containers":[{"name":"app","image":"IMAGE"}]}}}}`},
			"patch that releases":  {byPatch, `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}},"template":{"spec":{"containers":[{"name":"app","image":"IMAGE"}]}}}}`},
			"edit without a label": {byEdit, `{"metadata":{"labels":null},"spec":{"updateStrategy":null,"template":{"spec":{"containers":[{"name":"app","image":"IMAGE"}]}}}}`},
		} {
			for _, before := range []int32{0, 2, v1alpha1.PartitionHold} {
				n++
				name := fmt.Sprint("set-pushed-", n)
				t.Run(fmt.Sprintf("%s, %s, %d before", who, how, before), func(t *testing.T) {
					g := NewWithT(t)
					was := guardedSet(t, name, before)
					s, err := patchSet(t.Context(), user, c.manager, name, strings.NewReplacer("IMAGE", image(), "NAME", name).Replace(c.document))
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(s.Spec.Template).NotTo(Equal(was.Spec.Template), "the template changed")
					g.Expect(partitionOf(s)).To(Equal(v1alpha1.PartitionHold))
					g.Expect(s.Labels).To(HaveKeyWithValue(v1alpha1.LabelRollout, name))
				})
			}
		}
	}
}

// TestTheGuardLeavesTheRestOfAStatefulSetAlone: what is not a version is as it is written.
func TestTheGuardLeavesTheRestOfAStatefulSetAlone(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guardedSet(t, "set-scaled", 2)
	s, err := patchSet(t.Context(), user, byPatch, "set-scaled", `{"metadata":{"labels":{"team":"a"}},"spec":{"replicas":5,"minReadySeconds":7,"ordinals":{"start":3},"updateStrategy":{"rollingUpdate":{"maxUnavailable":2}}}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(partitionOf(s)).To(Equal(int32(2)))
	g.Expect(s.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.IntValue()).To(Equal(2))
	g.Expect(*s.Spec.Replicas).To(Equal(int32(5)))
	g.Expect(s.Spec.Ordinals.Start).To(Equal(int32(3)))
	g.Expect(s.Labels).To(HaveKeyWithValue("team", "a"))
	g.Expect(s.Annotations).To(BeEmpty(), "nobody pushed")

	create(t, statefulSet("set-free", "app:v1"))
	for _, document := range []string{string(templateOf(image())), `{"spec":` + atPartition(1) + `}`, `{"spec":` + atPartition(0) + `}`, `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`} {
		s, err = patchSet(t.Context(), user, byPatch, "set-free", document)
		g.Expect(err).NotTo(HaveOccurred(), "a StatefulSet without the label, "+document)
		g.Expect(partitionOf(s)).NotTo(Equal(v1alpha1.PartitionHold))
	}
	labelled := statefulSet("set-created", "app:v1")
	labelled.Labels = map[string]string{v1alpha1.LabelRollout: "set-created"}
	g.Expect(user.Create(t.Context(), labelled)).To(Succeed())
	g.Expect(partitionOf(labelled)).To(BeZero(), "creating one is not guarded")
}

// TestALateLabelGuardsAStatefulSetAtOnce: a write that brings the label with a new template
// is held like any other.
func TestALateLabelGuardsAStatefulSetAtOnce(t *testing.T) {
	g := NewWithT(t)
	create(t, statefulSet("set-late", "app:v1"))
	s, err := patchSet(t.Context(), dev(t), byPatch, "set-late", fmt.Sprintf(
		`{"metadata":{"labels":{"belay.dev/rollout":"set-late"}},"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image()))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(partitionOf(s)).To(Equal(v1alpha1.PartitionHold))
}

// TestBelayMovesThePartition: the controller writes what it decided, and is not stamped.
func TestBelayMovesThePartition(t *testing.T) {
	g := NewWithT(t)
	guardedSet(t, "set-exempt", 0)
	heldSet(t, dev(t), "set-exempt")
	for _, partition := range []int32{3, 1, v1alpha1.PartitionHold, 2, 0} {
		g.Expect(partitionOf(adoptSet(t, "set-exempt", `{"spec":`+atPartition(partition)+`}`))).To(Equal(partition))
	}
	s := adoptSet(t, "set-exempt", string(templateOf(image())))
	g.Expect(partitionOf(s)).To(BeZero())
	g.Expect(s.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationPushedBy, HavePrefix("dev")))
	s = adoptSet(t, "set-exempt", `{"metadata":{"labels":{"belay.dev/rollout":null}}}`)
	g.Expect(s.Labels).NotTo(HaveKey(v1alpha1.LabelRollout))
}

// TestAWebhookCannotSlipATemplateIntoAStatefulSet: it runs after the guard's mutations,
// which are then not asked again. Such a write is refused.
func TestAWebhookCannotSlipATemplateIntoAStatefulSet(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guardedSet(t, "set-webhook", 0)
	injecting(t, "set-webhook")
	g.Eventually(func() string {
		_, err := patchSet(t.Context(), user, "tests", "set-webhook", fmt.Sprintf(`{"metadata":{"annotations":{"again":%q}}}`, image()))
		return fmt.Sprint(err)
	}).WithTimeout(soon).Should(And(ContainSubstring("belay-guard-release"), ContainSubstring("its partition is not 2147483647"),
		ContainSubstring("The policy belay-guard-statefulsets-hold or its binding is not in force")))
	// A push that is held is still held when the webhook has changed it as well.
	s, err := patchSet(t.Context(), user, "tests", "set-webhook", string(templateOf(image())))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(partitionOf(s)).To(Equal(v1alpha1.PartitionHold))
	g.Expect(s.Spec.Template.Annotations).To(HaveKey("injected"))
}

// TestOtherStrategiesAreRefused: by OnDelete a lost pod comes back in the version that
// waits, whatever the partition was.
func TestOtherStrategiesAreRefused(t *testing.T) {
	onDelete := appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	const strategy = `"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}`
	refused := And(ContainSubstring("belay-guard-release"), ContainSubstring("which the strategy OnDelete does not have"), Not(ContainSubstring("failed expression")))
	for who, user := range setUsers(t) {
		t.Run(who, func(t *testing.T) {
			g := NewWithT(t)
			name := "set-ondelete-" + fmt.Sprint(len(who))
			s := guardedSet(t, name, v1alpha1.PartitionHold)
			for _, manager := range []string{byPatch, byGitOps} {
				_, err := patchSet(t.Context(), user, manager, name, `{`+strategy+`}`)
				g.Expect(err).To(MatchError(refused))
			}
			whole := wholeSet(s, onDelete)
			g.Expect(setWriters["kubectl replace"](t.Context(), user, s, whole)).To(MatchError(refused))
			whole.Spec.Template.Spec.Containers[0].Image = image()
			err := setWriters["kubectl replace"](t.Context(), user, s, whole)
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			g.Expect(err).To(MatchError(refused), "with another template")
		})
	}
	g := NewWithT(t)
	s := guardedSet(t, "set-ondelete", 0)
	_, err := patchSet(t.Context(), sre(t), byPatch, "set-ondelete", fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d: mine"}},%s}`, v1alpha1.AnnotationBypassReason, s.Generation, strategy))
	g.Expect(err).To(MatchError(refused), "with a reason, while it is guarded")
	s, err = patchSet(t.Context(), sre(t), byPatch, "set-ondelete", fmt.Sprintf(`{"metadata":{"labels":{"belay.dev/rollout":null},"annotations":{%q:"%d: mine"}},%s}`, v1alpha1.AnnotationBypassReason, s.Generation, strategy))
	g.Expect(err).NotTo(HaveOccurred(), "whoever takes the guard off may")
	g.Expect(s.Spec.UpdateStrategy).To(Equal(onDelete))
	// One that had it before it got its label, as somebody else may have set it, stays usable.
	s, err = patchSet(t.Context(), admin, byPatch, "set-ondelete", `{"metadata":{"labels":{"belay.dev/rollout":"set-ondelete"}}}`)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = patchSet(t.Context(), dev(t), byPatch, s.Name, `{"spec":{"replicas":4}}`)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = patchSet(t.Context(), dev(t), byPatch, s.Name, string(templateOf(image())))
	g.Expect(err).To(MatchError(refused))
}
