package stage

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// bare is a stage on a cluster that has no kind of Belay's.
func bare(t *testing.T, objects ...client.Object) *Stage {
	t.Helper()
	s := on(t, objects...)
	full, ok := s.Client.(client.WithWatch)
	NewWithT(t).Expect(ok).To(BeTrue())
	s.Client = interceptor.NewClient(full, interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return &meta.NoKindMatchError{}
	}})
	return s
}

func TestPresence(t *testing.T) {
	ours := &corev1.Namespace{ObjectMeta: named(home, map[string]string{label: "true"})}
	theirs := &corev1.Namespace{ObjectMeta: named(home, nil)}
	for name, c := range map[string]struct {
		stage *Stage
		want  Presence
	}{
		"nothing":                      {bare(t), Absent},
		"a stage's":                    {on(t, ours), Staged},
		"a stage's, half removed":      {bare(t, ours), Staged},
		"somebody's":                   {on(t, theirs), Foreign},
		"somebody's, elsewhere":        {on(t), Foreign},
		"somebody's namespace, no CRD": {bare(t, theirs), ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got, err := c.stage.Presence(t.Context())
			g.Expect(got).To(Equal(c.want))
			g.Expect(err != nil).To(Equal(c.want == ""), "%v", err)
		})
	}
}

func TestInstallRefusesToReplaceSomebodysBelay(t *testing.T) {
	NewWithT(t).Expect(on(t).Install(t.Context())).To(MatchError(ContainSubstring("no stage put there")))
}

func TestStagedManifestsCarryImageAndMark(t *testing.T) {
	g := NewWithT(t)
	manifests, err := os.ReadFile(filepath.Join("..", "..", "config", "manager", "manager.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	out, err := staged(string(manifests), "registry/belay@sha256:1")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).To(And(ContainSubstring("image: registry/belay@sha256:1\n"), ContainSubstring("    "+label+": \"true\"\n")))
	_, err = staged("kind: Namespace\n", "image")
	g.Expect(err).To(HaveOccurred())
}
