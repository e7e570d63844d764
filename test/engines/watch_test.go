//go:build engines

package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/stage"
)

// watched is what objects and the tool went through, each value once until it changed.
type watched struct {
	// shares of the route's backends, and whether the Deployment is paused.
	shares, paused []string
	// conflicts that Belay reports.
	conflicts []string
	// said by the tool; early is what it said of a version that Belay had not promoted.
	said, early []string

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// watch begins to watch, and misses no write from when it returns.
func (s *story) watch(ctx context.Context) *watched {
	s.Helper()
	w := &watched{}
	ctx, w.cancel = context.WithCancel(ctx)
	s.Cleanup(w.stop)
	routes := schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	s.follow(ctx, w, routes, func(u *unstructured.Unstructured) { w.shares = noted(w.shares, sharesOf(u)) })
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	s.follow(ctx, w, deployments, func(u *unstructured.Unstructured) {
		paused, _, _ := unstructured.NestedBool(u.Object, "spec", "paused")
		w.paused = noted(w.paused, fmt.Sprint(paused))
	})
	s.follow(ctx, w, v1alpha1.GroupVersion.WithResource("rollouts"), func(u *unstructured.Unstructured) {
		if c := condition(u, v1alpha1.ConditionTrafficConflict); c["status"] == "True" {
			w.conflicts = noted(w.conflicts, fmt.Sprint(c["message"]))
		}
	})
	w.done.Go(func() { s.listen(ctx, w) })
	return w
}

// follow hands every state of an object to a function.
func (s *story) follow(ctx context.Context, w *watched, kind schema.GroupVersionResource, see func(*unstructured.Unstructured)) {
	s.Helper()
	objects, err := dynamic.NewForConfig(set.Config)
	s.g.Expect(err).NotTo(HaveOccurred())
	events, err := objects.Resource(kind).Namespace(s.Namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + stage.Name})
	s.g.Expect(err).NotTo(HaveOccurred())
	w.done.Go(func() {
		for event := range events.ResultChan() {
			if u, ok := event.Object.(*unstructured.Unstructured); ok && u.GetKind() != "Status" {
				see(u)
			}
		}
		if ctx.Err() == nil {
			s.Errorf("the watch of %s ended", kind.Resource)
		}
	})
}

// listen asks the tool again and again how the application is. The Rollout is read after
// the answer: a promotion is not taken back.
func (s *story) listen(ctx context.Context, w *watched) {
	first := s.says(ctx)
	_ = wait.PollUntilContextCancel(ctx, 300*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		said := s.says(ctx)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		w.said = noted(w.said, said.Word)
		if said.Revision == first.Revision || said.Word != s.words().done {
			return false, nil
		}
		rollout, err := s.Rollout(ctx)
		if err == nil && (rollout.Status.Phase != v1alpha1.PhaseStable || rollout.Status.Candidate != nil) {
			w.early = noted(w.early, said.String()+" in phase "+string(rollout.Status.Phase))
		}
		return false, nil
	})
}

func (w *watched) stop() {
	w.cancel()
	w.done.Wait()
}

func noted(values []string, value string) []string {
	if len(values) > 0 && values[len(values)-1] == value {
		return values
	}
	return append(values, value)
}

// sharesOf are the backends of a route with their weights, or all of its rules where they
// have another form.
func sharesOf(u *unstructured.Unstructured) string {
	var route struct {
		Spec struct {
			Rules []struct {
				BackendRefs []struct {
					Name   string
					Weight *int
				}
			}
		}
	}
	raw, err := json.Marshal(u.Object)
	if err == nil {
		err = json.Unmarshal(raw, &route)
	}
	if err != nil {
		return err.Error()
	}
	var shares []string
	for _, rule := range route.Spec.Rules {
		for _, ref := range rule.BackendRefs {
			weight := 1
			if ref.Weight != nil {
				weight = *ref.Weight
			}
			shares = append(shares, fmt.Sprintf("%s=%d", ref.Name, weight))
		}
	}
	return strings.Join(shares, " ")
}
