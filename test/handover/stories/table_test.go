package stories

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

func image(version string) string { return cluster.Image(version) }

// replicas of every application in the table.
const replicas = 4

// disturbance is something that happens in the middle of a release.
type disturbance struct {
	name string
	// before the release.
	before func(s *shop)
	// happens at the point. It may be called within a write of the controller's, so
	// it must not wait for the controller.
	happens func(s *shop)
	// then happens once the point has been left.
	then func(s *shop)
	// ends says what the world must come to; by default v2 is promoted, or rolled
	// back where it fails.
	ends func(s *shop, p point)
	// size at the end; by default what it was.
	size int32
	// once is set when each pod must have been made once.
	once bool
	// standard points of the default set; all of them in the extended one.
	standard []string
}

var disturbances = []disturbance{
	{name: "nothing", happens: func(*shop) {}, once: true, standard: []string{"step"}},
	{name: "template pushed", happens: (*shop).pushAnother, then: (*shop).pushAgain, ends: func(s *shop, _ point) { s.promoted("v3", replicas) },
		standard: []string{"held", "step", "bake", "locked", "owner changed", "rolling back"}},
	{name: "scaled up", happens: func(s *shop) { s.Scale(7) }, size: 7, standard: []string{"step", "handing over", "locked", "owner changed"}},
	{name: "scaled down", happens: func(s *shop) { s.Scale(2) }, size: 2, standard: []string{"bake", "locked", "owner changed", "rolling back"}},
	{name: "to 0 and back", happens: (*shop).empty, then: (*shop).fill, standard: []string{"held", "step", "bake", "owner changed"}},
	{name: "autoscaled", before: (*shop).autoscale, happens: func(s *shop) { kube.Metrics.Set(s.Namespace, "load", 60) }, size: 6, standard: []string{"promoting", "handing over", "locked"}},
	{name: "autoscaled down", before: (*shop).autoscale, happens: func(s *shop) { kube.Metrics.Set(s.Namespace, "load", 20) }, size: 2, standard: []string{"bake"}},
	{name: "node drained", happens: (*shop).drain, standard: []string{"step", "promoting", "bake", "handing over", "locked", "owner changed", "rolling back"}},
	{name: "killed", happens: func(s *shop) { s.belay.kill() }, then: (*shop).restart, once: true, standard: []string{"promoting", "locked", "owner changed", "rolling back"}},
	{name: "two leaders", happens: func(s *shop) { s.second(start(s.T, s.Namespace, s.wrote)) }, once: true, standard: []string{"handing over", "owner changed"}},
	{name: "Rollout deleted", happens: deletion(metav1.DeletePropagationBackground), ends: (*shop).released, standard: []string{"held", "step", "locked", "owner changed"}},
	{name: "deleted foreground", happens: deletion(metav1.DeletePropagationForeground), ends: (*shop).released, standard: []string{"bake"}},
	{name: "deleted orphan", happens: deletion(metav1.DeletePropagationOrphan), ends: (*shop).released, standard: []string{"rolling back"}},
	{name: "run deleted", happens: (*shop).deleteRun, standard: []string{"step", "owner changed"}},
	{name: "Deployment deleted", happens: (*shop).deleteDeployment, then: (*shop).deployAnew, ends: func(s *shop, _ point) { s.promoted("v1", replicas) }, standard: []string{"step", "owner changed"}},
}

// TestDisturbed is the table: a release, disturbed at every point.
func TestDisturbed(t *testing.T) {
	t.Parallel()
	for _, p := range points {
		for _, d := range disturbances {
			if !extended && !slices.Contains(d.standard, p.name) {
				continue
			}
			t.Run(p.name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				t.Cleanup(func() { table.add(p.name, d.name, t.Failed(), time.Since(began)) })
				story(t, p, d)
			})
		}
	}
}

