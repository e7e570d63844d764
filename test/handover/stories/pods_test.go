package stories

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
	"belay.dev/belay/test/handover/cluster"
)

// What becomes of pods beside their template: moved tags, injected containers, resizes,
// drains (docs/what-happens-when.md).

// twoSteps is a canary of one pod, then one of more.
func twoSteps(spec map[string]any) {
	spec["steps"] = []any{map[string]any{"weight": int64(25), "hold": "0s"}, map[string]any{"weight": int64(75), "hold": "0s"}}
}

// moveTag lets every pod of v2 that is made from now on run another build of it.
func (s *shop) moveTag() {
	s.T.Helper()
	before := map[string]bool{}
	for _, p := range kube.Nodes.Made(s.Namespace) {
		before[p.Name] = true
	}
	s.Must(kube.Nodes.Behave(s.T.Context(), s.Namespace, func(p *corev1.Pod) cluster.Behaviour {
		b := cluster.Behaviour{End: cluster.Grace}
		if p.Spec.Containers[0].Image == image("v2") && !before[p.Name] {
			b.Build = 1
		}
		return b
	}))
}

// TestATagThatMoves: the candidate's later pods run another image than its first ones.
// The run holds and says so, until somebody decides what is to be judged.
func TestATagThatMoves(t *testing.T) {
	t.Parallel()
	moves := func(t *testing.T, phase v1alpha1.Phase) *shop {
		s := open(t, replicas, nil, twoSteps)
		s.verdict(undecidedIn(phase))
		s.Push("v2")
		if phase == v1alpha1.PhaseStepping {
			s.atStep()
		}
		s.inPhase(phase)
		s.until("the digest is known", func(g Gomega, r *v1alpha1.Rollout) {
			g.Expect(r.Status.Candidate.Images[0].Digest).NotTo(BeEmpty())
		})
		s.moveTag()
		if phase == v1alpha1.PhaseBaking {
			s.losePods("v2", 1)
			// What a pod runs is known once it is ready. Before that the bake may pass, and the
			// handover waits for it.
			s.until("another pod is ready in its place", func(g Gomega, _ *v1alpha1.Rollout) {
				g.Expect(workload.ReadyPods(s.pods("v2"))).To(HaveLen(replicas))
			})
		}
		s.verdict(nil)
		s.until("it holds and says so", func(g Gomega, r *v1alpha1.Rollout) {
			g.Expect(r.Status.Message).To(And(ContainSubstring("image is Inconclusive (ImageMoved)"), ContainSubstring("the tag was moved"), ContainSubstring("abort and retry")))
			g.Expect(conditionOf(r, v1alpha1.ConditionReady)).NotTo(Equal(metav1.ConditionTrue))
		})
		s.Stays("it is not promoted", 2*time.Second, func(g Gomega) { g.Expect(s.rollout().Status.Phase).To(Equal(phase)) })
		return s
	}
	t.Run("between two steps", func(t *testing.T) {
		t.Parallel()
		s := moves(t, v1alpha1.PhaseStepping)
		s.Push("v3")
		s.promoted("v3", replicas)
		s.Served()
	})
	t.Run("in the bake", func(t *testing.T) {
		t.Parallel()
		s := moves(t, v1alpha1.PhaseBaking)
		s.command(v1alpha1.ActionAbort)
		s.rolledBack(replicas)
		// Now every pod is of the build that the tag names.
		s.command(v1alpha1.ActionRetry)
		s.promoted("v2", replicas)
		s.Served()
	})
}

// losePods deletes pods of a version, as somebody with kubectl delete pod does.
func (s *shop) losePods(version string, n int) {
	s.T.Helper()
	pods := s.pods(version)
	if len(pods) < n {
		s.T.Fatalf("%d pods run %s, want to delete %d", len(pods), version, n)
	}
	for _, p := range pods[:n] {
		s.Must(admin.Delete(s.T.Context(), &p))
	}
}

