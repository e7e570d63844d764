package stories

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// shop is an application with the Rollout that guards it, the controller, and the
// analysis loop that the test plays.
type shop struct {
	*cluster.World
	belay *belay
	// after sees every write of every process of the controller.
	after func(*belay, write)
	// analysis is the other loop's access.
	analysis client.Client

	mu sync.Mutex
	// judged is the verdict on what is on trial; by default it passes.
	judged func(*v1alpha1.Rollout) v1alpha1.VerdictOutcome
}

// open serves v1, adopted and guarded by a Rollout with these fields instead of
// the usual ones.
func open(t testing.TB, replicas int32, change func(*appsv1.Deployment), fields ...func(spec map[string]any)) *shop {
	t.Helper()
	s := &shop{World: kube.Open(t, replicas, change)}
	s.guarded(object(t, fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: Rollout, metadata: {name: shop, namespace: %s}, spec: {
		workloadRef: {name: shop}, traffic: {service: shop, routes: [{name: shop}], drain: 1s},
		steps: [{weight: 50, hold: 0s}], guardrails: [{name: shop}], promotion: {bake: 0s}, fastRevert: {revisions: 0}, stepDeadline: 10m, settle: 1s}}`, s.Namespace)), fields...)
	return s
}

// guarded makes the Rollout with these fields instead of its own, starts the controller and the
// analysis loop, and waits until it has adopted its workload.
func (s *shop) guarded(rollout *unstructured.Unstructured, fields ...func(spec map[string]any)) {
	t := s.T
	t.Helper()
	s.create(fmt.Sprintf(`{apiVersion: belay.dev/v1alpha1, kind: Guardrail, metadata: {name: shop, namespace: %s}, spec: {source: shops,
		slos: [{name: errors, objective: "99.9", indicator: {requests: {total: {metric: requests_total}, bad: {metric: errors_total}}}}],
		triggers: [{name: errors, slo: errors, regression: {}}]}}`, s.Namespace))
	for _, set := range fields {
		set(rollout.Object["spec"].(map[string]any))
	}
	s.Must(admin.Create(t.Context(), rollout))
	as := rest.CopyConfig(kube.Config)
	as.Impersonate = rest.ImpersonationConfig{UserName: user}
	var err error
	s.analysis, err = client.New(as, client.Options{Scheme: scheme, Mapper: admin.RESTMapper()})
	s.Must(err)
	s.belay = start(t, s.Namespace, s.wrote)
	t.Cleanup(func() { s.belay.end() })
	s.judging()
	s.until("adopted, guarded and stable", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStable))
		g.Expect(r.Status.Stable).NotTo(BeNil())
		for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionGuarded} {
			g.Expect(conditionOf(r, kind)).To(Equal(metav1.ConditionTrue), kind)
		}
	})
}

func conditionOf(r *v1alpha1.Rollout, kind string) metav1.ConditionStatus {
	for _, c := range r.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

func (s *shop) wrote(b *belay, w write) {
	s.mu.Lock()
	after := s.after
	s.mu.Unlock()
	if after != nil {
		after(b, w)
	}
}

// onWrite is called with every write of the controller from now on, before the
// controller learns that it went through.
func (s *shop) onWrite(do func(*belay, write)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = do
}

func (s *shop) create(document string) {
	s.T.Helper()
	s.Must(admin.Create(s.T.Context(), object(s.T, document)))
}

func object(t testing.TB, document string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return u
}

// rollout as it is now; an empty one when it is gone.
func (s *shop) rollout() *v1alpha1.Rollout {
	r := &v1alpha1.Rollout{}
	if err := admin.Get(context.WithoutCancel(s.T.Context()), s.Key(), r); client.IgnoreNotFound(err) != nil {
		s.T.Errorf("read the Rollout: %v", err)
	}
	return r
}

// until waits for what the Rollout's status says.
func (s *shop) until(what string, holds func(Gomega, *v1alpha1.Rollout)) {
	s.T.Helper()
	s.Eventually(what, func(g Gomega) {
		r := s.rollout()
		holds(g, r)
	})
}

// String adds the Rollout to the state of the world.
func (s *shop) String() string {
	r := s.rollout()
	out := fmt.Sprintf("Rollout: phase %s, run %s, message %q, promotion %+v", r.Status.Phase, r.Status.Run, r.Status.Message, r.Status.Promotion)
	if r.Status.Refusal != nil {
		out += fmt.Sprintf(", refused: %+v", *r.Status.Refusal)
	}
	return out + "\n" + s.World.String()
}

// Eventually shows the Rollout too when a wait fails.
func (s *shop) Eventually(what string, holds func(Gomega)) {
	s.T.Helper()
	NewWithT(s.T).Eventually(holds).WithTimeout(soon).WithPolling(cluster.Poll).Should(Succeed(), func() string { return what + "\n" + s.String() })
}

// verdict decides what the analysis loop says from now on.
func (s *shop) verdict(judged func(*v1alpha1.Rollout) v1alpha1.VerdictOutcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judged = judged
}

// silent is no verdict: the analysis loop that the test plays writes nothing.
const silent v1alpha1.VerdictOutcome = ""

func always(outcome v1alpha1.VerdictOutcome) func(*v1alpha1.Rollout) v1alpha1.VerdictOutcome {
	return func(*v1alpha1.Rollout) v1alpha1.VerdictOutcome { return outcome }
}

// judging plays the analysis loop until the test ends.
func (s *shop) judging() {
	ctx, stop := context.WithCancel(s.T.Context())
	done := make(chan struct{})
	s.T.Cleanup(func() {
		stop()
		<-done
	})
	go func() {
		defer close(done)
		said := ""
		wait.UntilWithContext(ctx, func(ctx context.Context) { s.judge(ctx, &said) }, cluster.Poll)
	}()
}

// judge writes what the analysis loop would about the run at its present weight.
func (s *shop) judge(ctx context.Context, said *string) {
	r := &v1alpha1.Rollout{}
	if err := admin.Get(ctx, s.Key(), r); err != nil || !r.Status.Judged() {
		return
	}
	outcome := v1alpha1.VerdictPass
	s.mu.Lock()
	if s.judged != nil {
		outcome = s.judged(r)
	}
	s.mu.Unlock()
	if outcome == silent {
		return
	}
	reason := map[v1alpha1.VerdictOutcome]string{v1alpha1.VerdictPass: "Healthy", v1alpha1.VerdictFail: "Regression", v1alpha1.VerdictInconclusive: "TooFewSamples"}[outcome]
	now := time.Now()
	saying := fmt.Sprint(r.Status.Run, outcome, r.Status.StageStart(now), now.Unix()/20)
	if saying == *said {
		return
	}
	at := now.UTC().Format(metav1.RFC3339Micro)
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(fmt.Appendf(nil, `{apiVersion: belay.dev/v1alpha1, kind: RolloutRun, metadata: {name: %s, namespace: %s}, status: {analysis: {verdict: %[3]s, evaluatedAt: %[4]q,
		triggers: [{kind: Guardrail, guardrail: shop, name: errors, outcome: %[3]s, reason: %[5]s, message: "as the test says", evaluatedAt: %[4]q, samplesFrom: %[4]q}]}}}`,
		r.Status.Run, s.Namespace, outcome, at, reason), &u.Object); err != nil {
		s.T.Errorf("a verdict: %v", err)
		return
	}
	err := s.analysis.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(v1alpha1.AnalysisFieldManager), client.ForceOwnership)
	switch {
	case err == nil:
		*said = saying
	case apierrors.IsNotFound(err), apierrors.IsConflict(err), apierrors.IsInvalid(err), errors.Is(err, context.Canceled), ctx.Err() != nil:
		// The run is not there yet, or has ended.
	default:
		*said = saying
		s.T.Errorf("write a verdict: %v", err)
	}
}

// promoted waits until a version serves alone, at this size, with nothing of a
// run left behind.
func (s *shop) promoted(version string, replicas int32) {
	s.T.Helper()
	s.until(version+" is promoted", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStable))
		g.Expect(r.Status.Stable.Image).To(Equal(cluster.Image(version)))
		g.Expect(conditionOf(r, v1alpha1.ConditionReady)).To(Equal(metav1.ConditionTrue))
	})
	s.alone(version, replicas)
	if d := s.Deployment(); d.Spec.Paused || d.Labels[v1alpha1.LabelHandover] != "" || d.Labels[v1alpha1.LabelRun] != "" {
		s.T.Errorf("the Deployment was left paused %v with labels %v", d.Spec.Paused, d.Labels)
	}
}

// rolledBack waits until v1 serves alone again, and the Deployment waits at what
// was rejected.
func (s *shop) rolledBack(replicas int32) {
	s.T.Helper()
	s.until("rolled back", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseRolledBack))
		g.Expect(r.Status.Stable.Image).To(Equal(cluster.Image("v1")))
	})
	s.alone("v1", replicas)
	if !s.Deployment().Spec.Paused {
		s.T.Error("the rejected version is not held")
	}
}

// alone waits until one version has all pods and the route is the user's again.
func (s *shop) alone(version string, replicas int32) {
	s.T.Helper()
	s.Eventually(fmt.Sprintf("%d replicas of %s, and nothing of a run", replicas, version), func(g Gomega) {
		d := s.Deployment()
		g.Expect(*d.Spec.Replicas).To(Equal(replicas))
		g.Expect(d.Status.ObservedGeneration).To(Equal(d.Generation))
		active := 0
		for _, set := range s.Sets() {
			want := int32(0)
			if set.Spec.Template.Spec.Containers[0].Image == cluster.Image(version) && (*set.Spec.Replicas > 0 || replicas == 0) {
				want = replicas
				active++
			}
			g.Expect(*set.Spec.Replicas).To(Equal(want), "the size of "+set.Name)
			g.Expect(set.Status.AvailableReplicas).To(Equal(want), "the available pods of "+set.Name)
			g.Expect(metav1.GetControllerOf(&set).Kind).To(Equal("Deployment"), "the owner of "+set.Name)
		}
		g.Expect(active).To(BeNumerically(">", 0), "ReplicaSets of %s", version)
		g.Expect(s.backends()).To(Equal("shop"))
		g.Expect(s.Endpoints(cluster.Name)).To(HaveLen(int(replicas)))
		g.Expect(s.selector()).To(Equal(map[string]string{"app": cluster.Name}))
	})
}

// backends of the route, by name.
func (s *shop) backends() string {
	route := &gatewayv1.HTTPRoute{}
	if err := admin.Get(context.WithoutCancel(s.T.Context()), s.Key(), route); err != nil {
		return err.Error()
	}
	var names []string
	for _, ref := range route.Spec.Rules[0].BackendRefs {
		names = append(names, string(ref.Name))
	}
	return strings.Join(names, " ")
}

// service is nil when there is none of that name.
func (s *shop) service(name string) *corev1.Service {
	service := &corev1.Service{}
	if err := admin.Get(context.WithoutCancel(s.T.Context()), client.ObjectKey{Namespace: s.Namespace, Name: name}, service); err != nil {
		return nil
	}
	return service
}

func (s *shop) selector() map[string]string {
	service := &corev1.Service{}
	if err := admin.Get(context.WithoutCancel(s.T.Context()), s.Key(), service); err != nil {
		return nil
	}
	return service.Spec.Selector
}

// made compares the pods that were ever made with what they should be.
func (s *shop) made(want map[string]int) {
	s.T.Helper()
	NewWithT(s.T).Expect(s.Made()).To(Equal(want), "pods ever made, by version")
}

// soon bounds every wait.
const soon = 2 * time.Minute
