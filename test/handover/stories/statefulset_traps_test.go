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
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

// What people and programs do to a StatefulSet while a version waits, under Kubernetes' own
// controller: with the guard the version waits on, and without it every case is a way past
// it. Belay's controller does not run here: the guard has to hold by itself.

// guardedSet is a StatefulSet whose developers push to it.
type guardedSet struct {
	*cluster.Ordered
	guarded bool
}

const theSet = "statefulset/" + cluster.Name

// kubectl runs a command and returns what it prints, and whether it failed.
func (s *guardedSet) kubectl(args ...string) (string, error) {
	s.T.Helper()
	out, err := s.Kubectl(args...)
	s.T.Logf("kubectl %s: %s", strings.Join(args, " "), out)
	return out, err
}

// does ends the test when the command fails.
func (s *guardedSet) does(args ...string) {
	s.T.Helper()
	if out, err := s.kubectl(args...); err != nil {
		s.T.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// refused is a command that the guard refuses, with these words.
func (s *guardedSet) refused(says string, args ...string) {
	s.T.Helper()
	out, err := s.kubectl(args...)
	switch {
	case !s.guarded && err != nil:
		s.T.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	case s.guarded && (err == nil || !strings.Contains(out, says)):
		s.T.Fatalf("kubectl %s: %v, want an error with %q\n%s", strings.Join(args, " "), err, says, out)
	}
}

// manifest of the StatefulSet as its developers keep it.
func (s *guardedSet) manifest(version string, partition *int32) string {
	s.T.Helper()
	declared := s.Declared.DeepCopy()
	declared.Spec.Template.Spec.Containers[0].Image = image(version)
	if partition != nil {
		declared.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType,
			RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: partition}}
	}
	raw, err := yaml.Marshal(declared)
	s.Must(err)
	path := filepath.Join(s.T.TempDir(), version+".yaml")
	s.Must(os.WriteFile(path, raw, 0o600))
	return path
}

// waits pushes v2, which the guard holds; without it, whoever pushes sets a partition.
func (s *guardedSet) waits(byHand int32) {
	s.T.Helper()
	strategy := ""
	if !s.guarded {
		strategy = fmt.Sprintf(`"updateStrategy":{"rollingUpdate":{"partition":%d}},`, byHand)
	}
	s.does("patch", theSet, "-p", fmt.Sprintf(`{"spec":{%s"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`, strategy, cluster.Name, image("v2")))
	if s.guarded {
		NewWithT(s.T).Expect(*s.StatefulSet().Spec.UpdateStrategy.RollingUpdate.Partition).To(Equal(v1alpha1.PartitionHold))
	}
}

// ran lets v2 become the version that runs, as a promotion of Belay's ends.
func (s *guardedSet) ran() {
	s.T.Helper()
	s.PatchSet(belayItself(s.T), fmt.Sprintf(`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}},"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`, cluster.Name, image("v2")))
	s.Runs("v2", "v2", "v2")
	s.Eventually("the controller has seen it", func(g Gomega) {
		status := s.StatefulSet().Status
		g.Expect(status.CurrentRevision).To(Equal(status.UpdateRevision))
	})
}

