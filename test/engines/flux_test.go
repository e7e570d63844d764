//go:build engines

package engines

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/hack/stage"
	"belay.dev/belay/test/programs"
)

const fluxNamespace = "flux-system"

// flux is a kustomize-controller. What it applies comes from an ExternalArtifact, which is
// Flux' kind for sources that its own source-controller does not fetch: here this test packs
// them and serves them.
type flux struct {
	controller *programs.Program
	files      *httptest.Server

	mu       sync.Mutex
	archives map[string][]byte
}

func startFlux(t *testing.T) *flux {
	t.Helper()
	f := &flux{archives: map[string][]byte{}}
	f.files = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		archive, ok := f.archives[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(archive)
	}))
	t.Cleanup(f.files.Close)
	define(t, fluxDefinitions(t)...)
	kubeconfig := programs.Account(t, set, fluxNamespace, "kustomize-controller")
	f.controller = programs.Run(t, set, []string{"KUBECONFIG=" + kubeconfig, "RUNTIME_NAMESPACE=" + fluxNamespace}, "kustomize-controller",
		"--feature-gates=ExternalArtifact=true,CancelHealthCheckOnNewRevision=true", "--metrics-addr=0", "--health-addr=127.0.0.1:"+programs.FreePort(t), "--log-level=info")
	return f
}

// fluxDefinitions makes the CRDs from the types that kustomize-controller is built with.
func fluxDefinitions(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	command := exec.CommandContext(t.Context(), filepath.Join(set.Root, "bin", "controller-gen"), "crd",
		"paths=github.com/fluxcd/source-controller/api/v1;github.com/fluxcd/kustomize-controller/api/v1", "output:crd:dir="+folder)
	command.Dir = filepath.Join(set.Root, "hack", "gitops", "flux")
	out, err := command.CombinedOutput()
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(paths).NotTo(BeEmpty())
	return paths
}

// kustomization is the application as Flux knows it.
type kustomization struct {
	*flux
	t    *testing.T
	name string
}

// deploy makes a Kustomization of the one that config/gitops ships, with short intervals.
func (f *flux) deploy(t *testing.T, shop stage.Shop) engine {
	t.Helper()
	g := NewWithT(t)
	raw, err := os.ReadFile(filepath.Join(set.Root, "config", "gitops", "flux.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	object := map[string]any{}
	g.Expect(yaml.Unmarshal(raw, &object)).To(Succeed())
	u := &unstructured.Unstructured{Object: object}
	u.SetName(shop.Namespace)
	spec := u.Object["spec"].(map[string]any)
	spec["interval"], spec["retryInterval"], spec["path"] = "5s", "3s", "./"
	spec["sourceRef"] = map[string]any{"kind": "ExternalArtifact", "name": shop.Namespace}
	k := &kustomization{flux: f, t: t, name: shop.Namespace}
	g.Expect(set.Client.Create(t.Context(), k.source())).To(Succeed())
	g.Expect(set.Client.Create(t.Context(), u, client.FieldValidation("Strict"))).To(Succeed())
	t.Cleanup(func() { g.Expect(client.IgnoreNotFound(set.Client.Delete(programs.Late(t), k.source()))).To(Succeed()) })
	return k
}

func (k *kustomization) source() *unstructured.Unstructured {
	return object("source.toolkit.fluxcd.io/v1", "ExternalArtifact", fluxNamespace, k.name)
}

func (k *kustomization) object() *unstructured.Unstructured {
	return object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", fluxNamespace, k.name)
}

func (k *kustomization) words() words {
	return words{
		done:    "Ready=True ReconciliationSucceeded",
		running: "Ready=Unknown Progressing",
		failed:  "Ready=False HealthCheckFailed",
		passing: []string{"Ready=False HealthCheckCanceled"},
	}
}

// declare packs the manifests and says in the artifact where they are.
func (k *kustomization) declare(ctx context.Context, manifests string) string {
	g := NewWithT(k.t)
	archive, err := pack("app.yaml", manifests)
	g.Expect(err).NotTo(HaveOccurred())
	sum := fmt.Sprintf("%x", sha256.Sum256(archive))
	path, revision := "/"+sum+".tar.gz", "latest@sha256:"+sum
	k.mu.Lock()
	k.archives[path] = archive
	k.mu.Unlock()
	source := k.source()
	g.Expect(set.Client.Get(ctx, client.ObjectKeyFromObject(source), source)).To(Succeed())
	source.Object["status"] = map[string]any{
		"artifact": map[string]any{
			"url": k.files.URL + path, "path": strings.TrimPrefix(path, "/"), "revision": revision, "digest": "sha256:" + sum,
			"size": int64(len(archive)), "lastUpdateTime": time.Now().UTC().Format(time.RFC3339),
		},
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		}},
	}
	g.Expect(set.Client.Status().Update(ctx, source)).To(Succeed())
	return revision
}

