package integration

import (
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRoles asks the API server itself who may do what.
func TestRoles(t *testing.T) {
	for user, role := range map[string]string{"viewer": "belay-view", "editor": "belay-edit"} {
		create(t, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}})
	}
	cases := []struct {
		user, verb, group, resource, subresource, namespace string
		want                                                bool
	}{
		{"viewer", "get", "belay.dev", "rollouts", "", "shop", true},
		{"viewer", "list", "belay.dev", "rolloutruns", "", "shop", true},
		{"viewer", "patch", "belay.dev", "rollouts", "", "shop", false},
		{"editor", "patch", "belay.dev", "rollouts", "", "shop", true},
		{"editor", "patch", "belay.dev", "rollouts", "status", "shop", false},
		{"editor", "delete", "belay.dev", "rolloutruns", "", "shop", false},
		{"editor", "bypass", "belay.dev", "rollouts", "", "shop", false},
		{controller, "patch", "apps", "deployments", "", "shop", true},
		{controller, "patch", "belay.dev", "rollouts", "status", "shop", true},
		{controller, "update", "belay.dev", "rollouts", "status", "shop", false},
		{controller, "update", "belay.dev", "rollouts", "", "shop", false},
		{controller, "update", "belay.dev", "rolloutruns", "status", "shop", false},
		{controller, "update", "belay.dev", "metricsources", "status", "", false},
		{controller, "update", "belay.dev", "rollouts", "finalizers", "shop", true},
		{controller, "update", "", "services", "", "shop", true},
		{controller, "delete", "apps", "deployments", "", "shop", false},
		{controller, "update", "belay.dev", "rolloutruns", "", "shop", false},
		{controller, "get", "", "secrets", "", "shop", false},
		{controller, "get", "", "secrets", "", "belay", true},
		{controller, "create", "rbac.authorization.k8s.io", "clusterrolebindings", "", "", false},
		{controller, "update", "admissionregistration.k8s.io", "validatingadmissionpolicies", "", "", false},
	}
	for _, c := range cases {
		name := c.user + " " + c.verb + " " + c.resource + "/" + c.subresource + " in " + c.namespace
		t.Run(name, func(t *testing.T) {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: c.user,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: c.namespace, Verb: c.verb, Group: c.group, Resource: c.resource, Subresource: c.subresource}}}
			if err := admin.Create(t.Context(), review); err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != c.want {
				t.Errorf("allowed %v, want %v (%s)", review.Status.Allowed, c.want, review.Status.Reason)
			}
		})
	}
}

// TestRolesAggregate: who has the cluster's own view, edit or admin role gets
// Belay's with it.
func TestRolesAggregate(t *testing.T) {
	objects, err := read("rbac")
	if err != nil {
		t.Fatal(err)
	}
	aggregated := map[string]bool{}
	for _, object := range objects {
		for label, value := range object.GetLabels() {
			if value == "true" {
				aggregated[object.GetName()+" "+label] = true
			}
		}
	}
	for _, role := range []string{"view", "edit", "admin"} {
		if want := "belay-" + role + " rbac.authorization.k8s.io/aggregate-to-" + role; !aggregated[want] {
			t.Errorf("missing label: %s", want)
		}
	}
}
