package journeys

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const name = "belay-controller"

// works looks at an installation from outside: both pods are ready, their processes
// have no rights on the node, one leads, drains and other pods are bounded.
func works(t *testing.T, namespace string) {
	t.Helper()
	g := NewWithT(t)
	pods := &corev1.PodList{}
	g.Eventually(func(g Gomega) {
		g.Expect(set.Client.List(t.Context(), pods, client.InNamespace(namespace), client.MatchingLabels{"app": name})).To(Succeed())
		g.Expect(pods.Items).To(HaveLen(2))
		for _, pod := range pods.Items {
			g.Expect(pod.Status.Conditions).To(ContainElement(And(HaveField("Type", corev1.PodReady), HaveField("Status", corev1.ConditionTrue))))
		}
	}).WithTimeout(patience).Should(Succeed())
	var names []string
	for _, pod := range pods.Items {
		names = append(names, pod.Name)
		state := pod.Status.ContainerStatuses[0]
		g.Expect(state.RestartCount).To(BeZero(), "%s: %v", pod.Name, state.LastTerminationState)
		g.Expect(pod.Spec.Containers[0].ReadinessProbe).NotTo(BeNil())
		g.Expect(pod.Spec.Containers[0].LivenessProbe).NotTo(BeNil())
		hasNoRights(t, state.ContainerID)
	}
	lease := &coordinationv1.Lease{}
	g.Expect(set.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, lease)).To(Succeed())
	g.Expect(lease.Spec.HolderIdentity).NotTo(BeNil())
	holder, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	g.Expect(names).To(ContainElement(holder))

	g.Eventually(func(g Gomega) {
		budget := &policyv1.PodDisruptionBudget{}
		g.Expect(set.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, budget)).To(Succeed())
		g.Expect(budget.Status).To(And(HaveField("ExpectedPods", BeEquivalentTo(2)), HaveField("CurrentHealthy", BeEquivalentTo(2)), HaveField("DisruptionsAllowed", BeEquivalentTo(1))))
	}).WithTimeout(30 * time.Second).Should(Succeed())
	network := &networkingv1.NetworkPolicy{}
	g.Expect(set.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, network)).To(Succeed())
	selector, err := metav1.LabelSelectorAsSelector(&network.Spec.PodSelector)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(selector.Matches(labels.Set(pods.Items[0].Labels))).To(BeTrue())

	// The namespace takes no pod with more rights than these.
	root := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "root"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "root", Image: images["v1"]}}}}
	err = set.Client.Create(t.Context(), root, client.DryRunAll)
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
}

// hasNoRights looks at a container's process as the node has it.
func hasNoRights(t *testing.T, container string) {
	t.Helper()
	g := NewWithT(t)
	_, id, _ := strings.Cut(container, "://")
	process, err := processOf(id)
	g.Expect(err).NotTo(HaveOccurred())
	status, err := os.ReadFile(filepath.Join(process, "status"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, line := range []string{`Uid:\s+65532\s+65532\s+65532\s+65532`, `CapEff:\s+0+`, `CapBnd:\s+0+`, `NoNewPrivs:\s+1`, `Seccomp:\s+2`} {
		g.Expect(string(status)).To(MatchRegexp("(?m)^" + line + "$"))
	}
	mounts, err := os.ReadFile(filepath.Join(process, "mounts"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(mounts)).To(MatchRegexp(`(?m)^\S+ / \S+ ro,`), "the root file system can be written")
}

// processOf is the folder in /proc of a container's process. The node is this machine.
func processOf(container string) (string, error) {
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return "", err
	}
	for _, path := range groups {
		// A process that ended meanwhile is not the one.
		if group, err := os.ReadFile(path); err == nil && container != "" && strings.Contains(string(group), container) {
			return filepath.Dir(path), nil
		}
	}
	return "", fmt.Errorf("no process of container %q on this machine: the journeys need the local cluster", container)
}

// ours are the kinds of which an uninstalled Belay leaves nothing behind.
const ours = "crd,clusterroles,clusterrolebindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings,validatingadmissionpolicies,validatingadmissionpolicybindings"

// gone waits until nothing of an installation is left, but for kinds that are kept.
func gone(t *testing.T, kept ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	NewWithT(t).Eventually(func() ([]string, error) {
		out, err := run(ctx, "kubectl", "get", ours, "-l", "app.kubernetes.io/part-of=belay", "-o", "name")
		left := regexp.MustCompile(`\S+`).FindAllString(out, -1)
		return slices.DeleteFunc(left, func(object string) bool {
			return slices.ContainsFunc(kept, func(kind string) bool { return strings.HasPrefix(object, kind) })
		}), err
	}).WithTimeout(patience).WithPolling(time.Second).Should(BeEmpty())
}