func pack(name, content string) ([]byte, error) {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	files := tar.NewWriter(zipped)
	if err := files.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Now()}); err != nil {
		return nil, err
	}
	if _, err := files.Write([]byte(content)); err != nil {
		return nil, err
	}
	err := errors.Join(files.Close(), zipped.Close())
	return out.Bytes(), err
}

func (k *kustomization) says(ctx context.Context) report {
	u := k.object()
	if err := set.Client.Get(ctx, client.ObjectKeyFromObject(u), u); err != nil {
		return report{Message: err.Error()}
	}
	applied, _, _ := unstructured.NestedString(u.Object, "status", "lastAppliedRevision")
	ready := condition(u, "Ready")
	return report{Revision: applied, Word: fmt.Sprintf("Ready=%v %v", ready["status"], ready["reason"]), Message: fmt.Sprint(ready["message"])}
}

// resync: while it waits for health a kustomize-controller compares nothing, whatever it is
// asked. But it begins anew when it is restarted, as an upgrade or a lost node does. At any
// other time it is asked as `flux reconcile kustomization` does.
func (k *kustomization) resync(ctx context.Context) {
	g := NewWithT(k.t)
	u := k.object()
	g.Expect(set.Client.Get(ctx, client.ObjectKeyFromObject(u), u)).To(Succeed())
	if k.says(ctx).Word == k.words().running && waits(u) {
		k.controller.Stop()
		g.Expect(set.Client.Get(ctx, client.ObjectKeyFromObject(u), u)).To(Succeed())
		before := u.GetResourceVersion()
		k.controller.Start(k.t)
		g.Eventually(func() bool {
			return set.Client.Get(ctx, client.ObjectKeyFromObject(u), u) == nil && u.GetResourceVersion() != before && waits(u)
		}).Should(BeTrue(), "the new process gets to waiting for health")
		return
	}
	token := time.Now().UTC().Format(time.RFC3339Nano)
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"reconcile.fluxcd.io/requestedAt":%q}}}`, token)
	g.Expect(set.Client.Patch(ctx, u, client.RawPatch("application/merge-patch+json", patch))).To(Succeed())
	g.Eventually(func() bool {
		handled := ""
		if set.Client.Get(ctx, client.ObjectKeyFromObject(u), u) == nil {
			handled, _, _ = unstructured.NestedString(u.Object, "status", "lastHandledReconcileAt")
		}
		return handled == token && condition(u, "Ready")["status"] != "Unknown"
	}).Should(BeTrue(), "the request is handled")
}

// waits reports whether a Kustomization is applied and waits for health.
func waits(u *unstructured.Unstructured) bool {
	return strings.HasPrefix(fmt.Sprint(condition(u, "Reconciling")["message"]), "Running health checks")
}

func (k *kustomization) remove(ctx context.Context) {
	g := NewWithT(k.t)
	g.Expect(set.Client.Delete(ctx, k.object())).To(Succeed())
	g.Eventually(func() bool { return gone(ctx, k.object()) }).Should(BeTrue(), "the Kustomization goes")
}
