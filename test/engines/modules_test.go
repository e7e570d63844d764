//go:build engines

package engines

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

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