func belayItself(t testing.TB) client.Client {
	t.Helper()
	as := rest.CopyConfig(kube.Config)
	as.Impersonate = rest.ImpersonationConfig{UserName: user}
	c, err := client.New(as, client.Options{Scheme: scheme, Mapper: admin.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTheGuardOfAStatefulSet: 3 pods of v1, and v2 is pushed.
func TestTheGuardOfAStatefulSet(t *testing.T) {
	zero, hold := int32(0), v1alpha1.PartitionHold
	stay := []string{"v1", "v1", "v1"}
	for name, c := range map[string]struct {
		do func(*guardedSet)
		// held are the versions in the end with the guard, free those without it.
		held, free []string
	}{
		"a push": {func(s *guardedSet) { s.does("set", "image", theSet, cluster.Name+"="+image("v2")) }, stay, []string{"v2", "v2", "v2"}},
		"scaled up and a pod lost": {func(s *guardedSet) {
			s.waits(3)
			s.does("scale", theSet, "--replicas=5")
			s.Lose(1)
		}, []string{"v1", "v1", "v1", "v1", "v1"}, []string{"v1", "v1", "v1", "v2", "v2"}},
		"applied again with partition 0": {func(s *guardedSet) {
			s.does("apply", "-f", s.manifest("v1", &zero))
			s.waits(hold)
			s.does("apply", "-f", s.manifest("v2", &zero))
			s.does("apply", "-f", s.manifest("v2", &zero))
		}, stay, []string{"v2", "v2", "v2"}},
		"applied without the stanza that it had": {func(s *guardedSet) {
			s.does("apply", "-f", s.manifest("v1", &zero))
			s.waits(hold)
			s.does("apply", "-f", s.manifest("v2", nil))
		}, stay, []string{"v2", "v2", "v2"}},
		"server-side applied": {func(s *guardedSet) {
			s.waits(hold)
			s.does("apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller", "-f", s.manifest("v2", &zero))
		}, stay, []string{"v2", "v2", "v2"}},
		"replaced": {func(s *guardedSet) { s.waits(hold); s.does("replace", "-f", s.manifest("v2", nil)) }, stay, []string{"v2", "v2", "v2"}},
		"the label taken and replaced": {func(s *guardedSet) {
			s.waits(hold)
			s.does("label", theSet, v1alpha1.LabelRollout+"-")
			s.does("replace", "-f", s.manifest("v2", &zero))
		}, stay, []string{"v2", "v2", "v2"}},
		"undone": {func(s *guardedSet) { s.ran(); s.does("rollout", "undo", theSet) }, []string{"v2", "v2", "v2"}, stay},
		"let go by hand": {func(s *guardedSet) {
			s.waits(hold)
			s.refused("is held by Rollout", "patch", theSet, "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}`)
		}, stay, []string{"v2", "v2", "v2"}},
		"a canary by hand": {func(s *guardedSet) {
			s.waits(hold)
			s.refused("is held by Rollout", "patch", theSet, "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":2}}}}`)
		}, stay, []string{"v1", "v1", "v2"}},
		"OnDelete and a lost pod": {func(s *guardedSet) {
			s.waits(hold)
			s.refused("which the strategy OnDelete does not have", "patch", theSet, "--type=merge", "-p", `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`)
			s.Lose(0)
		}, stay, []string{"v2", "v1", "v1"}},
		// The weaker promise: nothing runs that could be kept (docs/concepts.md).
		"scaled to zero and back": {func(s *guardedSet) {
			s.waits(hold)
			s.does("scale", theSet, "--replicas=0")
			s.Runs()
			s.Eventually("the controller has seen it", func(g Gomega) {
				status := s.StatefulSet().Status
				g.Expect(status.CurrentRevision).To(Equal(status.UpdateRevision))
			})
			s.does("scale", theSet, "--replicas=2")
		}, []string{"v2", "v2"}, []string{"v2", "v2"}},
	} {
		for _, guarded := range []bool{true, false} {
			// No comma: kubectl takes one in the path of a file for the next file.
			t.Run(fmt.Sprintf("%s guarded %v", name, guarded), func(t *testing.T) {
				t.Parallel()
				s := openGuarded(t, guarded)
				c.do(s)
				want := c.free
				if guarded {
					want = c.held
				}
				s.Runs(want...)
				s.Stays(fmt.Sprintf("the pods run %v", want), time.Second, func(g Gomega) { g.Expect(s.Versions()).To(Equal(want)) })
				if guarded {
					NewWithT(t).Expect(s.StatefulSet().Labels).To(HaveKeyWithValue(v1alpha1.LabelRollout, cluster.Name))
				}
			})
		}
	}
}

func openGuarded(t *testing.T, guarded bool) *guardedSet {
	t.Helper()
	s := &guardedSet{Ordered: kube.OpenOrdered(t, 3, nil), guarded: guarded}
	if guarded {
		s.PatchSet(belayItself(t), fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelRollout, cluster.Name))
	}
	return s
}

// TestARestartOfAStatefulSetWaits: it is a version, though its image is the same.
func TestARestartOfAStatefulSetWaits(t *testing.T) {
	for _, guarded := range []bool{true, false} {
		t.Run(fmt.Sprintf("guarded: %v", guarded), func(t *testing.T) {
			t.Parallel()
			s := openGuarded(t, guarded)
			s.does("rollout", "restart", theSet)
			if !guarded {
				s.Eventually("every pod is made again", func(g Gomega) { g.Expect(s.Made()).To(Equal(map[string]int{"v1": 6})) })
				return
			}
			s.Stays("no pod is made again", time.Second, func(g Gomega) { g.Expect(s.Made()).To(Equal(map[string]int{"v1": 3})) })
		})
	}
}

// TestABypassLetsAStatefulSetRoll: by the command that the refusal prints, as it is printed.
func TestABypassLetsAStatefulSetRoll(t *testing.T) {
	t.Parallel()
	s := openGuarded(t, true)
	s.waits(0)
	refusal, err := s.kubectl("patch", theSet, "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}`)
	_, command, found := strings.Cut(refusal, "in place of WHY: kubectl -n "+s.Namespace+" ")
	if err == nil || !found {
		t.Fatalf("%v: no command in\n%s", err, refusal)
	}
	args := strings.SplitN(strings.TrimSpace(strings.ReplaceAll(command, "WHY", "the ledger is down")), " -p ", 2)
	s.does(append(strings.Fields(args[0]), "-p", strings.Trim(args[1], "'"))...)
	s.Runs("v2", "v2", "v2")
	NewWithT(t).Expect(s.StatefulSet().Annotations).To(HaveKey(v1alpha1.AnnotationBypassBy))
}
