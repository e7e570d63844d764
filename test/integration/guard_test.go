package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// image is one that nobody has pushed before.
func image() string { return fmt.Sprintf("app:%d", time.Now().UnixNano()) }

// writers are the ways in which a new template reaches the API server.
var writers = map[string]func(context.Context, client.Client, *appsv1.Deployment) error{
	"patch": func(ctx context.Context, c client.Client, d *appsv1.Deployment) error {
		return c.Patch(ctx, d, client.RawPatch(types.StrategicMergePatchType, templateOf(image())))
	},
	"patch that unpauses": func(ctx context.Context, c client.Client, d *appsv1.Deployment) error {
		document := fmt.Appendf(nil, `{"spec":{"paused":false,"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image())
		return c.Patch(ctx, d, client.RawPatch(types.StrategicMergePatchType, document))
	},
	"restart": func(ctx context.Context, c client.Client, d *appsv1.Deployment) error {
		document := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, image())
		return c.Patch(ctx, d, client.RawPatch(types.StrategicMergePatchType, document))
	},
	// As kubectl writes it: the template and the annotations of the old ReplicaSet.
	"undo": func(ctx context.Context, c client.Client, d *appsv1.Deployment) error {
		template := d.Spec.Template.DeepCopy()
		template.Spec.Containers[0].Image = image()
		return c.Patch(ctx, d, client.RawPatch(types.JSONPatchType, undo(template, map[string]string{"deployment.kubernetes.io/revision": "1"})))
	},
	"replace of the whole object": func(ctx context.Context, c client.Client, d *appsv1.Deployment) error {
		whole := deployment(d.Name, image())
		whole.Namespace, whole.ResourceVersion = d.Namespace, d.ResourceVersion
		err := c.Update(ctx, whole)
		whole.DeepCopyInto(d)
		return err
	},
	"server-side apply": func(ctx context.Context, c client.Client, d *appsv1.Deployment) error {
		whole := deployment(d.Name, image())
		whole.Namespace = d.Namespace
		raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(whole)
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{Object: raw}
		u.SetAPIVersion("apps/v1")
		u.SetKind("Deployment")
		unstructured.RemoveNestedField(u.Object, "status")
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("gitops"), client.ForceOwnership); err != nil {
			return err
		}
		return c.Get(ctx, client.ObjectKeyFromObject(d), d)
	},
}

// undo is the patch of `kubectl rollout undo`.
func undo(template *corev1.PodTemplateSpec, annotations map[string]string) []byte {
	return jsonPatch(map[string]any{"op": "replace", "path": "/spec/template", "value": template},
		map[string]any{"op": "add", "path": "/metadata/annotations", "value": annotations})
}

// TestGuardHoldsEveryPush: whoever pushes, and however, gets the Deployment back
// paused and labelled, whether it was paused before or not.
func TestGuardHoldsEveryPush(t *testing.T) {
	users := map[string]client.Client{"dev": dev(t), "sre without a reason": sre(t), "cluster administrator": admin,
		"the Deployment controller": as(t, deploymentController, "system:masters")}
	n := 0
	for who, user := range users {
		for how, write := range writers {
			for _, paused := range []bool{false, true} {
				n++
				name := fmt.Sprint("held-", n)
				t.Run(fmt.Sprint(who, ", ", how, ", paused before: ", paused), func(t *testing.T) {
					g := NewWithT(t)
					d := guarded(t, name, false)
					adopt(t, name, fmt.Sprintf(`{"spec":{"paused":%v}}`, paused))
					g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(d), d)).To(Succeed())
					before := d.Spec.Template.DeepCopy()
					g.Expect(write(t.Context(), user, d)).To(Succeed())
					g.Expect(d.Spec.Template).NotTo(Equal(*before), "the template changed")
					g.Expect(d.Spec.Paused).To(BeTrue())
					g.Expect(d.Labels).To(HaveKeyWithValue(v1alpha1.LabelRollout, name))
				})
			}
		}
	}
}

func TestGuardLeavesAllElseAlone(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "rolls", false)
	scaled, err := patch(t.Context(), user, "rolls", `{"metadata":{"labels":{"team":"a"},"annotations":{"note":"b"}},"spec":{"replicas":3,"strategy":{"rollingUpdate":{"maxSurge":2}}}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(scaled.Spec.Paused).To(BeFalse(), "scaling is not a release")
	g.Expect(scaled.Labels).To(HaveKeyWithValue("team", "a"))
	g.Expect(scaled.Annotations).To(Equal(map[string]string{"note": "b"}))

	create(t, deployment("free", "app:v1"))
	for how, write := range writers {
		t.Run("a Deployment without the label, "+how, func(t *testing.T) {
			g := NewWithT(t)
			d := &appsv1.Deployment{}
			g.Expect(admin.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "free"}, d)).To(Succeed())
			g.Expect(write(t.Context(), user, d)).To(Succeed())
			g.Expect(d.Spec.Paused).To(BeFalse())
			g.Expect(d.Annotations).NotTo(HaveKey(v1alpha1.AnnotationPushedBy))
		})
	}
	_, err = patch(t.Context(), user, "free", `{"spec":{"paused":true}}`)
	g.Expect(err).NotTo(HaveOccurred())
	resumed, err := patch(t.Context(), user, "free", `{"spec":{"paused":false}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(resumed.Spec.Paused).To(BeFalse())
}

// TestGuardExemptsBelay: the controller unpauses, locks, sets and removes its
// labels, and leaves no stamp.
func TestGuardExemptsBelay(t *testing.T) {
	g := NewWithT(t)
	belay := as(t, controller)
	guarded(t, "exempt", false)
	_, err := push(t.Context(), dev(t), "exempt", image())
	g.Expect(err).NotTo(HaveOccurred())
	adopt(t, "exempt", `{"metadata":{"labels":{"belay.dev/handover":"run-1","belay.dev/rejected":"aaaaaaaaaa"}}}`)
	unpaused, err := patch(t.Context(), belay, "exempt", `{"metadata":{"labels":{"belay.dev/handover":null}},"spec":{"paused":false}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(unpaused.Spec.Paused).To(BeFalse())
	pushed, err := push(t.Context(), belay, "exempt", image())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pushed.Spec.Paused).To(BeFalse())
	g.Expect(pushed.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationPushedBy, HavePrefix("dev")), "the controller's own writes are not stamped")
	g.Expect(belay.Patch(t.Context(), pushed, client.RawPatch(types.JSONPatchType, []byte(
		`[{"op":"test","path":"/metadata/labels/belay.dev~1rollout","value":"exempt"},{"op":"remove","path":"/metadata/labels/belay.dev~1rollout"}]`)))).To(Succeed())
	g.Expect(pushed.Labels).NotTo(HaveKey(v1alpha1.LabelRollout))
}

// TestCreatingADeploymentIsNotGuarded holds what docs/security.md says of it.
func TestCreatingADeploymentIsNotGuarded(t *testing.T) {
	g := NewWithT(t)
	d := deployment("created", "app:v1")
	d.Labels = map[string]string{v1alpha1.LabelRollout: "created"}
	g.Expect(dev(t).Create(t.Context(), d)).To(Succeed())
	g.Expect(d.Spec.Paused).To(BeFalse())
}

// TestAWebhookCannotSlipATemplateIn: a webhook runs after the guard's mutations,
// which are then not asked again. Such a write is refused.
func TestAWebhookCannotSlipATemplateIn(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "webhook", false)
	injecting(t, "webhook")
	scale := func() string {
		_, err := patch(t.Context(), user, "webhook", fmt.Sprintf(`{"metadata":{"annotations":{"again":%q}}}`, image()))
		return fmt.Sprint(err)
	}
	g.Eventually(scale).WithTimeout(soon).Should(And(ContainSubstring("belay-guard-release"), ContainSubstring("is not paused")))
	// A push that is held is still held when the webhook has changed it as well.
	pushed, err := push(t.Context(), user, "webhook", image())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pushed.Spec.Paused).To(BeTrue())
	g.Expect(pushed.Spec.Template.Annotations).To(HaveKey("injected"))
}

