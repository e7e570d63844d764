package integration

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"belay.dev/belay/api/v1alpha1"
)

// person runs kubectl belay as somebody in a namespace.
type person struct {
	t                       *testing.T
	path, config, namespace string
}

func personIn(t *testing.T, namespace, name string, groups ...string) person {
	t.Helper()
	return personOn(t, environment, namespace, name, groups...)
}

// personOn is a person on an API server of its own.
func personOn(t *testing.T, server *envtest.Environment, namespace, name string, groups ...string) person {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubectl-belay")
	if out, err := exec.Command("go", "build", "-o", path, "belay.dev/belay/cmd/kubectl-belay").CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	return person{t: t, path: path, config: kubeconfigOn(t, server, envtest.User{Name: name, Groups: groups}), namespace: namespace}
}

// kubeconfigOf writes a kubeconfig of a new user, and returns its path.
func kubeconfigOf(t *testing.T, user envtest.User) string {
	t.Helper()
	return kubeconfigOn(t, environment, user)
}

func kubeconfigOn(t *testing.T, server *envtest.Environment, user envtest.User) string {
	t.Helper()
	added, err := server.AddUser(user, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := added.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// said is how a command ended.
type said struct {
	out, err string
	code     int
}

func (p person) says(args ...string) said {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), p.path, append(args, "-n", p.namespace, "--kubeconfig", p.config, "--cache-dir", p.t.TempDir())...)
	var out, errOut bytes.Buffer
	command.Stdout, command.Stderr = &out, &errOut
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		p.t.Error(err)
	}
	return said{out.String(), errOut.String(), command.ProcessState.ExitCode()}
}

// during runs a command while the shop goes on, until both are done. The shop waits until
// the command has written what it writes: else the run could be over before.
func (p person) during(s *shop, written func() bool, reached func(*v1alpha1.Rollout) bool, args ...string) said {
	p.t.Helper()
	var ended said
	end := make(chan struct{})
	go func() {
		defer close(end)
		ended = p.says(args...)
	}()
	over := func() bool {
		select {
		case <-end:
			return true
		default:
			return false
		}
	}
	NewWithT(p.t).Eventually(func() bool { return over() || written() }).
		WithTimeout(3*soon).WithPolling(20*time.Millisecond).Should(BeTrue(), "%v wrote nothing", args)
	s.until(strings.Join(args, " "), func(r *v1alpha1.Rollout) bool { return reached(r) || over() })
	<-end
	return ended
}

// commanded holds once the Rollout has another command than now.
func commanded(s *shop) func() bool {
	before := s.rollout().Annotations[v1alpha1.AnnotationActionToken]
	return func() bool { return s.rollout().Annotations[v1alpha1.AnnotationActionToken] != before }
}

func declares(s *shop, image string) func() bool {
	return func() bool { return s.deployment().Spec.Template.Spec.Containers[0].Image == image }
}

func (p person) expect(got said, code int, words ...string) {
	p.t.Helper()
	if got.code != code {
		p.t.Errorf("exit code %d, want %d:\n%s%s", got.code, code, got.out, got.err)
	}
	for _, w := range words {
		if !strings.Contains(got.out+got.err, w) {
			p.t.Errorf("want %q in:\n%s%s", w, got.out, got.err)
		}
	}
}

