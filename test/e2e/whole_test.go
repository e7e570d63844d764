package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/stage"
)

var _ = Describe("A whole service", func() {
	It("of 20 replicas is promoted without a pod more than the canary's 20, and direct callers are shared by pods", func(ctx context.Context) {
		j := begin(ctx, "twenty")
		By("scaling to 20")
		Expect(j.Scale(ctx, 20)).To(Succeed())
		j.until(ctx, "serve with 20 pods", func(*v1alpha1.Rollout) bool { return len(j.podsOf(ctx, "v1")) == 20 && j.available(ctx) == 20 })
		made := j.watchPods(ctx)
		var stage atomic.Value
		stage.Store("before")
		callers := j.callDirectly(ctx, &stage)
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		shares := map[string]int32{}
		rollout := j.until(ctx, "promote v2", func(r *v1alpha1.Rollout) bool {
			at := "between"
			if d := r.Status.DirectCallers; d != nil && r.Status.Step != nil && r.Status.Step.Weight.Observed >= 0 {
				at = fmt.Sprintf("%s, weight %d %%, %d %% of the pods", r.Status.Phase, r.Status.Step.Weight.Observed, d.CandidatePercent)
				shares[at] = d.CandidatePercent
			}
			stage.Store(at)
			return len(r.Status.History) > 0 && r.Status.Phase == v1alpha1.PhaseStable
		})
		Expect(rollout.Status.History[0].Outcome).To(Equal(v1alpha1.OutcomePromoted))
		j.onlyServed(ctx, "v2")
		j.noneFailed("")
		Expect(made.stop()).To(HaveLen(20), "pods made from the push to the end: the canary's, and no more")
		by := callers.stop()
		AddReportEntry("direct callers by stage and version", fmt.Sprint(by.answers))
		Expect(by.failed).To(BeEmpty(), "of %v", by.answers)
		measured := 0
		for at, percent := range shares {
			v1, v2 := by.answers[at]["v1"], by.answers[at]["v2"]
			if v1+v2 < 60 {
				continue
			}
			measured++
			// Of 60 answers a share is within 20 points in more than 99.8 %.
			Expect(100*v2/(v1+v2)).To(BeNumerically("~", percent, 20), "%s: v1 %d, v2 %d", at, v1, v2)
		}
		Expect(measured).To(BeNumerically(">=", 1), "stages with 60 answers, of %v", by.answers)
	}, Serial, NodeTimeout(2*journeyLimit))

	It("goes on through restarts of the API server in a step, a bake and a handover, and stops nobody else", func(ctx context.Context) {
		// The bake outlasts a restart of the API server on a machine that does a lot else.
		j := begin(ctx, "restart", "bake: 10s", "bake: 20s")
		bystander := j.updateBystander(ctx)
		restart := func(where string) {
			By("restarting the API server in the " + where)
			Expect(set.Break(ctx, "kube-apiserver")).To(Succeed())
			Expect(set.Repair(ctx)).To(Succeed())
		}
		DeferCleanup(set.Repair, NodeTimeout(time.Minute))
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		j.atFirstWeight(ctx)
		restart("step")
		By("pushing, the moment the API server is back")
		Expect(j.Release(ctx, images["v3"])).To(Succeed())
		deployment, err := j.Deployment(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(deployment.Spec.Paused).To(BeTrue(), "held from the first request on")
		j.until(ctx, "bake v3", func(r *v1alpha1.Rollout) bool {
			return r.Status.Phase == v1alpha1.PhaseBaking && r.Status.Candidate.Image == images["v3"]
		})
		restart("bake")
		j.until(ctx, "hand over", inPhase(v1alpha1.PhaseHandingOver))
		restart("handover, before it is decided")
		j.until(ctx, "decide the handover", func(r *v1alpha1.Rollout) bool {
			return r.Status.Phase == v1alpha1.PhaseStable || r.Status.Promotion != nil && r.Status.Promotion.HandedAt != nil
		})
		restart("handover, once it is decided")
		entry, err := j.Finished(ctx, images["v3"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomePromoted))
		j.onlyServed(ctx, "v3")
		j.noneFailed("")
		updates, refused := bystander()
		Expect(updates).To(BeNumerically(">", 100))
		Expect(refused).To(BeEmpty(), "an unlabelled Deployment is nobody's business; %d updates went through", updates)
	}, Serial, NodeTimeout(2*journeyLimit))
})

// available counts the Deployment's available pods.
func (j *journey) available(ctx context.Context) int32 {
	d, err := j.Deployment(ctx)
	if err != nil {
		return 0
	}
	return d.Status.AvailableReplicas
}

// background is something that goes on until it is stopped, and what came of it.
type background[T any] struct {
	cancel context.CancelFunc
	done   chan struct{}
	result T
}

func (b *background[T]) stop() T {
	b.cancel()
	<-b.done
	return b.result
}

// every does something again and again beside a journey, and ends with it.
func every[T any](ctx context.Context, interval time.Duration, start T, do func(context.Context, *T)) *background[T] {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &background[T]{cancel: cancel, done: make(chan struct{}), result: start}
	go func() {
		defer close(b.done)
		_ = wait.PollUntilContextCancel(ctx, interval, false, func(ctx context.Context) (bool, error) {
			do(ctx, &b.result)
			return false, nil
		})
	}()
	DeferCleanup(func() { b.stop() })
	return b
}

// watchPods collects the pods that are made from now on.
func (j *journey) watchPods(ctx context.Context) *background[map[string]bool] {
	GinkgoHelper()
	before := map[string]bool{}
	for _, version := range []string{"v1", "v2"} {
		for _, name := range j.podsOf(ctx, version) {
			before[name] = true
		}
	}
	return every(ctx, 200*time.Millisecond, map[string]bool{}, func(ctx context.Context, made *map[string]bool) {
		pods := &corev1.PodList{}
		if set.Client.List(ctx, pods, client.InNamespace(j.Namespace)) != nil {
			return
		}
		for i := range pods.Items {
			if !before[pods.Items[i].Name] {
				(*made)[pods.Items[i].Name] = true
			}
		}
	})
}

// called is what direct callers met.
type called struct {
	// answers by stage and version.
	answers map[string]map[string]int
	failed  []string
}

// callDirectly calls the Service as a client inside the cluster does: one of its
// ready endpoints, by chance, as kube-proxy would choose it. The local cluster has
// no kube-proxy.
func (j *journey) callDirectly(ctx context.Context, at *atomic.Value) *background[called] {
	GinkgoHelper()
	var mu sync.Mutex
	httpClient := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return every(ctx, 50*time.Millisecond, called{answers: map[string]map[string]int{}}, func(ctx context.Context, c *called) {
		before := at.Load().(string)
		slices := &discoveryv1.EndpointSliceList{}
		if err := set.Client.List(ctx, slices, client.InNamespace(j.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: stage.Name}); err != nil {
			return
		}
		var addresses []string
		for _, slice := range slices.Items {
			for _, e := range slice.Endpoints {
				if e.Conditions.Ready == nil || *e.Conditions.Ready {
					addresses = append(addresses, e.Addresses[0])
				}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(addresses) == 0 {
			c.failed = append(c.failed, "the Service has no ready endpoint")
			return
		}
		response, err := httpClient.Get("http://" + addresses[rand.IntN(len(addresses))] + ":8080/checkout")
		if err != nil {
			c.failed = append(c.failed, err.Error())
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode >= 500 {
			c.failed = append(c.failed, response.Status)
			return
		}
		// An answer counts where the stage did not change meanwhile.
		if now := at.Load().(string); now == before {
			if c.answers[now] == nil {
				c.answers[now] = map[string]int{}
			}
			c.answers[now][response.Header.Get("X-Shop-Version")]++
		}
	})
}

// updateBystander updates a Deployment without Belay's label every 100 ms, and
// says at the end how many updates went through and which were refused. An API
// server that is not there refuses nobody.
func (j *journey) updateBystander(ctx context.Context) func() (int, []string) {
	GinkgoHelper()
	type tally struct {
		n       int
		refused []string
	}
	labels := map[string]string{"app": "bystander"}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: j.Namespace, Name: "bystander"}, Spec: appsv1.DeploymentSpec{
		Replicas: new(int32), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: images["v1"]}}}},
	}}
	Expect(set.Client.Create(ctx, deployment)).To(Succeed())
	b := every(ctx, 100*time.Millisecond, tally{}, func(ctx context.Context, t *tally) {
		patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"annotations":{"at":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
		err := set.Client.Patch(ctx, deployment.DeepCopy(), client.RawPatch("application/merge-patch+json", patch))
		switch {
		case err == nil:
			t.n++
		case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
			t.refused = append(t.refused, err.Error())
		}
	})
	return func() (int, []string) { t := b.stop(); return t.n, t.refused }
}
