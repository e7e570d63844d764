package stories

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// What people do to a Deployment with kubectl's own commands
// (docs/what-happens-when.md).

const deployment = "deployment/" + cluster.Name

// kubectl ends the test when the command fails.
func (s *shop) kubectl(args ...string) string {
	s.T.Helper()
	out, err := s.Kubectl(args...)
	if err != nil {
		s.T.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// refused ends the test when kubectl or the API server accepts the command, or says
// something else.
func (s *shop) refused(says string, args ...string) {
	s.T.Helper()
	if out, err := s.Kubectl(args...); err == nil || !strings.Contains(out, says) {
		s.T.Errorf("kubectl %s: %v, want an error with %q\n%s", strings.Join(args, " "), err, says, out)
	}
}

// manifest of the Deployment as its developers keep it, at a version.
func (s *shop) manifest(version string, change func(*appsv1.Deployment)) string {
	s.T.Helper()
	d := &appsv1.Deployment{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: cluster.Name, Namespace: s.Namespace}, Spec: *s.Deployed.Spec.DeepCopy()}
	d.Spec.Template.Spec.Containers[0].Image = image(version)
	if change != nil {
		change(d)
	}
	raw, err := yaml.Marshal(d)
	s.Must(err)
	path := filepath.Join(s.T.TempDir(), version+".yaml")
	s.Must(os.WriteFile(path, raw, 0o600))
	return path
}

// TestRestart: kubectl rollout restart is a version like any other, and its message
// says that the image is the same. While a version is held kubectl itself refuses.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.kubectl("rollout", "restart", deployment)
	s.atStep()
	if why := s.decisions(); !strings.Contains(why, "again, with another pod template") || !strings.Contains(why, "a restart, or a change of its configuration") {
		t.Errorf("the record does not say that it is a restart:\n%s", why)
	}
	s.refused("can't restart paused deployment", "rollout", "restart", deployment)
	s.verdict(nil)
	s.until("the restarted pods are promoted", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStable))
		g.Expect(r.Status.History).To(HaveLen(1))
		g.Expect(r.Status.History[0].Outcome).To(Equal(v1alpha1.OutcomePromoted))
	})
	s.Served()
	s.made(map[string]int{"v1": 4})
}

// TestUndo: kubectl refuses it while a version is held; once the version is promoted it
// is a push of the version before.
func TestUndo(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.Push("v2")
	s.promoted("v2", 2)
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v3")
	s.atStep()
	s.refused("you cannot rollback a paused deployment", "rollout", "undo", deployment)
	s.Push("v2")
	s.promoted("v2", 2)
	s.kubectl("rollout", "undo", deployment)
	s.until("the version before is on trial", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Phase).To(Equal(v1alpha1.PhaseStepping))
		g.Expect(r.Status.Candidate.Image).To(Equal(image("v1")))
	})
	s.verdict(nil)
	s.promoted("v1", 2)
	s.Served()
}

// TestPauseAndResume: Belay ends a pause that nobody needs while no version is held; in
// a run resuming is denied, and pausing changes nothing.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.kubectl("rollout", "pause", deployment)
	s.Eventually("Belay has unpaused it", func(g Gomega) { g.Expect(s.Deployment().Spec.Paused).To(BeFalse()) })
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.atStep()
	s.refused("only Belay lets it roll, once it is judged", "rollout", "resume", deployment)
	s.refused("already paused", "rollout", "pause", deployment)
	s.verdict(nil)
	s.promoted("v2", 2)
	s.Served()
	s.made(map[string]int{"v1": 2, "v2": 2})
}

// TestRolloutStatus waits as long as a version is held, and ends when it is promoted.
func TestRolloutStatus(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.atStep()
	s.refused("timed out waiting for the condition", "rollout", "status", deployment, "--timeout=2s")
	s.verdict(nil)
	s.promoted("v2", 2)
	if out := s.kubectl("rollout", "status", deployment, "--timeout=20s"); !strings.Contains(out, "successfully rolled out") {
		t.Errorf("kubectl rollout status says %q", out)
	}
	s.Served()
}

// TestReplace writes the whole object as its developers keep it, without a label,
// annotation or pause of Belay's.
func TestReplace(t *testing.T) {
	t.Parallel()
	t.Run("with the candidate", func(t *testing.T) {
		t.Parallel()
		s := open(t, 3, nil)
		s.verdict(always(v1alpha1.VerdictInconclusive))
		s.kubectl("replace", "-f", s.manifest("v2", nil))
		s.atStep()
		run := s.rollout().Status.Run
		s.kubectl("replace", "-f", s.manifest("v2", nil))
		if d := s.Deployment(); !d.Spec.Paused || d.Labels[v1alpha1.LabelRollout] != cluster.Name {
			t.Errorf("after kubectl replace the Deployment is paused %v with labels %v", d.Spec.Paused, d.Labels)
		}
		s.verdict(nil)
		s.promoted("v2", 3)
		s.sameRun(run)
		s.Served()
		s.made(map[string]int{"v1": 3, "v2": 3})
	})
	t.Run("with stable", func(t *testing.T) {
		t.Parallel()
		s := open(t, 3, nil)
		s.verdict(always(v1alpha1.VerdictInconclusive))
		s.Push("v2")
		s.atStep()
		s.kubectl("replace", "-f", s.manifest("v1", nil))
		s.promoted("v1", 3)
		if h := s.rollout().Status.History; len(h) != 1 || h[0].Outcome != v1alpha1.OutcomeCancelled {
			t.Errorf("the history is %+v", h)
		}
		s.Served()
		if made := s.Made()["v1"]; made != 3 {
			t.Errorf("%d pods of v1 were made, want 3", made)
		}
	})
	t.Run("with another version", func(t *testing.T) {
		t.Parallel()
		s := open(t, 3, nil)
		s.verdict(inStep(v1alpha1.VerdictInconclusive))
		s.Push("v2")
		s.atStep()
		s.kubectl("replace", "-f", s.manifest("v3", nil))
		s.promoted("v3", 3)
		s.Served()
	})
}

