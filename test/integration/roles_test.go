package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/build"
)

// TestRoles asks the API server itself who may do what.
func TestRoles(t *testing.T) {
	for user, role := range map[string]string{"viewer": "belay-view", "editor": "belay-edit", "owner": "belay-admin", "oncall": "belay-sre"} {
		bind(t, admin, user, role)
		verb := map[string]string{"viewer": "list", "editor": "update"}[user]
		if verb == "" {
			verb = "bypass"
		}
		allowed(t, admin, user, verb, v1alpha1.GroupVersion.Group, "rollouts")
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
		{"owner", "bypass", "belay.dev", "rollouts", "", "shop", true},
		{"owner", "update", "belay.dev", "guardrails", "", "shop", true},
		{"owner", "update", "belay.dev", "clusterguardrails", "", "", false},
		{"oncall", "patch", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "update", "belay.dev", "rollouts", "", "shop", false},
		{"oncall", "delete", "belay.dev", "rollouts", "", "shop", false},
		{"oncall", "abort", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "retry", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "promote", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "pause", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "resume", "belay.dev", "rollouts", "", "shop", true},
		{"editor", "promote", "belay.dev", "rollouts", "", "shop", true},
		{"editor", "pause", "belay.dev", "rollouts", "", "shop", true},
		{"editor", "resume", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "skip", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "approve", "belay.dev", "rollouts", "", "shop", true},
		{"editor", "skip", "belay.dev", "rollouts", "", "shop", true},
		{"editor", "approve", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "overridefreeze", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "create", "belay.dev", "freezes", "", "shop", true},
		{"oncall", "delete", "belay.dev", "clusterfreezes", "", "", true},
		{"owner", "overridefreeze", "belay.dev", "rollouts", "", "shop", false},
		{"owner", "delete", "belay.dev", "freezes", "", "shop", false},
		{"editor", "overridefreeze", "belay.dev", "rollouts", "", "shop", false},
		{"editor", "update", "belay.dev", "freezes", "", "shop", false},
		{"viewer", "list", "belay.dev", "freezes", "", "shop", true},
		{controller, "watch", "belay.dev", "freezes", "", "shop", true},
		{controller, "watch", "belay.dev", "clusterfreezes", "", "", true},
		{controller, "patch", "belay.dev", "freezes", "status", "shop", true},
		{controller, "patch", "belay.dev", "freezes", "", "shop", false},
		{"viewer", "approve", "belay.dev", "rollouts", "", "shop", false},
		{"viewer", "pause", "belay.dev", "rollouts", "", "shop", false},
		{"oncall", "bypass", "belay.dev", "rollouts", "", "shop", true},
		{"oncall", "patch", "apps", "deployments", "", "shop", false},
		{"oncall", "update", "belay.dev", "metricsources", "", "", true},
		{"oncall", "update", "belay.dev", "checkendpoints", "", "", true},
		{"owner", "update", "belay.dev", "checkendpoints", "", "", false},
		{"oncall", "delete", "belay.dev", "rolloutruns", "", "shop", false},
		{guardProbe, "patch", "apps", "deployments", "", "shop", true},
		{guardProbe, "patch", "apps", "statefulsets", "", "shop", true},
		{guardProbe, "update", "apps", "statefulsets", "", "shop", false},
		{guardProbe, "delete", "", "pods", "", "shop", false},
		{guardProbe, "bypass", "belay.dev", "rollouts", "", "shop", false},
		{guardProbe, "update", "apps", "deployments", "", "shop", false},
		{controller, "bypass", "belay.dev", "rollouts", "", "shop", false},
		{controller, "patch", "apps", "deployments", "", "shop", true},
		{controller, "update", "apps", "deployments", "", "shop", false},
		{controller, "update", "apps", "deployments", "finalizers", "shop", true},
		{controller, "update", "belay.dev", "rolloutruns", "finalizers", "shop", true},
		{controller, "delete", "belay.dev", "rolloutruns", "", "shop", true},
		{controller, "create", "apps", "replicasets", "", "shop", true},
		{controller, "patch", "apps", "replicasets", "", "shop", true},
		{controller, "delete", "apps", "replicasets", "", "shop", true},
		{controller, "watch", "apps", "statefulsets", "", "shop", true},
		{controller, "patch", "apps", "statefulsets", "", "shop", true},
		{controller, "update", "apps", "statefulsets", "", "shop", false},
		{controller, "delete", "apps", "statefulsets", "", "shop", false},
		{controller, "patch", "apps", "statefulsets", "status", "shop", false},
		{controller, "patch", "apps", "statefulsets", "scale", "shop", false},
		{controller, "watch", "apps", "controllerrevisions", "", "shop", true},
		{controller, "patch", "apps", "controllerrevisions", "", "shop", false},
		{controller, "delete", "apps", "controllerrevisions", "", "shop", false},
		{controller, "delete", "", "pods", "", "shop", true},
		{controller, "deletecollection", "", "pods", "", "shop", false},
		{controller, "create", "", "pods", "eviction", "shop", false},
		{controller, "watch", "gateway.networking.k8s.io", "grpcroutes", "", "shop", true},
		{controller, "patch", "gateway.networking.k8s.io", "grpcroutes", "", "shop", true},
		{controller, "update", "gateway.networking.k8s.io", "grpcroutes", "", "shop", false},
		{controller, "patch", "gateway.networking.k8s.io", "grpcroutes", "status", "shop", false},
		{controller, "patch", "", "services", "", "shop", true},
		{controller, "delete", "", "services", "", "shop", true},
		{controller, "watch", "autoscaling", "horizontalpodautoscalers", "", "shop", true},
		{controller, "update", "autoscaling", "horizontalpodautoscalers", "", "shop", false},
		{controller, "patch", "belay.dev", "rollouts", "status", "shop", true},
		{controller, "update", "belay.dev", "rollouts", "status", "shop", false},
		{controller, "update", "belay.dev", "rollouts", "", "shop", false},
		{controller, "update", "belay.dev", "rolloutruns", "status", "shop", false},
		{controller, "update", "belay.dev", "metricsources", "status", "", false},
		{controller, "update", "belay.dev", "rollouts", "finalizers", "shop", false},
		{controller, "update", "", "services", "", "shop", false},
		{controller, "delete", "apps", "deployments", "", "shop", false},
		{controller, "update", "belay.dev", "rolloutruns", "", "shop", false},
		{controller, "get", "batch", "cronjobs", "", "shop", true},
		{controller, "list", "batch", "cronjobs", "", "shop", false},
		{controller, "create", "batch", "cronjobs", "", "shop", false},
		{controller, "create", "batch", "jobs", "", "shop", true},
		{controller, "delete", "batch", "jobs", "", "shop", true},
		{controller, "patch", "batch", "jobs", "", "shop", false},
		{controller, "create", "", "pods", "", "shop", false},
		{controller, "patch", "belay.dev", "checkendpoints", "", "", false},
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

// TestRolesAtWork does as each role what it is for, and what it is not for.
func TestRolesAtWork(t *testing.T) {
	grant(t, admin, "role-edit", "belay-view", "belay-edit")
	grant(t, admin, "role-admin", "belay-view", "belay-edit", "belay-admin")
	grant(t, admin, "role-sre", "belay-sre")
	bind(t, admin, "role-oncall", "belay-oncall")
	allowed(t, admin, "role-oncall", "promote", v1alpha1.GroupVersion.Group, "rollouts")
	bind(t, admin, "role-view", "belay-view")
	bind(t, admin, "role-sre-alone", "belay-sre")
	allowed(t, admin, "role-view", "list", v1alpha1.GroupVersion.Group, "rollouts")
	allowed(t, admin, "role-sre-alone", "bypass", v1alpha1.GroupVersion.Group, "rollouts")
	acts := map[string]func(context.Context, client.Client) error{
		"read": func(ctx context.Context, c client.Client) error {
			return errors.Join(c.List(ctx, &v1alpha1.RolloutList{}, client.InNamespace("shop")), c.List(ctx, &v1alpha1.RolloutRunList{}, client.InNamespace("shop")))
		},
		"abort": func(ctx context.Context, c client.Client) error { return give(ctx, c, v1alpha1.ActionAbort) },
		"retry": func(ctx context.Context, c client.Client) error { return give(ctx, c, v1alpha1.ActionRetry) },
		"promote": func(ctx context.Context, c client.Client) error {
			return give(ctx, c, v1alpha1.ActionPromote)
		},
		"skip":    func(ctx context.Context, c client.Client) error { return give(ctx, c, v1alpha1.ActionSkip) },
		"approve": func(ctx context.Context, c client.Client) error { return give(ctx, c, v1alpha1.ActionApprove) },
		"pause":   func(ctx context.Context, c client.Client) error { return give(ctx, c, v1alpha1.ActionPause) },
		"end a pause": func(ctx context.Context, c client.Client) error {
			return give(ctx, c, v1alpha1.ActionResume)
		},
		"edit": func(ctx context.Context, c client.Client) error {
			r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "roles", Namespace: "shop"}}
			return c.Patch(ctx, r, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"mode":"Observe"}}`)), client.DryRunAll)
		},
		"resume": func(ctx context.Context, c client.Client) error { return resume(ctx, c, "") },
		"bypass": func(ctx context.Context, c client.Client) error { return resume(ctx, c, "outage") },
	}
	commands := []string{"abort", "retry", "promote", "skip", "approve", "pause", "end a pause"}
	guarded(t, "roles", true)
	held(t, as(t, "role-edit"), "roles")
	for role, may := range map[string][]string{
		"role-view":      {"read"},
		"role-edit":      append([]string{"read", "edit"}, commands...),
		"role-admin":     append([]string{"read", "edit", "bypass"}, commands...),
		"role-sre":       append([]string{"read", "bypass"}, commands...),
		"role-sre-alone": append([]string{"read"}, commands...),
		"role-oncall":    append([]string{"read"}, commands...),
	} {
		for act, do := range acts {
			t.Run(role+" "+act, func(t *testing.T) {
				err := do(t.Context(), as(t, role))
				if slices.Contains(may, act) && err != nil {
					t.Errorf("may not: %v", err)
				}
				if !slices.Contains(may, act) && !apierrors.IsForbidden(err) {
					t.Errorf("want it refused, got %v", err)
				}
			})
		}
	}
}

// give is a command in a dry-run.
func give(ctx context.Context, c client.Client, action v1alpha1.Action) error {
	document := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q,%q:%q,%q:"bbbbbbbbbb",%q:"1"}}}`, v1alpha1.AnnotationAction, action, v1alpha1.AnnotationActionToken, image(), v1alpha1.AnnotationActionRevision, v1alpha1.AnnotationActionStep)
	return c.Patch(ctx, &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "roles", Namespace: "shop"}}, client.RawPatch(types.MergePatchType, document), client.DryRunAll)
}

// resume unpauses the Deployment in a dry-run, with a reason if there is one.
func resume(ctx context.Context, c client.Client, reason string) error {
	d := &appsv1.Deployment{}
	if err := admin.Get(ctx, types.NamespacedName{Namespace: "shop", Name: "roles"}, d); err != nil {
		return err
	}
	document := `{"spec":{"paused":false}}`
	if reason != "" {
		document = `{` + reasoned(d, "GEN: "+reason) + `,"spec":{"paused":false}}`
	}
	return c.Patch(ctx, d, client.RawPatch(types.MergePatchType, []byte(document)), client.DryRunAll)
}

// TestRolesAggregate: who has the cluster's own view, edit or admin role gets
// Belay's with it.
func TestRolesAggregate(t *testing.T) {
	objects, err := build.Config("rbac")
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