// pods of a version that are not on their way out.
func (s *shop) pods(version string) []corev1.Pod {
	s.T.Helper()
	all := &corev1.PodList{}
	s.Must(admin.List(s.T.Context(), all, client.InNamespace(s.Namespace)))
	var of []corev1.Pod
	for _, p := range all.Items {
		if p.Spec.Containers[0].Image == image(version) && p.DeletionTimestamp == nil {
			of = append(of, p)
		}
	}
	return of
}

// command gives Belay a command, as kubectl annotate does.
func (s *shop) command(action v1alpha1.Action) {
	s.T.Helper()
	s.kubectl("annotate", "--overwrite", "rollouts.belay.dev/"+cluster.Name, v1alpha1.AnnotationAction+"="+string(action), fmt.Sprintf("%s=%d", v1alpha1.AnnotationActionToken, time.Now().UnixNano()))
}

// TestInjectedSidecars: admission adds containers to pods, not to templates, as meshes
// and VerticalPodAutoscalers do. The canary's pods are handed over as they are.
func TestInjectedSidecars(t *testing.T) {
	t.Parallel()
	s := open(t, 3, nil)
	name := "sidecars-" + s.Namespace
	s.create(fmt.Sprintf(`{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicy, metadata: {name: %s}, spec: {
		failurePolicy: Fail, reinvocationPolicy: Never,
		matchConstraints: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}},
			resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]},
		mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "add", path: "/spec/initContainers", value: [Object.spec.initContainers{name: "proxy", image: "proxy:1", restartPolicy: "Always"}]},
			JSONPatch{op: "replace", path: "/spec/containers/0/resources", value: Object.spec.containers.resources{requests: {"cpu": "300m"}}}]'}}]}}`, name, s.Namespace))
	s.create(fmt.Sprintf(`{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicyBinding, metadata: {name: %[1]s}, spec: {policyName: %[1]s}}`, name))
	s.Eventually("the policy is in force", func(g Gomega) {
		probe := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe", Namespace: s.Namespace}, Spec: s.Set("v1").Spec.Template.Spec}
		g.Expect(admin.Create(t.Context(), probe, client.DryRunAll)).To(Succeed())
		g.Expect(probe.Spec.InitContainers).To(HaveLen(1))
	})
	s.Push("v2")
	s.promoted("v2", 3)
	s.Served()
	s.made(map[string]int{"v1": 3, "v2": 3})
	for _, p := range s.pods("v2") {
		if len(p.Spec.InitContainers) != 1 || p.Spec.Containers[0].Resources.Requests.Cpu().String() != "300m" {
			t.Errorf("pod %s was not changed by the policy", p.Name)
		}
	}
	if why := s.rollout().Status.History[0].Message; strings.Contains(why, "own strategy") {
		t.Errorf("the promotion was not a handover: %s", why)
	}
}

// TestResizeInPlace: pods of both sides get other resources while they run. No template
// changes, so that nothing happens, and the pods are handed over as they are.
func TestResizeInPlace(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.atStep()
	run := s.rollout().Status.Run
	for _, version := range []string{"v1", "v2"} {
		p := s.pods(version)[0]
		s.kubectl("patch", "pod", p.Name, "--subresource=resize", "-p", fmt.Sprintf(`{"spec":{"containers":[{"name":%q,"resources":{"requests":{"cpu":"200m"}}}]}}`, cluster.Name))
	}
	s.verdict(nil)
	s.promoted("v2", 2)
	s.sameRun(run)
	s.Served()
	s.made(map[string]int{"v1": 2, "v2": 2})
}

// drain evicts every pod of one node, as kubectl drain does.
func (s *shop) drain() {
	pods := &corev1.PodList{}
	if err := admin.List(s.T.Context(), pods, client.InNamespace(s.Namespace)); err != nil || len(pods.Items) == 0 {
		s.T.Errorf("list %d pods: %v", len(pods.Items), err)
		return
	}
	node := pods.Items[0].Spec.NodeName
	for _, p := range pods.Items {
		if p.Spec.NodeName != node {
			continue
		}
		err := admin.SubResource("eviction").Create(s.T.Context(), &p, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}})
		if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			s.T.Errorf("evict %s: %v", p.Name, err)
		}
	}
}
