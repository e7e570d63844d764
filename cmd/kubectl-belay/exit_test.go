package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// asked is what each command is given where only the cluster, or a flag, is wrong. Commands that
// never ask a cluster have none.
var asked = map[string][]string{
	"status": {"checkout"}, "list": {}, "why": {"checkout"}, "history": {"checkout"}, "log": {"checkout"}, "show": {"checkout"}, "diff": {"checkout"},
	"wait": {"checkout"}, "abort": {"checkout"}, "pause": {"checkout"}, "resume": {"checkout"}, "promote": {"checkout"}, "skip": {"checkout"}, "approve": {"checkout"}, "retry": {"checkout"},
	"override-freeze": {"checkout", "--revision", "bbbbbbbbbb", "--reason", "outage"},
	"rollback":        {"checkout"}, "bypass": {"checkout", "--reason", "outage", "--yes"}, "doctor": {}, "init": {"checkout"},
	"backtest": {"checkout", "--prometheus", "http://localhost:1", "--split", "checkout-1"}, "verify": {"checkout"}, "replay": {"checkout"},
	"export": {"checkout", "--to", "evidence"}, "lint": nil, "man": nil,
}

// run executes a command line, and returns what it wrote and its exit code.
func run(t *testing.T, args ...string) (said string, code int) {
	t.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	a := &app{flags: genericclioptions.NewConfigFlags(false), streams: streams, terminal: terminal{width: 100}, now: time.Now, every: 1}
	root := a.root()
	root.SetArgs(args)
	code = codeOf(root.ExecuteContext(t.Context()), errOut)
	return out.String() + errOut.String(), code
}

// TestAnErrorIsNoAnswer walks through every command: a script must not take an error for a
// finding, and each message says what to do.
func TestAnErrorIsNoAnswer(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "nothing"))
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	strange := httptest.NewUnstartedServer(http.NotFoundHandler())
	strange.Config.ErrorLog = log.New(io.Discard, "", 0)
	strange.StartTLS()
	defer strange.Close()
	expired := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { respond(w, 401, "Unauthorized") })
	without, empty := apiServer(t, serving(others...)), apiServer(t, serving(slices.Concat(others, belays)...))
	script := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(script, []byte("apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nclusters: [{name: a, cluster: {server: \"https://127.0.0.1:1\"}}]\n"+
		"users: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: no-such-login}}}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := map[string]struct {
		flags []string
		want  string
	}{
		"wrong flag":           {[]string{"--nothing"}, "--help'."},
		"no kubeconfig":        {nil, "no cluster is configured"},
		"no such kubeconfig":   {[]string{"--kubeconfig", "absent"}, "the kubeconfig absent cannot be read: no such file"},
		"no such context":      {[]string{"--kubeconfig", script, "--context", "staging"}, `your kubeconfig has no such context: kubectl config get-contexts`},
		"nothing listens":      {[]string{"--server", closed.URL}, "nothing listens there. Is it the right cluster"},
		"no such host":         {[]string{"--server", "https://belay.invalid"}, "has no address"},
		"certificate":          {[]string{"--server", strange.URL}, "a certificate that your kubeconfig does not trust"},
		"credentials":          {[]string{"--server", expired.URL}, "does not accept your credentials: they have expired"},
		"credentials' command": {[]string{"--kubeconfig", script}, "takes credentials for https://127.0.0.1:1 from a command, which failed: exec: executable no-such-login not found"},
		"a cluster without it": {[]string{"--server", without.URL}, "this cluster has no Belay: it does not serve the kind"},
		"nothing of that name": {[]string{"--server", empty.URL}, "checkout"},
	}
	app, _, _ := testApp()
	for _, cmd := range app.root().Commands() {
		args, known := asked[cmd.Name()]
		if !known {
			t.Errorf("%s is not tried: say what it is given", cmd.Name())
		}
		for name, c := range wrong {
			if args == nil && name != "wrong flag" {
				continue
			}
			t.Run(cmd.Name()+", "+name, func(t *testing.T) {
				said, code := run(t, append(append([]string{cmd.Name()}, args...), c.flags...)...)
				switch {
				case name == "nothing of that name" && len(args) == 0:
					if code == exitError {
						t.Errorf("exit code %d of a command that asks for nothing by name:\n%s", code, said)
					}
				case name == "a cluster without it" && cmd.Name() == "doctor":
					if code != exitNo || !strings.Contains(said, "CustomResourceDefinition rollouts.belay.dev  it is missing") {
						t.Errorf("exit code %d, want the findings of doctor:\n%s", code, said)
					}
				case name == "a cluster without it" && cmd.Name() == "init":
					if code != exitError || !strings.Contains(said, "read Deployment checkout") {
						t.Errorf("exit code %d, want a missing Deployment:\n%s", code, said)
					}
				case code != exitError || !strings.Contains(said, c.want):
					t.Errorf("exit code %d, want %d and %q:\n%s", code, exitError, c.want, said)
				}
			})
		}
	}
}