// sameRun fails the test when another run has begun.
func (s *shop) sameRun(run string) {
	s.T.Helper()
	if now := s.rollout().Status.Run; now != run {
		s.T.Errorf("run %s was replaced by %s", run, now)
	}
}

// TestEditsBesideTheTemplate change nothing of a run: labels, the strategy, the time
// that pods have to be ready.
func TestEditsBesideTheTemplate(t *testing.T) {
	t.Parallel()
	s := open(t, 3, nil)
	s.verdict(always(v1alpha1.VerdictInconclusive))
	s.Push("v2")
	s.atStep()
	run := s.rollout().Status.Run
	s.PatchDeployment(types.MergePatchType, `{"metadata":{"labels":{"team":"a"},"annotations":{"note":"edited"}},
		"spec":{"strategy":{"type":"Recreate","rollingUpdate":null},"minReadySeconds":1,"progressDeadlineSeconds":300,"revisionHistoryLimit":5}}`)
	s.verdict(nil)
	s.promoted("v2", 3)
	s.sameRun(run)
	if d := s.Deployment(); d.Labels["team"] != "a" || d.Annotations["note"] != "edited" || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("an edit was lost: labels %v, annotations %v, strategy %s", d.Labels, d.Annotations, d.Spec.Strategy.Type)
	}
	s.Served()
	s.made(map[string]int{"v1": 3, "v2": 3})
}

// TestTheSelectorOfADeploymentIsFixed: the API server refuses another one, so people
// delete the Deployment and make it again. What runs then was never held: it is the
// stable version from there on, and the next push is judged against it.
func TestTheSelectorOfADeploymentIsFixed(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*shop){
		"while idle": func(*shop) {},
		"in a step": func(s *shop) {
			s.verdict(always(v1alpha1.VerdictInconclusive))
			s.Push("v2")
			s.atStep()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, 2, nil)
			before(s)
			relabel := func(d *appsv1.Deployment) {
				d.Spec.Selector.MatchLabels["tier"], d.Spec.Template.Labels["tier"] = "web", "web"
			}
			s.refused("field is immutable", "replace", "-f", s.manifest("v3", relabel))
			s.verdict(nil)
			s.recreate("v3", relabel)
			s.promoted("v3", 2)
			s.Push("v4")
			s.promoted("v4", 2)
			s.Served()
		})
	}
}

// recreate deletes the Deployment and makes it again at a version, as
// kubectl replace --force does.
func (s *shop) recreate(version string, change func(*appsv1.Deployment)) {
	s.T.Helper()
	s.deleteDeployment()
	s.deploymentGone()
	s.kubectl("create", "-f", s.manifest(version, change))
	s.Eventually("it serves again", func(g Gomega) {
		g.Expect(s.Deployment().Status.AvailableReplicas).To(Equal(*s.Deployed.Spec.Replicas))
		g.Expect(s.Endpoints(cluster.Name)).To(HaveLen(int(*s.Deployed.Spec.Replicas)))
		g.Expect(s.backends()).To(Equal(cluster.Name))
	})
	kube.Gateway.Open(s.Namespace, cluster.Name, cluster.Name)
}

// TestPodSecurityRefusesTheCanary: the cause stands in the message within 10 s, stable
// serves, and a version that is allowed goes on.
func TestPodSecurityRefusesTheCanary(t *testing.T) {
	t.Parallel()
	s := open(t, 2, nil)
	s.Must(admin.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}},
		client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"baseline"}}}`))))
	pushed := time.Now()
	s.PatchDeployment(types.StrategicMergePatchType, fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":%q,"image":%q,"securityContext":{"privileged":true}}]}}}}`, cluster.Name, image("v2")))
	s.until("the message names the policy", func(g Gomega, r *v1alpha1.Rollout) {
		g.Expect(r.Status.Message).To(And(ContainSubstring(`violates PodSecurity \"baseline:latest\"`), ContainSubstring("privileged")))
	})
	s.saidWithin(10*time.Second, pushed)
	s.PatchDeployment(types.StrategicMergePatchType, fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":%q,"image":%q,"securityContext":null}]}}}}`, cluster.Name, image("v3")))
	s.promoted("v3", 2)
	s.Served()
	if made := s.Made()["v2"]; made != 0 {
		t.Errorf("%d pods of v2 were made", made)
	}
}

// saidWithin fails the test when the cause of a wait stood in the message too late.
func (s *shop) saidWithin(bound time.Duration, pushed time.Time) {
	s.T.Helper()
	if took := time.Since(pushed); took > bound {
		s.T.Errorf("the cause stood in the message %s after the push, want %s at most", took.Round(time.Millisecond), bound)
	}
}
