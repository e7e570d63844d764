package integration

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"belay.dev/belay/api/v1alpha1"
)

// alone runs kubectl belay where no cluster can be reached: without a kubeconfig.
func (p person) alone(args ...string) said {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), p.path, args...)
	command.Env = []string{"HOME=" + p.t.TempDir(), "KUBECONFIG=" + filepath.Join(p.t.TempDir(), "none")}
	var out, errOut bytes.Buffer
	command.Stdout, command.Stderr = &out, &errOut
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		p.t.Error(err)
	}
	return said{out.String(), errOut.String(), command.ProcessState.ExitCode()}
}

// TestCommandLineProves a run that a real API server keeps: it is exported, and checked where
// no cluster is; of a changed copy the decision is named.
func TestCommandLineProves(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "auditor@example.com", "system:masters")
	s.release(better)
	s.until("at 50 %", atWeight)
	me.expect(me.says("verify", "shop"), 0, "  VERIFIED", "candidate and stable version have their revisions")
	me.expect(me.during(s, commanded(s), inPhase(v1alpha1.PhaseRolledBack), "abort", "shop", "--reason", "wrong prices"), 0, "ROLLED BACK to v1")
	run := s.rollout().Status.Run
	me.expect(me.says("replay", run), 0, "THE SAME")

	folder := filepath.Join(t.TempDir(), "evidence")
	me.expect(me.says("export", "shop", "--to", folder), 0, "run "+run+" of Rollout shop", "kubectl belay verify "+folder)
	me.expect(me.says("export", "shop", "--to", folder), 2, "is not empty", "--force")
	me.expect(me.says("export", "shop", "--to", folder, "--force"), 0)
	all := filepath.Join(t.TempDir(), "all")
	me.expect(me.says("export", "shop", "--all", "--to", all), 0, run)
	for _, path := range []string{folder, all, filepath.Join(folder, "run.yaml")} {
		me.expect(me.alone("verify", path), 0, "Run "+run, "  VERIFIED", "ok: ")
		me.expect(me.alone("replay", path), 0, "THE SAME")
	}
	me.expect(me.alone("verify", "shop"), 2, "no cluster is configured")
	for _, said := range []said{me.says("diff"), me.says("diff", run), me.alone("diff", folder)} {
		me.expect(said, 1, "-       image: registry.example/shop:v1", "+       image: registry.example/shop:v2", "Guardrails: not compared")
	}
	me.expect(me.says("diff", run, s.rollout().Status.Candidate.Revision), 0, "Guardrails: no difference")
	me.expect(me.says("diff", run, "0123456789"), 2, "no run in namespace")

	path := filepath.Join(folder, "run.yaml")
	whole, err := os.ReadFile(path)
	s.must(err)
	changed := strings.Replace(string(whole), "wrong prices", "bad weather", 1)
	if changed == string(whole) {
		t.Fatal("the record does not have the reason")
	}
	s.must(os.WriteFile(path, []byte(changed), 0o600))
	me.expect(me.alone("verify", folder), 1, "NOT VERIFIED", "was changed: its content has another hash", "run.yaml was changed since the export", "expected", "found")
	me.expect(me.alone("replay", folder), 1, "recorded is", "bad weather")
}
