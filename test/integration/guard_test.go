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
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// soon bounds how long the API server may take to enforce a new policy or see
// a new parameter.
const soon = 20 * time.Second

// dev is an app team's member: may edit Deployments and Belay's objects, and
// nothing that needs Belay's own rights.
func dev(t *testing.T) client.Client {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "deployer"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "list", "create", "update", "patch"}}}}
	create(t, role)
	for _, name := range []string{"deployer", "belay-view", "belay-edit"} {
		create(t, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "dev-" + name},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "dev"}}})
	}
	return as(t, "dev")
}

// sre has the verb bypass, and may edit Deployments.
func sre(t *testing.T) client.Client {
	t.Helper()
	for name, role := range map[string]string{"sre": "belay-sre", "sre-deployer": "deployer"} {
		create(t, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "sre"}}})
	}
	return as(t, "sre")
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := admin.Create(t.Context(), object); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// guarded makes a Deployment and, if asked for, the Rollout that names it.
func guarded(t *testing.T, name string, withRollout bool) {
	t.Helper()
	labels := map[string]string{"app": name}
	create(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app:v1"}}}}}})
	if withRollout {
		rollout := object(t, strings.ReplaceAll(valid["Rollout"], "rules", name))
		create(t, rollout)
	}
}

func push(ctx context.Context, c client.Client, name, image string) (*appsv1.Deployment, error) {
	return patch(ctx, c, name, fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image))
}

func patch(ctx context.Context, c client.Client, name, document string) (*appsv1.Deployment, error) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
	return deployment, c.Patch(ctx, deployment, client.RawPatch(types.StrategicMergePatchType, []byte(document)))
}

// held pushes new images until one comes back paused: then the policies are in
// force for this Deployment.
func held(t *testing.T, c client.Client, name string) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		d, err := push(t.Context(), c, name, fmt.Sprintf("app:%d", time.Now().UnixNano()))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(d.Spec.Paused).To(BeTrue())
	}).WithTimeout(soon).Should(Succeed())
}

func TestGuardPausesPushes(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "paused", true)
	guarded(t, "free", false)
	held(t, user, "paused")

	unrelated, err := push(t.Context(), user, "free", "app:v2")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(unrelated.Spec.Paused).To(BeFalse(), "a Deployment without a Rollout is nobody's business")

	_, err = patch(t.Context(), user, "paused", `{"spec":{"paused":false}}`)
	g.Expect(err).To(HaveOccurred(), "only Belay, or who may bypass, lets it roll")
	g.Expect(err.Error()).To(ContainSubstring("bypass"))

	_, err = patch(t.Context(), as(t, controller), "paused", `{"spec":{"paused":false}}`)
	g.Expect(err).NotTo(HaveOccurred())
	scaled, err := patch(t.Context(), user, "paused", `{"spec":{"replicas":3}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(scaled.Spec.Paused).To(BeFalse(), "scaling is not a release")
}

func TestGuardLetsBypassUnpause(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "bypass", true)
	held(t, user, "bypass")
	g.Eventually(func() error {
		_, err := patch(t.Context(), sre(t), "bypass", `{"spec":{"paused":false}}`)
		return err
	}).WithTimeout(soon).Should(Succeed())
}

// walk takes a Rollout from phase to phase, as the controller would.
func walk(t *testing.T, name string, phases ...v1alpha1.Phase) {
	t.Helper()
	for _, phase := range phases {
		rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
		status := fmt.Appendf(nil, `{"status":{"phase":%q}}`, phase)
		err := as(t, controller).Status().Patch(t.Context(), rollout, client.RawPatch(types.MergePatchType, status))
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestGuardDeniesPushesWhilePodsMove(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "busy", true)
	held(t, user, "busy")
	walk(t, "busy", v1alpha1.PhaseStable, v1alpha1.PhaseGating, v1alpha1.PhaseStepping, v1alpha1.PhasePromoting)
	g.Eventually(func() string {
		_, err := push(t.Context(), user, "busy", fmt.Sprintf("app:%d", time.Now().UnixNano()))
		return fmt.Sprint(err)
	}).WithTimeout(soon).Should(And(ContainSubstring("denied"), ContainSubstring("again")))
}

func TestCommandsCarryTheirAuthor(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "commands", true)
	document := fmt.Sprintf(`{"metadata":{"annotations":{%q:"Abort",%q:"1",%q:"somebody-else"}}}`,
		v1alpha1.AnnotationAction, v1alpha1.AnnotationActionToken, v1alpha1.AnnotationActionBy)
	rollout := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "commands", Namespace: "shop"}}
	g.Eventually(func() error {
		return user.Patch(t.Context(), rollout, client.RawPatch(types.MergePatchType, []byte(document)))
	}).WithTimeout(soon).Should(Succeed())
	g.Expect(rollout.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationActionBy, "dev"))

	for _, key := range []string{v1alpha1.AnnotationAction, v1alpha1.AnnotationActionReason, v1alpha1.AnnotationActionRevision} {
		forged := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"Retry"}}}`, key)
		err := user.Patch(t.Context(), rollout.DeepCopy(), client.RawPatch(types.MergePatchType, forged))
		g.Expect(err).To(MatchError(ContainSubstring("a command does not change")), key)
	}
	again := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"Retry",%q:"2"}}}`, v1alpha1.AnnotationAction, v1alpha1.AnnotationActionToken)
	g.Expect(user.Patch(t.Context(), rollout, client.RawPatch(types.MergePatchType, again))).To(Succeed())
}

func TestStatusAndRunsAreTheControllersAlone(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "status", true)
	rollout := &v1alpha1.Rollout{}
	g.Expect(user.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "status"}, rollout)).To(Succeed())
	rollout.Status.Phase = v1alpha1.PhaseStable
	for who, c := range map[string]client.Client{"dev": user, "admin": admin} {
		g.Expect(apierrors.IsForbidden(c.Status().Update(t.Context(), rollout))).To(BeTrue(), who)
		run := object(t, valid["RolloutRun"])
		run.SetName("forged-" + who)
		g.Expect(apierrors.IsForbidden(c.Create(t.Context(), run))).To(BeTrue(), who)
	}
}
