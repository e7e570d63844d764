//go:build engines

package engines

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/hack/stage"
	"belay.dev/belay/test/programs"
)

const argoNamespace = "argocd"

// startArgoCD starts its application controller and its repo server. Its API server, which
// people click in, is not there: what it would write, this test writes.
func startArgoCD(t *testing.T) {
	t.Helper()
	source := moduleFolder(t, "argocd", "github.com/argoproj/argo-cd/v3")
	manifests := filepath.Join(source, "manifests")
	var definitions []string
	for _, kind := range []string{"application", "applicationset", "appproject"} {
		definitions = append(definitions, filepath.Join(manifests, "crds", kind+"-crd.yaml"))
	}
	define(t, definitions...)
	kubeconfig := programs.Account(t, set, argoNamespace, "argocd-application-controller")
	configureArgoCD(t, filepath.Join(manifests, "base", "config"))

	redis, repo := "127.0.0.1:"+programs.FreePort(t), programs.FreePort(t)
	environ := []string{"KUBECONFIG=" + kubeconfig, "ARGOCD_FAKE_IN_CLUSTER=true", "ARGOCD_GPG_ENABLED=false", "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(),
		"PATH=" + scripts(t, filepath.Join(source, "hack", "git-verify-wrapper.sh")) + ":" + os.Getenv("PATH")}
	programs.Run(t, set, environ, "argocd", "redis", redis)
	programs.Run(t, set, environ, "argocd", "argocd-repo-server", "--address=127.0.0.1", "--port="+repo, "--metrics-address=127.0.0.1", "--metrics-port="+programs.FreePort(t),
		"--redis="+redis, "--disable-tls", "--client-ca-path=")
	programs.Run(t, set, environ, "argocd", "argocd-application-controller", "--namespace="+argoNamespace, "--kubeconfig="+kubeconfig,
		"--repo-server=127.0.0.1:"+repo, "--repo-server-plaintext", "--redis="+redis, "--metrics-port="+programs.FreePort(t), "--app-resync=10", "--app-resync-jitter=0")
}

// scripts copies what Argo CD's image has in its PATH, and returns the folder.
func scripts(t *testing.T, paths ...string) string {
	t.Helper()
	g := NewWithT(t)
	folder := t.TempDir()
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.WriteFile(filepath.Join(folder, filepath.Base(path)), raw, 0o700)).To(Succeed()) // #nosec G306 -- it is run
	}
	return folder
}

// configureArgoCD applies Argo CD's own configuration, what its API server adds to it when it
// starts, and the patch that config/gitops ships.
func configureArgoCD(t *testing.T, folder string) {
	t.Helper()
	g := NewWithT(t)
	files, err := filepath.Glob(filepath.Join(folder, "argocd-*.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, path := range files {
		raw, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		u := &unstructured.Unstructured{}
		g.Expect(yaml.Unmarshal(raw, &u.Object)).To(Succeed())
		u.SetNamespace(argoNamespace)
		g.Expect(set.Client.Create(t.Context(), u)).To(Succeed())
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: argoNamespace, Name: "argocd-secret"}}
	g.Expect(set.Client.Patch(t.Context(), secret, client.RawPatch("application/merge-patch+json", []byte(`{"stringData":{"server.secretkey":"of this test"}}`)))).To(Succeed())
	patch, err := os.ReadFile(filepath.Join(set.Root, "config", "gitops", "argocd-cm.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	patch, err = yaml.YAMLToJSON(patch)
	g.Expect(err).NotTo(HaveOccurred())
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: argoNamespace, Name: "argocd-cm"}}
	g.Expect(set.Client.Patch(t.Context(), settings, client.RawPatch("application/merge-patch+json", patch))).To(Succeed())
	project := object("argoproj.io/v1alpha1", "AppProject", argoNamespace, "default")
	project.Object["spec"] = map[string]any{
		"sourceRepos":              []any{"*"},
		"destinations":             []any{map[string]any{"namespace": "*", "server": "*"}},
		"clusterResourceWhitelist": []any{map[string]any{"group": "*", "kind": "*"}},
	}
	g.Expect(set.Client.Create(t.Context(), project)).To(Succeed())
}

// application as Argo CD knows it, with a Git repository on disk.
type application struct {
	t          *testing.T
	name       string
	repository string
}

// documented finds the part of an Application that docs/gitops.md tells people to write.
var documented = regexp.MustCompile("(?s)In the Application:\n\n```yaml\n(.*?)```")