// TestCommandsCarryTheirAuthor: what a client says of the author is overwritten.
func TestCommandsCarryTheirAuthor(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "commands", true)
	document := fmt.Sprintf(`{"metadata":{"annotations":{%q:"Abort",%q:"1",%q:"somebody-else"}}}`,
		v1alpha1.AnnotationAction, v1alpha1.AnnotationActionToken, v1alpha1.AnnotationActionBy)
	rollout := &v1alpha1.Rollout{}
	rollout.Name, rollout.Namespace = "commands", "shop"
	g.Expect(user.Patch(t.Context(), rollout, client.RawPatch(types.MergePatchType, []byte(document)))).To(Succeed())
	g.Expect(rollout.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationActionBy, "dev"))

	for _, key := range []string{v1alpha1.AnnotationAction, v1alpha1.AnnotationActionReason, v1alpha1.AnnotationActionRevision} {
		forged := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"Retry"}}}`, key)
		err := user.Patch(t.Context(), rollout.DeepCopy(), client.RawPatch(types.MergePatchType, forged))
		g.Expect(err).To(MatchError(ContainSubstring("a command must not be changed")), key)
	}
	answer(t, "commands", "1")
	again := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"Retry",%q:"2"}}}`, v1alpha1.AnnotationAction, v1alpha1.AnnotationActionToken)
	g.Expect(user.Patch(t.Context(), rollout, client.RawPatch(types.MergePatchType, again))).To(Succeed())
	g.Expect(strings.Contains(rollout.Annotations[v1alpha1.AnnotationActionBy], "somebody")).To(BeFalse())

	handled := []byte(`{"status":{"handledTokens":["2","1"]}}`)
	g.Expect(as(t, controller).Status().Patch(t.Context(), rollout.DeepCopy(), client.RawPatch(types.MergePatchType, handled))).To(Succeed())
	used := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"Abort",%q:"1"}}}`, v1alpha1.AnnotationAction, v1alpha1.AnnotationActionToken)
	g.Expect(user.Patch(t.Context(), rollout.DeepCopy(), client.RawPatch(types.MergePatchType, used))).To(MatchError(ContainSubstring("was used for an earlier command")))

	guarded(t, "tokenless", true)
	rollout.Name = "tokenless"
	none := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"Abort"}}}`, v1alpha1.AnnotationAction)
	g.Expect(user.Patch(t.Context(), rollout.DeepCopy(), client.RawPatch(types.MergePatchType, none))).To(MatchError(ContainSubstring("needs a new belay.dev/action-token")))
}