// TestCommandLine goes through a release that a person aborts, retries and takes back.
func TestCommandLine(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "oncall@example.com", "system:masters")
	me.expect(me.says("why"), 2, "has had no run yet")
	me.expect(me.says("abort", "shop"), 1, "nothing to abort")

	s.release(better)
	s.until("at 50 %", atWeight)
	me.expect(me.says("list", "-A"), 0, s.namespace, "v1 50 %, v2 50 %", "1/1")
	me.expect(me.says("status"), 0, "PROGRESSING at 50 %", "◐ 50 %", "shop/errors", "1/1 ready", "kubectl belay abort shop -n ")
	me.expect(me.says("status", "rollouts.belay.dev/shop", "-o", "jsonpath={.status.phase}"), 0, "Stepping")
	me.expect(me.says("list", "-o", "name"), 0, "rollout.belay.dev/shop")
	me.expect(me.says("why", "shop"), 0, "IN PROGRESS",
		"Changed    image v1 → v2\n             kubectl belay diff shop-", "-n "+s.namespace+" \\\n               --kubeconfig "+me.config)
	me.expect(me.says("status", "nothing"), 2, `no Rollout "nothing" in namespace`)
	me.expect(me.says("status", "-x"), 2, "unknown shorthand flag")

	me.expect(me.during(s, commanded(s), inPhase(v1alpha1.PhaseRolledBack), "abort", "shop", "--reason", "wrong prices"), 0,
		"Abort of v2 given to Rollout shop", `aborted by oncall@example.com: "wrong prices"`, "Rollout shop: ROLLED BACK to v1")
	r := s.rollout()
	if got := r.Annotations[v1alpha1.AnnotationActionRevision]; got != r.Status.Candidate.Revision {
		t.Errorf("the command was for revision %q, the candidate was %q", got, r.Status.Candidate.Revision)
	}
	// Flux removes what a manager writes whose name begins with kubectl.
	for _, f := range r.ManagedFields {
		if strings.HasPrefix(f.Manager, "kubectl") {
			t.Errorf("field manager %s wrote the command", f.Manager)
		}
	}
	run := r.Status.Run
	for _, about := range []string{"shop", run} {
		me.expect(me.says("why", about), 0, "was ROLLED BACK", "abort", "by oncall@example.com", "wrong prices", "hashes verify",
			"The Deployment still declares v2, and is held", "kubectl belay retry shop -n ")
	}
	me.expect(me.says("log", run), 0, "canary ready, weight 0 % to 50 %", `aborted by oncall@example.com: "wrong prices"`)
	me.expect(me.says("history", "shop"), 0, run, "RolledBack", "abort")
	me.expect(me.says("show", run), 0, "shop/errors  Pass (Healthy)", "hashes: ok")
	me.expect(me.says("wait", "shop"), 10, "RolledBack: ")

	me.expect(me.during(s, commanded(s), atWeight, "retry", "shop", "--reason", "prices are right"), 0, "Retry of v2 given", "Rollout shop: ")
	if last := s.rollout().Status.LastHandledAction; last == nil || last.Action != v1alpha1.ActionRetry || last.By != "oncall@example.com" || last.Refused != "" {
		t.Errorf("the last command is %+v", last)
	}
	pauseAndPromote(s, me)
	me.expect(me.during(s, declares(s, good), ended(better), "rollback", "shop", "--reason", "not right after all"), 0, "v1 is the stable version and serves")
	d := s.deployment()
	if image := d.Spec.Template.Spec.Containers[0].Image; image != good {
		t.Errorf("the Deployment declares %s", image)
	}
	for key, want := range map[string]string{v1alpha1.AnnotationPushedBy: "oncall@example.com (kubectl-belay)", "kubernetes.io/change-cause": "not right after all"} {
		if !strings.Contains(d.Annotations[key], want) {
			t.Errorf("%s is %q, want %q", key, d.Annotations[key], want)
		}
	}
}

