package integration

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// soon bounds how long the API server may take to enforce a new policy or role.
const soon = 20 * time.Second

// deploymentController is how Kubernetes' own writes ReplicaSets.
const deploymentController = "system:serviceaccount:kube-system:deployment-controller"

// dev is an app team's member: may edit Deployments, Services and Belay's objects,
// and nothing that needs Belay's own rights.
func dev(t *testing.T) client.Client {
	t.Helper()
	grant(t, admin, "dev", "belay-view", "belay-edit")
	return as(t, "dev")
}

// sre has the verb bypass, and may edit Deployments and Services.
func sre(t *testing.T) client.Client {
	t.Helper()
	grant(t, admin, "sre", "belay-sre")
	return as(t, "sre")
}

// grant gives a user roles of Belay's, and what it takes to change Deployments,
// and waits until the API server knows.
func grant(t *testing.T, c client.Client, user string, roles ...string) {
	t.Helper()
	createOn(t, c, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "deployer"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments", "replicasets", "statefulsets"}, Verbs: []string{"get", "list", "create", "update", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"get", "list", "patch"}}}})
	bind(t, c, user, append(roles, "deployer")...)
	allowed(t, c, user, "patch", "apps", "deployments")
	for _, role := range roles {
		verb := map[string]string{"belay-view": "list", "belay-edit": "update", "belay-admin": "bypass", "belay-sre": "bypass"}[role]
		allowed(t, c, user, verb, v1alpha1.GroupVersion.Group, "rollouts")
	}
}

func bind(t *testing.T, c client.Client, user string, roles ...string) {
	t.Helper()
	for _, role := range roles {
		createOn(t, c, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user + "-" + role},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}})
	}
}

// allowed waits until a user may do something in namespace shop.
func allowed(t *testing.T, c client.Client, user, verb, group, resource string) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "shop", Verb: verb, Group: group, Resource: resource}}}
		g.Expect(c.Create(t.Context(), review)).To(Succeed())
		g.Expect(review.Status.Allowed).To(BeTrue(), "%s may %s %s", user, verb, resource)
	}).WithTimeout(soon).WithPolling(20 * time.Millisecond).Should(Succeed())
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	createOn(t, admin, object)
}

func createOn(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), object); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

func deployment(name, image string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}}}}}
}

// guarded makes a Deployment that Belay has adopted and, if asked for, the Rollout
// of the same name.
func guarded(t *testing.T, name string, withRollout bool) *appsv1.Deployment {
	t.Helper()
	d := deployment(name, "app:v1")
	create(t, d)
	if withRollout {
		create(t, object(t, strings.ReplaceAll(valid["Rollout"], "rules", name)))
	}
	return adopt(t, name, fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelRollout, name))
}

// adopt is a write of the controller's.
func adopt(t *testing.T, name, document string) *appsv1.Deployment {
	t.Helper()
	d, err := patch(t.Context(), as(t, controller), name, document)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func templateOf(image string) []byte {
	return fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image)
}

func push(ctx context.Context, c client.Client, name, image string) (*appsv1.Deployment, error) {
	return patch(ctx, c, name, string(templateOf(image)))
}

func patch(ctx context.Context, c client.Client, name, document string) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
	return d, c.Patch(ctx, d, client.RawPatch(types.StrategicMergePatchType, []byte(document)), client.FieldOwner("tests"))
}

func jsonPatch(operations ...map[string]any) []byte {
	raw, err := json.Marshal(operations)
	if err != nil {
		panic(err)
	}
	return raw
}

// held pushes a new image, which comes back paused.
func held(t *testing.T, c client.Client, name string) *appsv1.Deployment {
	t.Helper()
	d, err := push(t.Context(), c, name, image())
	if err != nil {
		t.Fatal(err)
	}
	if !d.Spec.Paused {
		t.Fatalf("a push to %s is not held", name)
	}
	return d
}

// injecting is a webhook that adds an annotation to the template of one workload,
// at every write, as one that injects sidecars would.
func injecting(t *testing.T, name string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		patchType := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, PatchType: &patchType,
			Patch: jsonPatch(map[string]any{"op": "add", "path": "/spec/template/metadata/annotations", "value": map[string]string{"injected": image()}})}
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	fail, none, always := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.NeverReinvocationPolicy
	create(t, &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "injecting"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: "injecting.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &fail, ReinvocationPolicy: &always,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
			ObjectSelector: &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelRollout: name}},
			Rules: []admissionregistrationv1.RuleWithOperations{{Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
				Rule: admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments", "statefulsets"}}}}}}})
	t.Cleanup(func() {
		webhook := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "injecting"}}
		if err := admin.Delete(context.WithoutCancel(t.Context()), webhook); err != nil {
			t.Error(err)
		}
	})
}
