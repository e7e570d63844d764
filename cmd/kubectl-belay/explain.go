package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/config"
	"belay.dev/belay/controllers/view"
)

// noServer is the address that client-go takes when no kubeconfig has one.
const noServer = "http://localhost:8080"

var errNoCluster = errors.New("no cluster is configured: there is no kubeconfig, or it names none. Set KUBECONFIG or --kubeconfig to the file that your cluster's " +
	"administrator or provider gives you; kubectl cluster-info tells whether it works")

// explained says what an error of the connection or of the API server means, and what to do.
// Any other error, and one that has its exit code already, is returned as it is.
func explained(err error) error {
	var coded exit
	switch {
	case err == nil, errors.As(err, &coded):
		return err
	case belaysKind(err) != "":
		return fmt.Errorf("this cluster has no Belay: it does not serve the kind %s of %s. Is it the right cluster (kubectl config current-context)? "+
			"kubectl belay doctor says what is missing, and doctor --before-install whether the cluster fits", belaysKind(err), v1alpha1.GroupVersion)
	case apierrors.IsUnauthorized(err):
		return errors.New("the API server does not accept your credentials: they have expired, or belong to another cluster. " +
			"Log in again as you do for kubectl; kubectl auth whoami tells whether it worked")
	case apierrors.IsForbidden(err):
		return whoMay(err)
	default:
		return unreached(err)
	}
}

// belaysKind is the kind of Belay's that the API server does not serve; empty for other errors.
func belaysKind(err error) string {
	var kind *meta.NoKindMatchError
	if errors.As(err, &kind) && kind.GroupKind.Group == v1alpha1.GroupVersion.Group {
		return strings.TrimSuffix(kind.GroupKind.Kind, "List")
	}
	return ""
}

// unreached says why a request to the API server had no response. Any other error stays as it is,
// also that of a request to Prometheus, whose client has errors of its own.
func unreached(err error) error {
	var request *url.Error
	if !errors.As(err, &request) {
		return err
	}
	u, unreadable := url.Parse(request.URL)
	if unreadable != nil || u.Host == "" {
		return err
	}
	server := view.Text(u.Scheme+"://"+u.Host, 300)
	const same = "kubectl cluster-info tells whether kubectl reaches it"
	var name *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(err.Error(), "getting credentials: "):
		_, said, _ := strings.Cut(err.Error(), "getting credentials: ")
		return fmt.Errorf("your kubeconfig takes credentials for %s from a command, which failed: %s. Log in again as you do for kubectl", server, said)
	case errors.As(err, &name):
		return fmt.Errorf("the API server %s cannot be reached: the name %s has no address. Is the kubeconfig of this cluster, and are you in its network? %s", server, view.Text(name.Name, 253), same)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("the API server %s cannot be reached: nothing listens there. Is it the right cluster (kubectl config current-context), and does it run? %s", server, same)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired, errors.As(err, &authority), errors.As(err, &host):
		return fmt.Errorf("the API server %s shows a certificate that your kubeconfig does not trust: %w. Is the kubeconfig of this cluster, and is the clock right?", server, request.Err)
	case request.Timeout():
		return fmt.Errorf("the API server %s did not respond in time. Are you in its network? %s", server, same)
	default:
		return fmt.Errorf("the API server %s cannot be reached: %w. %s", server, request.Err, same)
	}
}

// configured says what is wrong with a kubeconfig.
func configured(err error) error {
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return fmt.Errorf("the kubeconfig %s cannot be read: %w. --kubeconfig or KUBECONFIG names it", view.Text(path.Path, 300), path.Err)
	case clientcmd.IsContextNotFound(err), strings.HasPrefix(err.Error(), "context ") && strings.HasSuffix(err.Error(), "does not exist"):
		return errors.New("your kubeconfig has no such context: kubectl config get-contexts shows those that it has")
	case clientcmd.IsEmptyConfig(err):
		return errNoCluster
	default:
		return fmt.Errorf("the kubeconfig cannot be used: %w. kubectl config view shows it", err)
	}
}

// refused reads what the API server says of a right that somebody lacks. Its status has no field
// for the verb.
var refused = regexp.MustCompile(`cannot ([a-z]+) resource "([a-z/]+)" in API group "([a-z0-9.]*)"`)

// whoMay adds to a refusal which roles have the right.
func whoMay(err error) error {
	roles, where := letting(err)
	if len(roles) == 0 {
		return err
	}
	return fmt.Errorf("%w. The roles %s let you, %s: docs/security.md#roles", err, listed(roles), where)
}

// letting are the roles that have the right whose lack is the error, and how they have to be
// bound. There are none when a policy of the guard refused: it says itself who may.
func letting(err error) (roles []string, where string) {
	found := refused.FindStringSubmatch(err.Error())
	if found == nil {
		return nil, ""
	}
	where = "in that namespace"
	if strings.Contains(err.Error(), "at the cluster scope") {
		where = "when they are bound for the whole cluster, by a ClusterRoleBinding"
	}
	return rolesWith(found[1], found[3], found[2]), where
}

// rolesWith are the roles for people that have a right, by the names by which they are bound:
// the cluster's own for kinds of Kubernetes, and those of this version of Belay.
func rolesWith(verb, group, resource string) (names []string) {
	if slices.Contains([]string{"", "apps", "autoscaling"}, group) {
		names = []string{"edit", "admin"}
		if slices.Contains([]string{"get", "list", "watch"}, verb) {
			names = []string{"view", "edit", "admin"}
		}
	}
	for _, role := range rolesForPeople() {
		if !slices.ContainsFunc(role.Rules, func(rule rbacv1.PolicyRule) bool {
			return slices.Contains(rule.APIGroups, group) && slices.Contains(rule.Resources, resource) && slices.Contains(rule.Verbs, verb)
		}) {
			continue
		}
		bound := []string{role.Name}
		if in := slices.DeleteFunc([]string{"view", "edit", "admin"}, func(name string) bool {
			return role.Labels["rbac.authorization.k8s.io/aggregate-to-"+name] != "true"
		}); len(in) > 0 {
			bound = in
		}
		for _, name := range bound {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// rolesForPeople are those of config/rbac that no account of Belay's has. They are read once: a
// screen asks for them with each command that it does not offer.
var rolesForPeople = sync.OnceValue(func() (roles []rbacv1.ClusterRole) {
	objects, err := config.Objects("rbac")
	if err != nil {
		return nil
	}
	for _, object := range objects {
		var role rbacv1.ClusterRole
		if object.GetKind() == "ClusterRole" && object.GetName() != controllerName && object.GetName() != probeRole && runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role) == nil {
			roles = append(roles, role)
		}
	}
	return roles
})

// listed joins words as a sentence does.
func listed(words []string) string { return series(words, "and") }

// oneOf joins words of which one is enough.
func oneOf(words []string) string { return series(words, "or") }

func series(words []string, last string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}
