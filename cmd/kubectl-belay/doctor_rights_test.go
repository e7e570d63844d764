package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// TestADoctorWhoMayLookAtNothing does not say that nothing is wrong: a pipeline goes on by that.
func TestADoctorWhoMayLookAtNothing(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "nothing"))
	served := map[string]map[string]string{
		"apps/v1":                         {"deployments": "Deployment"},
		"apiextensions.k8s.io/v1":         {"customresourcedefinitions": "CustomResourceDefinition"},
		"rbac.authorization.k8s.io/v1":    {"clusterroles": "ClusterRole", "clusterrolebindings": "ClusterRoleBinding", "roles": "Role", "rolebindings": "RoleBinding"},
		"belay.dev/v1alpha1":              {"metricsources": "MetricSource", "rollouts": "Rollout"},
		"gateway.networking.k8s.io/v1":    {"httproutes": "HTTPRoute", "grpcroutes": "GRPCRoute"},
		"coordination.k8s.io/v1":          {"leases": "Lease"},
		"admissionregistration.k8s.io/v1": {"mutatingadmissionpolicies": "MutatingAdmissionPolicy", "mutatingadmissionpolicybindings": "MutatingAdmissionPolicyBinding", "validatingadmissionpolicies": "ValidatingAdmissionPolicy", "validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBinding"},
	}
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		answer := func(text string) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(text))
		}
		var groups []string
		for gv, resources := range served {
			group, version, _ := strings.Cut(gv, "/")
			at := fmt.Sprintf(`{"groupVersion":%q,"version":%q}`, gv, version)
			one := fmt.Sprintf(`"name":%q,"versions":[%s],"preferredVersion":%s}`, group, at, at)
			groups = append(groups, "{"+one)
			switch r.URL.Path {
			case "/apis/" + group:
				answer(`{"kind":"APIGroup","apiVersion":"v1",` + one)
				return
			case "/apis/" + gv:
				var list []string
				for name, kind := range resources {
					list = append(list, fmt.Sprintf(`{"name":%q,"namespaced":false,"kind":%q,"verbs":["get","list"]}`, name, kind))
				}
				answer(fmt.Sprintf(`{"kind":"APIResourceList","groupVersion":%q,"resources":[%s]}`, gv, strings.Join(list, ",")))
				return
			}
		}
		switch r.URL.Path {
		case "/version":
			answer(`{"major":"1","minor":"36","gitVersion":"v1.36.1"}`)
		case "/api":
			answer(`{"kind":"APIVersions","versions":["v1"]}`)
		case "/api/v1":
			answer(`{"kind":"APIResourceList","groupVersion":"v1","resources":[]}`)
		case "/apis":
			answer(`{"kind":"APIGroupList","apiVersion":"v1","groups":[` + strings.Join(groups, ",") + `]}`)
		default:
			respond(w, 403, "Forbidden")
		}
	})
	said, code := run(t, "doctor", "--server", server.URL)
	if code != exitUnknown || !strings.Contains(said, "Nothing was found, but not everything was looked at.") {
		t.Errorf("exit code %d, and it has seen no definition, no policy, no role and no controller:\n%s", code, said)
	}
}

// TestADoctorFindsAWaitForAnApproval, as it finds a pause: nothing but a person ends both.
func TestADoctorFindsAWaitForAnApproval(t *testing.T) {
	for _, reason := range []string{v1alpha1.ReasonPaused, v1alpha1.ReasonAwaitingApproval} {
		e, r := &examination{}, &v1alpha1.Rollout{}
		r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionTrue, Reason: reason, Message: "for three days"}}
		if e.conditions(r); len(e.Findings) != 1 {
			t.Errorf("%s: %+v", reason, e.Findings)
		}
	}
}
