//go:build mesh

// Package mesh has Belay share out the calls of a mesh: routes whose parent is a Service, with
// istiod as the control plane, which answers for them, and grpc-go's xds client as the data
// plane, on the real local cluster. No gateway has a part in it. `make test-mesh` builds them.
package mesh

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/stage"
	"belay.dev/belay/test/programs"
)

// versions are the services that are released: one binary, many images.
var versions = map[string][]string{"v1": nil, "v2": nil, "errors": {"MESH_ERROR_RATE=0.3"}}

var (
	set    *stage.Stage
	images = map[string]string{}
)

// TestMesh plays one story with an HTTPRoute and with a GRPCRoute at the same time: they have
// the same control plane, which does not run at first, and is stopped in the middle.
func TestMesh(t *testing.T) {
	SetDefaultEventuallyTimeout(3 * time.Minute)
	SetDefaultEventuallyPollingInterval(200 * time.Millisecond)
	open(t)
	stories := []*story{newStory(t, v1alpha1.KindHTTPRoute), newStory(t, v1alpha1.KindGRPCRoute)}
	both := func(chapter string, play func(*testing.T, *story)) {
		ok := t.Run(chapter, func(t *testing.T) {
			for _, s := range stories {
				t.Run(s.kind, func(t *testing.T) {
					t.Parallel()
					t.Cleanup(func() { s.explain(t) })
					play(t, s)
				})
			}
		})
		if !ok {
			t.FailNow()
		}
	}
	both("without a mesh the run holds, and says so", holdsWithoutAMesh)
	istiod := startIstiod(t)
	for _, s := range stories {
		s.call(t, istiod)
		s.watch(t)
	}
	both("weight 0", atZero)
	istiod.pause(t)
	both("a mesh that does not answer", awaitsTheMesh)
	istiod.resume(t)
	both("weight 20", atTwenty)
	both("weight 100, and the route is given back", promoted)
	both("a bad version", rolledBack)
	both("every observation", observedWell)
}

// open opens the cluster, with Belay and the images in it.
func open(t *testing.T) {
	t.Helper()
	set = programs.Open(t)
	var err error
	for version, faults := range versions {
		images[version], err = set.Push(t.Context(), "mesh:"+version, set.Root+"/.cluster/bin/mesh-server", append([]string{"MESH_VERSION=" + version}, faults...)...)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	}
}