func apiServer(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server
}

// respond is a Status of the API server.
func respond(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"` + reason + `","message":"` + reason + `"}`))
}

// kind is one that an API server has, without any object.
type kind struct {
	group, version, name, resource string
	namespaced                     bool
}

var (
	others = []kind{{"apps", "v1", "Deployment", "deployments", true}, {"apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false}}
	belays = []kind{{"belay.dev", "v1alpha1", "Rollout", "rollouts", true}, {"belay.dev", "v1alpha1", "RolloutRun", "rolloutruns", true},
		{"belay.dev", "v1alpha1", "Guardrail", "guardrails", true}, {"belay.dev", "v1alpha1", "ClusterGuardrail", "clusterguardrails", false}}
)

// serving is an API server with these kinds.
func serving(kinds ...kind) http.HandlerFunc {
	documents := map[string]any{
		"/version": map[string]any{"gitVersion": "v1.36.1"},
		"/api":     map[string]any{"kind": "APIVersions", "versions": []string{"v1"}},
		"/api/v1":  map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{}},
		"/apis":    map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{}},
	}
	resources := map[string][]any{}
	for _, k := range kinds {
		in, at := k.group+"/"+k.version, "/apis/"+k.group
		resources[in] = append(resources[in], map[string]any{"name": k.resource, "namespaced": k.namespaced, "kind": k.name, "verbs": []string{"get", "list"}})
		version := map[string]any{"groupVersion": in, "version": k.version}
		documents[at] = map[string]any{"kind": "APIGroup", "apiVersion": "v1", "name": k.group, "versions": []any{version}, "preferredVersion": version}
		documents[at+"/"+k.version] = map[string]any{"kind": "APIResourceList", "groupVersion": in, "resources": resources[in]}
		list := map[string]any{"kind": k.name + "List", "apiVersion": in, "metadata": map[string]any{}, "items": []any{}}
		documents[at+"/"+k.version+"/"+k.resource], documents[at+"/"+k.version+"/namespaces/default/"+k.resource] = list, list
	}
	return func(w http.ResponseWriter, r *http.Request) {
		document, ok := documents[r.URL.Path]
		if !ok {
			respond(w, 404, "NotFound")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document)
	}
}

// TestPrometheusIsNoAPIServer: the error of a request to it is told as it is.
func TestPrometheusIsNoAPIServer(t *testing.T) {
	said, code := run(t, "backtest", "-f", "testdata/guardrail.yaml", "--prometheus", "http://127.0.0.1:1", "--split", "checkout-1")
	if code != exitError || strings.Contains(said, "API server") || !strings.Contains(said, "127.0.0.1:1") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// TestWhoMay adds to a refusal of the API server the roles that have the right.
func TestWhoMay(t *testing.T) {
	for right, want := range map[[3]string]string{
		{"get", "belay.dev", "rollouts"}:                             "view, edit, admin, belay-oncall and belay-sre",
		{"abort", "belay.dev", "rollouts"}:                           "edit, admin, belay-oncall and belay-sre",
		{"update", "belay.dev", "rollouts"}:                          "edit and admin",
		{"bypass", "belay.dev", "rollouts"}:                          "admin and belay-sre",
		{"list", "belay.dev", "metricsources"}:                       "belay-cluster-view, belay-oncall and belay-sre",
		{"update", "belay.dev", "metricsources"}:                     "belay-sre",
		{"patch", "apps", "deployments"}:                             "edit and admin",
		{"list", "", "pods"}:                                         "view, edit, admin, belay-oncall and belay-sre",
		{"list", "apps", "replicasets"}:                              "view, edit, admin and belay-sre",
		{"get", "gateway.networking.k8s.io", "httproutes"}:           "view, edit, admin, belay-oncall and belay-sre",
		{"get", "coordination.k8s.io", "leases"}:                     "belay-oncall and belay-sre",
		{"get", "apiextensions.k8s.io", "customresourcedefinitions"}: "",
		{"patch", "belay.dev", "rolloutruns"}:                        "",
		{"create", "example.com", "anything/else"}:                   "",
	} {
		if got := rolesWith(right[0], right[1], right[2]); len(got) == 0 && want != "" || len(got) > 0 && listed(got) != want {
			t.Errorf("%v: %q, want %q", right, got, want)
		}
	}
}

// TestATokenIsReadOnce: it may come from a pipe, which is empty the second time.
func TestATokenIsReadOnce(t *testing.T) {
	seen := make(chan string, 10)
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := metricsFlags{address: server.URL, tokenFile: file}
	m.labels.Namespace, m.labels.Pod = "namespace", "pod"
	if err := m.check(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := m.open(t.Context(), time.Now); err == nil {
		t.Error("a server that is unavailable has a scrape interval")
	}
	if got := <-seen; got != "Bearer secret" {
		t.Errorf("it was asked with %q", got)
	}
}
