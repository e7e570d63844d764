// Package programs opens the local cluster for a test, and runs programs beside it that `make`
// has built.
package programs

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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/hack/stage"
)

// Open opens the cluster with Belay in it, and leaves it when the test ends as it was.
func Open(t *testing.T) *stage.Stage {
	t.Helper()
	g := NewWithT(t)
	set, err := stage.Open(t.Context(), t.Output())
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(set.Close(Late(t))).To(Succeed()) })
	before, err := set.Presence(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	t.Log("installing Belay")
	g.Expect(set.Install(t.Context())).To(Succeed())
	t.Cleanup(func() {
		if before == stage.Absent && !set.Own {
			g.Expect(set.Uninstall(Late(t))).To(Succeed())
		}
	})
	return set
}

// Late is a context for what is done when a test is over.
func Late(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Program is one that runs until it is stopped or the test ends.
type Program struct {
	path    string
	args    []string
	environ []string
	log     *os.File
	command *exec.Cmd
}

// Run starts a program of .cluster/bin with these variables beside the test's own. When the
// test has failed its last lines are shown.
func Run(t *testing.T, set *stage.Stage, environ []string, name string, args ...string) *Program {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	p := &Program{path: filepath.Join(set.Root, ".cluster", "bin", name), args: args, environ: environ, log: log}
	p.Start(t)
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("the last lines of %s:\n%s", name, p.tail(15))
		}
		_ = log.Close()
	})
	return p
}

// Start starts it again after Stop.
func (p *Program) Start(t *testing.T) {
	t.Helper()
	p.command = exec.Command(p.path, p.args...) // #nosec G204 -- built by make for the tests
	p.command.Env, p.command.Stdout, p.command.Stderr = append(os.Environ(), p.environ...), p.log, p.log
	if err := p.command.Start(); err != nil {
		t.Fatalf("start %s (the test's target in the Makefile builds it): %v", p.path, err)
	}
}

// Stop kills it.
func (p *Program) Stop() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// Signal sends it a signal.
func (p *Program) Signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatalf("send %s to %s: %v", s, p.path, err)
	}
}

func (p *Program) tail(lines int) string {
	raw, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// FreePort of this machine.
func FreePort(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	_, port, _ := net.SplitHostPort(free.Addr().String())
	return port
}

// Account makes a namespace and, in it, a ServiceAccount that may do everything, as much as
// the tools that are tested install for themselves. It returns the path of its kubeconfig.
func Account(t *testing.T, set *stage.Stage, namespace, name string) string {
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
		t.Cleanup(func() { g.Expect(client.IgnoreNotFound(set.Client.Delete(Late(t), object))).To(Succeed()) })
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	g.Expect(set.WriteKubeconfig(t.Context(), path, client.ObjectKeyFromObject(user))).To(Succeed())
	return path
}
