//go:build engines

package engines

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// late is a context for what is done when a test is over.
func late(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// program is one that runs until it is stopped or the test ends.
type program struct {
	name    string
	args    []string
	environ []string
	log     *os.File
	command *exec.Cmd
}

// run starts a program that make test-engines has built.
func run(t *testing.T, environ []string, name string, args ...string) *program {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	p := &program{name: filepath.Join(set.Root, ".cluster", "bin", name), args: args, environ: environ, log: log}
	p.start(t)
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the last lines of %s:\n%s", name, p.tail(15))
		}
		_ = log.Close()
	})
	return p
}

func (p *program) start(t *testing.T) {
	t.Helper()
	p.command = exec.Command(p.name, p.args...) // #nosec G204 -- built by make test-engines
	p.command.Env, p.command.Stdout, p.command.Stderr = append(os.Environ(), p.environ...), p.log, p.log
	if err := p.command.Start(); err != nil {
		t.Fatalf("start %s (make test-engines builds it): %v", p.name, err)
	}
}

func (p *program) stop() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

func (p *program) tail(lines int) string {
	raw, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// freePort of this machine.
func freePort(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	_, port, _ := net.SplitHostPort(free.Addr().String())
	return port
}

// account makes a namespace and, in it, a ServiceAccount that may do everything, which is what
// both tools install for themselves. It returns the path of its kubeconfig.
func account(t *testing.T, namespace, name string) string {
	t.Helper()
	g := NewWithT(t)
	user := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, object := range []client.Object{
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + name},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		user,
	} {
		g.Expect(set.Client.Create(t.Context(), object)).To(Succeed())
		t.Cleanup(func() { g.Expect(client.IgnoreNotFound(set.Client.Delete(late(t), object))).To(Succeed()) })
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	g.Expect(set.WriteKubeconfig(t.Context(), path, client.ObjectKeyFromObject(user))).To(Succeed())
	return path
}

// moduleFolder is where the Go command keeps a module that a go.mod below hack/gitops requires.
func moduleFolder(t *testing.T, tool, module string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module)
	command.Dir = filepath.Join(set.Root, "hack", "gitops", tool)
	out, err := command.Output()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return strings.TrimSpace(string(out))
}

// define applies CRDs, as a person installing the tool does, and waits until they are served.
func define(t *testing.T, paths ...string) {
	t.Helper()
	g := NewWithT(t)
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(set.Apply(t.Context(), string(raw))).To(Succeed())
		u := &unstructured.Unstructured{}
		g.Expect(yaml.Unmarshal(raw, &u.Object)).To(Succeed())
		g.Eventually(func() any {
			if err := set.Client.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
				return err
			}
			return condition(u, "Established")["status"]
		}).Should(Equal("True"), path)
	}
}
