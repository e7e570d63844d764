package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/config"
)

// account is a ServiceAccount.
type account struct{ namespace, name string }

func (a account) user() string { return "system:serviceaccount:" + a.namespace + ":" + a.name }

// installed is how a controller was installed: what its Deployment says of it.
type installed struct {
	controller, probe account
	// watched are the only namespaces whose Rollouts it sees; empty for all.
	watched []string
}

// installedBy reads a controller's Deployment. The names of accounts that its flags do not
// give are those of config/manager.
func installedBy(d *appsv1.Deployment) *installed {
	in := &installed{controller: account{d.Namespace, d.Spec.Template.Spec.ServiceAccountName}, probe: account{d.Namespace, probeName}}
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, arg := range c.Args {
			name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			switch parts := strings.Split(value, ":"); {
			case name == "namespaces" && value != "":
				in.watched = strings.Split(value, ",")
			case name == "guard-probe-user" && len(parts) == 4:
				in.probe = account{parts[2], parts[3]}
			}
		}
	}
	return in
}

// Names in config/rbac. The chart has a value for that of the account.
const (
	probeName = "guard-probe"
	probeRole = "belay-guard-probe"
)

// fitted is a manifest of config/rbac with the accounts and the namespace of an installation.
func (in *installed) fitted(manifest *unstructured.Unstructured) *unstructured.Unstructured {
	out := manifest.DeepCopy()
	if out.GetNamespace() != "" {
		out.SetNamespace(in.controller.namespace)
	}
	subjects, _ := out.Object["subjects"].([]any)
	for _, raw := range subjects {
		subject, _ := raw.(map[string]any)
		to := in.controller
		if subject["name"] == probeName {
			to = in.probe
		}
		subject["name"], subject["namespace"] = to.name, to.namespace
	}
	rules, _ := out.Object["rules"].([]any)
	for _, raw := range rules {
		rule, _ := raw.(map[string]any)
		names, _ := rule["resourceNames"].([]any)
		if i := slices.Index(names, any(probeName)); i >= 0 {
			names[i] = in.probe.name
		}
	}
	return out
}

// everywhere is whether a manifest gives the controller or the guard's probe rights in every
// namespace. Where the controller watches some namespaces only, the chart has Roles in these.
func everywhere(manifest *unstructured.Unstructured) bool {
	kind, name := manifest.GetKind(), manifest.GetName()
	return (kind == "ClusterRole" || kind == "ClusterRoleBinding") && (name == controllerName || name == probeRole)
}

// shownNamespaces is how many watched namespaces are looked at.
const shownNamespaces = 20

// watched compares the rights in each watched namespace with those that a manifest gives in all.
// The chart names what it makes there after the manifest.
func (e *examination) watched(ctx context.Context, manifest *unstructured.Unstructured, in *installed) error {
	namespaces := in.watched
	if len(namespaces) > shownNamespaces {
		e.note("The roles of %d of %d watched namespaces are looked at.", shownNamespaces, len(namespaces))
		namespaces = namespaces[:shownNamespaces]
	}
	if manifest.GetKind() == "ClusterRoleBinding" {
		for _, namespace := range namespaces {
			local := in.fitted(manifest)
			local.SetKind("RoleBinding")
			local.SetNamespace(namespace)
			local.SetName(manifest.GetName() + "-watched")
			local.Object["roleRef"] = map[string]any{"apiGroup": rbacv1.GroupName, "kind": "Role", "name": local.GetName()}
			if err := e.compare(ctx, local, ""); err != nil {
				return err
			}
		}
		return nil
	}
	var inCluster rbacv1.ClusterRole
	read, none, err := e.reading("ClusterRoles", e.Get(ctx, client.ObjectKey{Name: manifest.GetName()}, &inCluster))
	if err != nil {
		return err
	}
	var wanted rbacv1.ClusterRole
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(manifest.Object, &wanted); err != nil {
		return err
	}
	for _, namespace := range namespaces {
		key := client.ObjectKey{Namespace: namespace, Name: manifest.GetName() + "-watched"}
		place := "Role " + key.Namespace + "/" + key.Name
		role := &rbacv1.Role{}
		ok, missing, err := e.reading("Roles", e.Get(ctx, key, role))
		lacks := lacking(wanted.Rules, slices.Concat(inCluster.Rules, role.Rules))
		switch {
		case missing:
			e.found(place, applyRelease, "it is missing: the controller watches namespace %s and has no rights there", namespace)
		case ok && (read || none) && len(lacks) > 0:
			e.found(place, applyRelease, "with ClusterRole %s it lacks %s: %s", manifest.GetName(), strings.Join(lacks[:min(len(lacks), listedNames)], ", "), without("ClusterRole"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lacking are the rights of some rules that others do not have.
func lacking(wanted, have []rbacv1.PolicyRule) (out []string) {
	for _, rule := range wanted {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				if !slices.ContainsFunc(have, func(r rbacv1.PolicyRule) bool {
					return slices.Contains(r.APIGroups, rule.APIGroups[0]) && slices.Contains(r.Resources, resource) && slices.Contains(r.Verbs, verb) && len(r.ResourceNames) == 0
				}) {
					out = append(out, verb+" "+resource)
				}
			}
		}
	}
	return out
}

// manifests compares the definitions, policies and roles with those of this version. Without a
// controller it is not known where its own Role is, and whom the policies should exempt.
func (e *examination) manifests(ctx context.Context, in *installed) error {
	identity := ""
	if in != nil {
		identity = in.controller.user()
	}
	for _, folder := range []string{"crd", "guard", "rbac"} {
		objects, err := config.Objects(folder)
		if err != nil {
			return err
		}
		for _, manifest := range objects {
			switch {
			case in == nil && manifest.GetNamespace() != "":
				continue
			case in == nil:
				delete(manifest.Object, "subjects")
			case len(in.watched) > 0 && everywhere(manifest):
				if err := e.watched(ctx, manifest, in); err != nil {
					return err
				}
				if manifest.GetKind() == "ClusterRole" || manifest.GetName() != controllerName {
					continue
				}
				// The controller's rights on what is in no namespace stay in the cluster.
				manifest = in.fitted(manifest)
			default:
				manifest = in.fitted(manifest)
			}
			if err := e.compare(ctx, manifest, identity); err != nil {
				return err
			}
		}
	}
	return nil
}

// placeOf is a kind, and a name with its namespace where it has one.
func placeOf(o *unstructured.Unstructured) string {
	if o.GetNamespace() != "" {
		return fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())
	}
	return o.GetKind() + " " + o.GetName()
}