// deployByArgoCD makes an Application with what docs/gitops.md says of one called checkout, that
// syncs, prunes and heals by itself.
func deployByArgoCD(t *testing.T, shop stage.Shop, serverSide bool) engine {
	t.Helper()
	g := NewWithT(t)
	page, err := os.ReadFile(filepath.Join(set.Root, "docs", "gitops.md"))
	g.Expect(err).NotTo(HaveOccurred())
	found := documented.FindSubmatch(page)
	g.Expect(found).NotTo(BeNil(), "docs/gitops.md has no part of an Application")
	content := map[string]any{}
	g.Expect(yaml.Unmarshal([]byte(strings.ReplaceAll(string(found[1]), "checkout", stage.Name)), &content)).To(Succeed())

	app := &application{t: t, name: shop.Namespace, repository: t.TempDir()}
	app.git("init", "--quiet", "--initial-branch=main")
	app.git("config", "user.name", "team")
	app.git("config", "user.email", "team@example.com")
	u := app.object()
	u.Object["spec"] = content["spec"]
	u.SetFinalizers([]string{"resources-finalizer.argocd.argoproj.io"})
	spec := u.Object["spec"].(map[string]any)
	spec["project"] = "default"
	spec["destination"] = map[string]any{"server": "https://kubernetes.default.svc", "namespace": shop.Namespace}
	spec["source"] = map[string]any{"repoURL": "file://" + app.repository, "path": ".", "targetRevision": "main"}
	policy := spec["syncPolicy"].(map[string]any)
	policy["automated"] = map[string]any{"prune": true, "selfHeal": true}
	if serverSide {
		policy["syncOptions"] = append(policy["syncOptions"].([]any), "ServerSideApply=true")
		u.SetAnnotations(map[string]string{"argocd.argoproj.io/compare-options": "ServerSideDiff=true"})
	}
	app.commit("README.md", "nothing yet\n")
	g.Expect(set.Client.Create(t.Context(), u, client.FieldValidation("Strict"))).To(Succeed())
	return app
}

func (a *application) object() *unstructured.Unstructured {
	return object("argoproj.io/v1alpha1", "Application", argoNamespace, a.name)
}

func (a *application) words() words {
	return words{
		done:    "Synced Healthy",
		running: "Synced Progressing",
		failed:  "Synced Degraded",
		// Unknown: of server-side diffs alone, where the guard refuses a dry run.
		passing: []string{"OutOfSync Healthy", "OutOfSync Progressing", "OutOfSync Suspended", "Synced Suspended", "Unknown Progressing"},
	}
}

func (a *application) git(args ...string) string {
	a.t.Helper()
	command := exec.Command("git", args...) // #nosec G204 -- the words of this test
	command.Dir = a.repository
	out, err := command.CombinedOutput()
	NewWithT(a.t).Expect(err).NotTo(HaveOccurred(), "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (a *application) commit(name, content string) string {
	g := NewWithT(a.t)
	g.Expect(os.WriteFile(filepath.Join(a.repository, name), []byte(content), 0o600)).To(Succeed())
	a.git("add", "--all")
	a.git("commit", "--quiet", "--message", "change "+name)
	return a.git("rev-parse", "HEAD")
}

// declare commits, and asks for a refresh as a webhook of the Git server does.
func (a *application) declare(ctx context.Context, manifests string) string {
	revision := a.commit("app.yaml", manifests)
	a.patch(ctx, `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"normal"}}}`)
	return revision
}

func (a *application) patch(ctx context.Context, patch string) {
	NewWithT(a.t).Expect(set.Client.Patch(ctx, a.object(), client.RawPatch("application/merge-patch+json", []byte(patch)))).To(Succeed())
}

func (a *application) says(ctx context.Context) report {
	u := a.object()
	if err := set.Client.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
		return report{Message: err.Error()}
	}
	text := func(fields ...string) string {
		s, _, _ := unstructured.NestedString(u.Object, append([]string{"status"}, fields...)...)
		return s
	}
	message := text("operationState", "message")
	resources, _, _ := unstructured.NestedSlice(u.Object, "status", "resources")
	for _, entry := range resources {
		if r, ok := entry.(map[string]any); ok && r["status"] != "Synced" {
			message += fmt.Sprintf("; %v is %v", r["kind"], r["status"])
		}
	}
	return report{Revision: text("sync", "revision"), Word: text("sync", "status") + " " + text("health", "status"), Message: message}
}

// resync gives the command that a click on Sync gives, with everything applied anew.
func (a *application) resync(ctx context.Context) {
	g := NewWithT(a.t)
	u := a.object()
	g.Expect(set.Client.Get(ctx, client.ObjectKeyFromObject(u), u)).To(Succeed())
	before, _, _ := unstructured.NestedString(u.Object, "status", "operationState", "startedAt")
	options, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "syncPolicy", "syncOptions")
	// Times have whole seconds.
	g.Eventually(func() string { return time.Now().UTC().Format(time.RFC3339) }).ShouldNot(Equal(before))
	a.patch(ctx, fmt.Sprintf(`{"operation":{"initiatedBy":{"username":"person"},"sync":{"prune":true,"syncOptions":["%s"]}}}`, strings.Join(options, `","`)))
	g.Eventually(func() string {
		if err := set.Client.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
			return err.Error()
		}
		started, _, _ := unstructured.NestedString(u.Object, "status", "operationState", "startedAt")
		phase, _, _ := unstructured.NestedString(u.Object, "status", "operationState", "phase")
		if started == before {
			return "not begun"
		}
		return phase
	}).Should(Equal("Succeeded"), "the sync ends")
	a.patch(ctx, `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"hard"}}}`)
	g.Eventually(func() bool {
		return set.Client.Get(ctx, client.ObjectKeyFromObject(u), u) == nil && u.GetAnnotations()["argocd.argoproj.io/refresh"] == ""
	}).Should(BeTrue(), "everything is compared anew")
}

func (a *application) remove(ctx context.Context) {
	g := NewWithT(a.t)
	g.Expect(set.Client.Delete(ctx, a.object())).To(Succeed())
	g.Eventually(func() bool { return gone(ctx, a.object()) }).Should(BeTrue(), "the Application goes")
}