func story(t *testing.T, p point, d disturbance) {
	s := open(t, replicas, nil)
	if d.before != nil {
		d.before(s)
	}
	p.reach(s, func() { d.happens(s) })
	s.onWrite(nil)
	if d.then != nil {
		d.then(s)
	}
	size := int32(replicas)
	if d.size != 0 {
		size = d.size
	}
	switch {
	case d.ends != nil:
		d.ends(s, p)
	case p.fails:
		s.rolledBack(size)
	default:
		s.promoted("v2", size)
	}
	s.Served()
	if d.once && !p.fails {
		s.made(map[string]int{"v1": replicas, "v2": replicas})
	}
}

// pushAnother pushes v3; while the Deployment is locked that is refused.
func (s *shop) pushAnother() {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: s.Namespace}}
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"shop","image":%q}]}}}}`, image("v3"))
	err := admin.Patch(s.T.Context(), d, client.RawPatch("application/strategic-merge-patch+json", []byte(patch)))
	if err != nil && !strings.Contains(err.Error(), "try again in a few seconds") {
		s.T.Errorf("push v3: %v", err)
	}
	if err == nil && !d.Spec.Paused {
		s.T.Error("v3 was not held")
	}
}

// pushAgain does what a GitOps tool does after a refusal.
func (s *shop) pushAgain() {
	s.Eventually("v3 is declared", func(g Gomega) {
		s.pushAnother()
		g.Expect(s.Deployment().Spec.Template.Spec.Containers[0].Image).To(Equal(image("v3")))
	})
}

// empty scales to 0. Nobody is served then, and nobody expects to be.
func (s *shop) empty() {
	kube.Gateway.Close(s.Namespace)
	s.Scale(0)
}

// fill scales up again once nothing is left, and sends requests again once it
// serves.
func (s *shop) fill() {
	s.emptied()
	s.Scale(*s.Deployed.Spec.Replicas)
	s.servesAgain()
}

// emptied waits until there is no pod, of the canary neither.
func (s *shop) emptied() {
	s.Eventually("no pods, the canary's neither", func(g Gomega) {
		g.Expect(s.Deployment().Status.Replicas).To(BeZero())
		for _, set := range s.Sets() {
			g.Expect(set.Status.Replicas).To(BeZero(), set.Name)
		}
		for _, backend := range append(s.served(), cluster.Name) {
			g.Expect(s.Endpoints(backend)).To(BeEmpty(), backend)
		}
	})
}

// servesAgain sends requests again once there is somebody to answer them.
func (s *shop) servesAgain() {
	s.Eventually("it serves again", func(g Gomega) {
		for _, backend := range append(s.served(), cluster.Name) {
			g.Expect(s.Endpoints(backend)).NotTo(BeEmpty(), backend)
		}
	})
	kube.Gateway.Open(s.Namespace, cluster.Name, cluster.Name)
}

// served are the Services that the gateway sends requests to.
func (s *shop) served() []string {
	var names []string
	for _, ref := range kube.Gateway.Follows(s.Key()).Spec.Rules[0].BackendRefs {
		if ref.Weight == nil || *ref.Weight > 0 {
			names = append(names, string(ref.Name))
		}
	}
	return names
}

func (s *shop) autoscale() {
	s.T.Helper()
	kube.Metrics.Set(s.Namespace, "load", 40)
	ten, one := resource.MustParse("10"), int32(1)
	s.Must(admin.Create(s.T.Context(), &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: s.Namespace}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: cluster.Name}, MinReplicas: &one, MaxReplicas: 30,
		Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32)}},
		Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: "load"}, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &ten}}}}}}))
	s.Eventually("the autoscaler is active", func(g Gomega) {
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		g.Expect(admin.Get(s.T.Context(), s.Key(), hpa)).To(Succeed())
		g.Expect(hpa.Status.DesiredReplicas).To(Equal(int32(replicas)))
	})
}

// restart starts the next process, with nothing that the last one knew.
func (s *shop) restart() {
	s.T.Helper()
	s.belay.end()
	s.belay = start(s.T, s.Namespace, s.wrote)
}

// second lets another process run beside the first to the end of the test.
func (s *shop) second(other *belay) { s.T.Cleanup(other.end) }

func deletion(how metav1.DeletionPropagation) func(*shop) {
	return func(s *shop) {
		if err := admin.Delete(s.T.Context(), s.rollout(), client.PropagationPolicy(how)); err != nil {
			s.T.Errorf("delete the Rollout: %v", err)
		}
	}
}

// released: the Rollout is gone, and what it made and marked; one version serves:
// the new one if the Deployment owned it already.
func (s *shop) released(p point) {
	s.T.Helper()
	s.until("the Rollout is gone", func(g Gomega, r *v1alpha1.Rollout) { g.Expect(r.UID).To(BeEmpty()) })
	d := s.Deployment()
	version, owned := "v1", p.owned || p.owning && !d.Spec.Paused
	if owned {
		version = "v2"
	}
	s.alone(version, replicas)
	d = s.Deployment()
	for label := range d.Labels {
		if strings.HasPrefix(label, "belay.dev/") {
			s.T.Errorf("label %s was left on the Deployment", label)
		}
	}
	if d.Spec.Paused == owned {
		s.T.Errorf("the Deployment is paused: %v", d.Spec.Paused)
	}
	if ends := s.Endpoints("shop-canary"); len(ends) > 0 {
		s.T.Errorf("the generated Services are still there: %v", ends)
	}
}

// deleteRun tries to: its ReplicaSet hangs on it. One that has ended may go.
func (s *shop) deleteRun() {
	run := &v1alpha1.RolloutRun{}
	run.Namespace, run.Name = s.Namespace, s.rollout().Status.Run
	if err := admin.Get(s.T.Context(), client.ObjectKeyFromObject(run), run); err != nil {
		s.T.Errorf("read the run: %v", err)
	}
	if err := admin.Delete(s.T.Context(), run); (err == nil) != (run.Status.Outcome != "") {
		s.T.Errorf("delete a run with outcome %q: %v", run.Status.Outcome, err)
	}
}

func (s *shop) deleteDeployment() {
	kube.Gateway.Close(s.Namespace)
	if err := admin.Delete(s.T.Context(), s.Deployment(), client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		s.T.Errorf("delete the Deployment: %v", err)
	}
}

// deploymentGone waits until the Deployment is gone with its pods.
func (s *shop) deploymentGone() {
	s.T.Helper()
	s.Eventually("the Deployment is gone with its sets", func(g Gomega) {
		g.Expect(apierrors.IsNotFound(admin.Get(s.T.Context(), s.Key(), &appsv1.Deployment{}))).To(BeTrue())
		left := 0
		for _, set := range s.Sets() {
			g.Expect(metav1.GetControllerOf(&set).Kind).NotTo(Equal("Deployment"), set.Name)
			left += int(set.Status.ReadyReplicas)
		}
		g.Expect(s.Endpoints("shop-stable")).To(BeEmpty())
		g.Expect(s.Endpoints(cluster.Name)).To(HaveLen(left))
	})
}

// deployAnew makes the Deployment again, at v1.
func (s *shop) deployAnew() {
	s.deploymentGone()
	again := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: s.Namespace}, Spec: s.Deployed.Spec}
	s.Must(admin.Create(s.T.Context(), again))
	s.servesAgain()
}

// table collects what happened.
var table results

type results struct {
	mu    sync.Mutex
	cells map[[2]string]string
}

func (r *results) add(point, disturbance string, failed bool, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cells == nil {
		r.cells = map[[2]string]string{}
	}
	outcome := "ok"
	if failed {
		outcome = "FAILED"
	}
	r.cells[[2]string{point, disturbance}] = fmt.Sprintf("%s %.0fs", outcome, took.Seconds())
}

// String has a row for each disturbance and a column for each point.
func (r *results) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cells) == 0 {
		return ""
	}
	out := fmt.Sprintf("%-20s", "disturbed")
	for _, p := range points {
		out += fmt.Sprintf(" %-14s", p.name)
	}
	for _, d := range disturbances {
		out += fmt.Sprintf("\n%-20s", d.name)
		for _, p := range points {
			cell := r.cells[[2]string{p.name, d.name}]
			if cell == "" {
				cell = "-"
			}
			out += fmt.Sprintf(" %-14s", cell)
		}
	}
	if path := os.Getenv("BELAY_TABLE"); path != "" {
		_ = os.WriteFile(path, []byte(out+"\n"), 0o644)
	}
	return out + "\n"
}