// pauseAndPromote is what somebody on call does with a candidate at its weight: nothing of it
// edits the Rollout.
func pauseAndPromote(s *shop, me person) {
	bind(s.t, admin, "cli-oncall", "belay-oncall")
	allowed(s.t, admin, "cli-oncall", "promote", v1alpha1.GroupVersion.Group, "rollouts")
	oncall := me
	oncall.config = kubeconfigOf(s.t, envtest.User{Name: "cli-oncall"})
	isPaused := func(r *v1alpha1.Rollout) bool {
		return r.Status.CommandedPause() != nil && strings.HasPrefix(r.Status.Message, "paused by")
	}
	s.until("at 50 % again", atWeight)
	oncall.expect(oncall.says("resume", "shop"), 1, "nothing to resume")
	oncall.expect(oncall.during(s, commanded(s), isPaused, "pause", "shop", "--reason", "look at the carts"), 0,
		"Pause of v2 given to Rollout shop", `paused by cli-oncall`, "Rollout shop: PAUSED at 50 % by cli-oncall since ", "look at the carts")
	for range 5 {
		s.must(s.look())
	}
	oncall.expect(oncall.says("status", "shop"), 0, "PAUSED at 50 % by cli-oncall since ", "look at the carts", "Next: resume", "kubectl belay resume shop -n ")
	oncall.expect(oncall.says("list"), 0, "paused", "50 %")
	oncall.expect(oncall.says("pause", "shop"), 1, "paused already by cli-oncall")
	oncall.expect(oncall.says("promote", "shop"), 1, "paused by cli-oncall", "kubectl belay resume first")
	if r := s.rollout(); r.Status.Phase != v1alpha1.PhaseStepping || r.Status.Step.Weight.Observed != 50 {
		s.t.Errorf("paused in phase %s at %d %%", r.Status.Phase, r.Status.Step.Weight.Observed)
	}
	oncall.expect(oncall.during(s, commanded(s), func(r *v1alpha1.Rollout) bool { return r.Status.Pause == nil }, "resume", "shop", "--reason", "carts are fine"), 0,
		"Resume of v2 given", `resumed by cli-oncall: "carts are fine"`)
	oncall.expect(oncall.during(s, commanded(s), inPhase(v1alpha1.PhaseBaking), "promote", "shop", "--reason", "carts are fine"), 0,
		"Promote of v2 given", "Rollout shop: BAKING v2")
	oncall.expect(oncall.says("promote", "shop"), 1, "no steps left to end")
	oncall.expect(oncall.says("log", "shop"), 0, "paused by cli-oncall", "resumed by cli-oncall", "is promoted: cli-oncall ended its steps at step 1 of 1")
}

// TestCommandLineTakesAPromotedVersionBack: to the one before it, which returns without steps.
func TestCommandLineTakesAPromotedVersionBack(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "sre@example.com", "system:masters")
	me.expect(me.says("rollback", "shop"), 2, "no version was promoted before v1")
	me.expect(me.says("wait", "shop", "--image", better, "--timeout", "1s"), 14, "Time out after 1s")
	s.release(better)
	me.expect(me.during(s, declares(s, better), ended(better), "wait", "shop", "--image", better), 0, "Promoted: v2 is the stable version and serves")
	me.expect(me.says("abort", "shop"), 1, "kubectl belay rollback goes back to the version before")
	d := s.deployment()
	d.Labels["kustomize.toolkit.fluxcd.io/name"] = "apps"
	s.must(admin.Update(t.Context(), d))
	me.expect(me.during(s, declares(s, good), ended(good), "rollback", "shop", "--reason", "loses carts"), 0, "Warning: the Flux Kustomization apps manages Deployment shop", "declares revision")
	if h := s.until("v1 again", ended(good)).Status.History[0]; h.Outcome != v1alpha1.OutcomePromoted {
		t.Errorf("the rollback ended as %+v", h)
	}
	if got, want := s.deployment().Spec.Template.Labels, map[string]string{"app": "shop"}; !maps.Equal(got, want) {
		t.Errorf("the template has the labels %v, want %v", got, want)
	}
}

// TestCommandLineOfAViewer: who may read Belay's objects alone still gets a screen, which
// says what is missing, and may give no command.
func TestCommandLineOfAViewer(t *testing.T) {
	s := open(t)
	bind(t, admin, "cli-viewer", "belay-view")
	viewer := personIn(t, s.namespace, "cli-viewer")
	allowed(t, admin, "cli-viewer", "list", v1alpha1.GroupVersion.Group, "rollouts")
	viewer.expect(viewer.says("status", "shop"), 0, "STABLE v1", "You may not read Deployments")
	s.release(better)
	s.until("at 50 %", atWeight)
	viewer.expect(viewer.says("abort", "shop"), 2, "Abort was not given", "forbidden")
	if r := s.rollout(); r.Annotations[v1alpha1.AnnotationAction] != "" {
		t.Error("the command was written")
	}
}
