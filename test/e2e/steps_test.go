package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/load"
)

var _ = Describe("A step", func() {
	It("that needs an approval holds the canary until somebody on call approves it, who then skips the next", func(ctx context.Context) {
		// The last step would take longer than the journey may.
		j := begin(ctx, "steps", "- {name: half, weight: 50, hold: 10s}",
			"- {name: half, weight: 50, hold: 1s, approval: Required}\n  - {name: most, weight: 80, hold: 1h}")
		oncall := j.onCall(ctx)
		Expect(j.Release(ctx, images["v2"])).To(Succeed())
		j.until(ctx, "wait for the approval", func(r *v1alpha1.Rollout) bool {
			return r.Status.Step != nil && r.Status.Step.AwaitsApprovalSince != nil
		})
		By("holding there, under load")
		since := time.Now()
		var waiting load.Tally
		Eventually(func() int {
			waiting = load.Count(j.load.Since(since))
			return waiting.Sent
		}).WithContext(ctx).Should(BeNumerically(">", 400))
		// Of 400 answers a share of a half is within 10 points in more than 99.99 %.
		Expect(100*waiting.By["v2"].Count/waiting.Sent).To(BeNumerically("~", 50, 10), "%v", waiting.By)
		Expect(oncall.refused(ctx, "skip", "--step", "2")).To(ContainSubstring("needs an approval, and Skip does not stand for one"))
		rollout, err := j.Rollout(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(rollout.Status.Step).To(HaveField("Index", BeEquivalentTo(1)))
		Expect(rollout.Status.Step.Weight.Observed).To(BeEquivalentTo(50))

		By("approving it")
		Expect(oncall.does(ctx, "approve", "--step", "2", "--reason", "the orders add up")).To(ContainSubstring("Approve of v2 given"))
		j.until(ctx, "give the canary 80 %", func(r *v1alpha1.Rollout) bool {
			return r.Status.Step != nil && r.Status.Step.Index == 2 && r.Status.Step.AcknowledgedAt != nil && r.Status.Step.Weight.Observed == 80
		})
		By("skipping the next")
		Expect(oncall.does(ctx, "skip", "--step", "3", "--reason", "it is late")).To(ContainSubstring("Skip of v2 given"))
		entry, err := j.Finished(ctx, images["v2"])
		Expect(err).NotTo(HaveOccurred())
		Expect(entry.Outcome).To(Equal(v1alpha1.OutcomePromoted))
		Expect(entry.Message).To(ContainSubstring(oncall.name + " skipped step 3 of 3 (most)"))
		j.onlyServed(ctx, "v2")
		j.noneFailed("")
		Expect(j.evidenceOf(ctx, entry).Status.Decisions).To(ContainElements(
			And(HaveField("Rule", "ApproveRequested"), HaveField("Actor", oncall.name), HaveField("Why", ContainSubstring("the orders add up"))),
			And(HaveField("Rule", "SkipRequested"), HaveField("Actor", oncall.name), HaveField("Why", ContainSubstring("it is late")))))
	}, NodeTimeout(journeyLimit))
})

// person is one who uses the command line with no more rights than a role gives.
type person struct {
	*journey

	// name is the API server's.
	name, credentials string
}

// onCall is a person who may read, and give commands, in the journey's namespace.
func (j *journey) onCall(ctx context.Context) person {
	GinkgoHelper()
	By("binding belay-oncall")
	meta := metav1.ObjectMeta{Namespace: j.Namespace, Name: "oncall"}
	Expect(set.Client.Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta})).To(Succeed())
	Expect(set.Client.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "belay-oncall"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: meta.Namespace, Name: meta.Name}},
	})).To(Succeed())
	p := person{journey: j, name: fmt.Sprintf("system:serviceaccount:%s:%s", meta.Namespace, meta.Name), credentials: filepath.Join(GinkgoT().TempDir(), "kubeconfig")}
	Expect(set.WriteKubeconfig(ctx, p.credentials, client.ObjectKey{Namespace: meta.Namespace, Name: meta.Name})).To(Succeed())
	return p
}

// does gives a command about the journey's Rollout, and returns what the command line said.
func (p person) does(ctx context.Context, command string, args ...string) string {
	GinkgoHelper()
	out, err := p.run(ctx, command, args...)
	Expect(err).NotTo(HaveOccurred(), out)
	return out
}

// refused gives a command that Belay refuses.
func (p person) refused(ctx context.Context, command string, args ...string) string {
	GinkgoHelper()
	out, err := p.run(ctx, command, args...)
	exit := &exec.ExitError{}
	Expect(errors.As(err, &exit)).To(BeTrue(), "%v: %s", err, out)
	Expect(exit.ExitCode()).To(Equal(1), out)
	return out
}

func (p person) run(ctx context.Context, command string, args ...string) (string, error) {
	args = append([]string{command, p.Key().Name, "-n", p.Namespace, "--kubeconfig", p.credentials}, args...)
	out, err := set.Command(ctx, kubectlBelay, args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
