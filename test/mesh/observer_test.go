//go:build mesh

package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/hack/stage"
)

// observer asks Belay's router again and again whether the route's weight is acknowledged, and
// reads for itself what the mesh said of it.
type observer struct {
	*story
	router traffic.Router
	cancel context.CancelFunc
	done   chan struct{}
	// yes and no count the answers; wrong are those that the route's status belies.
	yes, no int
	wrong   []string
	// routes are the route's generations, and when each was seen first.
	routes []string
	last   int64
}

// clock is the form of times in the log.
const clock = "15:04:05.000"

func (s *story) watch(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	o := &observer{story: s, router: gateway.New(set.Client, v1alpha1.FieldManager), cancel: cancel, done: make(chan struct{})}
	s.seen = o
	t.Cleanup(o.stop)
	go func() {
		defer close(o.done)
		_ = wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			o.look(ctx)
			return false, nil
		})
	}()
}

func (o *observer) stop() {
	o.cancel()
	<-o.done
}

func (o *observer) observe(ctx context.Context) (traffic.Observation, error) {
	return o.router.Observe(ctx, traffic.Target{Namespace: o.Namespace, Owner: stage.Name, Service: stage.Name, Routes: []traffic.Route{{Kind: o.kind, Name: stage.Name}}})
}

// look compares one answer with a route that did not change while it was made.
func (o *observer) look(ctx context.Context) {
	before, err := o.read(ctx)
	if err != nil {
		return
	}
	said, err := o.observe(ctx)
	if err != nil {
		return
	}
	after, err := o.read(ctx)
	if err != nil || before.GetResourceVersion() != after.GetResourceVersion() {
		return
	}
	if now := after.GetGeneration(); now != o.last {
		o.last = now
		o.routes = append(o.routes, fmt.Sprintf("generation %d at %s", now, time.Now().Format(clock)))
	}
	reported, err := accepted(after)
	switch {
	case err != nil:
		o.wrong = append(o.wrong, err.Error())
	case said.Acknowledged != reported:
		o.wrong = append(o.wrong, fmt.Sprintf("acknowledged is %t (%q) at generation %d with status %v", said.Acknowledged, said.Unacknowledged, after.GetGeneration(), after.Object["status"]))
	case reported:
		o.yes++
	default:
		o.no++
	}
}

// accepted reads from a route's status whether istiod serves its present generation.
func accepted(u *unstructured.Unstructured) (bool, error) {
	var route struct {
		Status gatewayv1.RouteStatus
	}
	raw, err := json.Marshal(u.Object)
	if err == nil {
		err = json.Unmarshal(raw, &route)
	}
	if err != nil || len(route.Status.Parents) == 0 {
		return false, err
	}
	if len(route.Status.Parents) > 1 || route.Status.Parents[0].ControllerName != "istio.io/gateway-controller" {
		return false, fmt.Errorf("somebody else than istiod answered for the route: %s", raw)
	}
	for _, kind := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		c := meta.FindStatusCondition(route.Status.Parents[0].Conditions, string(kind))
		if c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != u.GetGeneration() {
			return false, nil
		}
	}
	return true, nil
}

// check ends the watch.
func (o *observer) check(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	o.stop()
	t.Logf("%d observations of an acknowledged route, %d of one that was not", o.yes, o.no)
	t.Log(strings.Join(o.routes, ", "))
	g.Expect(o.wrong).To(BeEmpty())
	g.Expect(o.yes).To(BeNumerically(">", 0))
	g.Expect(o.no).To(BeNumerically(">", 0))
}
