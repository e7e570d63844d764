package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	chain "belay.dev/belay/controllers/evidence"
	"belay.dev/belay/controllers/view"
)

// addProofs adds what verify and replay say of a run: whole, and changed. Its inputs are
// left out, so the results of replayed decisions are given.
func addProofs(screens map[string]string, at terminal, in view.Input) {
	whole := view.Prove(in.Rollout, in.Run)
	whole.Replay = view.Replay{Recorded: []int32{7}, Rules: 7, Controller: "0.1.0", Same: 27}
	screens["verify"] = verifyScreen(at, whole, "./evidence/checkout-bd87407528-7")
	screens["replay"] = replayScreen(at, whole, "./evidence/checkout-bd87407528-7")
	older := whole
	older.Replay = view.Replay{Recorded: []int32{6, 7}, Rules: 7, Controller: "0.1.0", Same: 20, NotComparable: 7}
	for n := range int32(7) {
		older.Replay.Others = append(older.Replay.Others, view.Replayed{Decision: n + 1, Rule: "StepHolds", Said: "version 6 of the rules decided, this is version 7"})
	}
	screens["replay-older"] = replayScreen(at, older, "the cluster")
	long := whole
	long.Replay = view.Replay{Recorded: []int32{7}, Rules: 7, Controller: "0.1.0", Same: 20, NotComparable: 7}
	_, notKept := chain.Rebuild(nil, &v1alpha1.RecordedInput{Form: v1alpha1.InputDigest})
	for n := range int32(7) {
		long.Replay.Others = append(long.Replay.Others, view.Replayed{Decision: n + 21, Rule: "StepHolds", Said: notKept.Error()})
	}
	screens["replay-long"] = replayScreen(at, long, "the cluster")
	changed := in.Run.DeepCopy()
	changed.Status.Decisions[14].Why = "it was fine"
	broken := view.Prove(in.Rollout, changed)
	broken.Replay = view.Replay{Recorded: []int32{7}, Rules: 7, Controller: "0.1.0", Same: 26, Different: 1,
		Others: []view.Replayed{{Decision: 15, Rule: "SetsWeight", Comparable: true, Said: `why: recorded is "it was fine", replayed it is "step 2 of 4 (quarter): canary ready, weight 5 % to 25 %"`}}}
	screens["verify-broken"] = verifyScreen(at, broken, "run.yaml")
	screens["replay-broken"] = replayScreen(at, broken, "run.yaml")
}

// offline runs a command without any kubeconfig, and returns what it wrote and its exit code.
func offline(t *testing.T, stdin string, args ...string) (string, int) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("HOME", t.TempDir())
	a, out, errOut := testApp()
	a.terminal.width = 400
	a.streams.In = strings.NewReader(stdin)
	root := a.root()
	root.SetArgs(args)
	root.SetErr(errOut)
	code := codeOf(root.ExecuteContext(t.Context()), errOut)
	return out.String() + errOut.String(), code
}

// exportedTo writes the export of a situation's run into a new folder.
func exportedTo(t *testing.T, situation string) string {
	t.Helper()
	in := read(t, situation)
	run, err := json.Marshal(in.Run)
	if err != nil {
		t.Fatal(err)
	}
	rollout, err := json.Marshal(in.Rollout)
	if err != nil {
		t.Fatal(err)
	}
	a, _, _ := testApp()
	files, err := a.exported(run, rollout)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(folder, f.name), f.content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestAnExportIsVerifiedWithoutACluster, and each of its files that is changed is named.
func TestAnExportIsVerifiedWithoutACluster(t *testing.T) {
	for situation := range moments {
		if read(t, situation).Run == nil {
			continue
		}
		if said, code := offline(t, "", "verify", exportedTo(t, situation)); code != exitOK || !strings.Contains(said, "  VERIFIED") {
			t.Errorf("%s: exit code %d:\n%s", situation, code, said)
		}
	}
	folder := exportedTo(t, "rolled-back")
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"README.txt", "SHA256SUMS", "decisions.txt", "guardrail-checkout.yaml", "rollout.yaml", "run.yaml", "template-stable.yaml", "template.yaml"}; !slices.Equal(names, want) {
		t.Errorf("the export has %v, want %v", names, want)
	}
	for _, name := range names {
		path := filepath.Join(folder, name)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, append([]byte("# changed\n"), before...))
		said, code := offline(t, "", "verify", folder)
		if want := name + " was changed since the export"; name != fileSums && (code != exitNo || !strings.Contains(said, want)) {
			t.Errorf("%s: exit code %d, want %q in:\n%s", name, code, want, said)
		}
		if name == fileSums && code != exitNo {
			t.Errorf("changed sums are accepted:\n%s", said)
		}
		write(t, path, before)
	}
	if err := os.Remove(filepath.Join(folder, "template.yaml")); err != nil {
		t.Fatal(err)
	}
	if said, code := offline(t, "", "verify", folder); code != exitNo || !strings.Contains(said, "template.yaml is missing") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAChangedRunIsFoundByName: whatever of it is changed, also without the sums.
func TestAChangedRunIsFoundByName(t *testing.T) {
	for want, change := range map[string]func(*v1alpha1.RolloutRun){
		"record 15 was changed":                              func(r *v1alpha1.RolloutRun) { r.Status.Decisions[14].Why = "it was fine" },
		"record 3 has number 4":                              func(r *v1alpha1.RolloutRun) { r.Status.Decisions = slices.Delete(r.Status.Decisions, 2, 3) },
		"the head is record 27, but the chain ends at 20":    func(r *v1alpha1.RolloutRun) { r.Status.Decisions = r.Status.Decisions[:20] },
		"Guardrail checkout was changed":                     func(r *v1alpha1.RolloutRun) { r.Spec.Guardrails[0].Spec.MinimumSamples = 1 },
		"the template of the candidate was changed":          func(r *v1alpha1.RolloutRun) { r.Spec.Template.Raw = []byte(`{"spec":{"containers":[]}}`) },
		"the template of the stable version was changed":     func(r *v1alpha1.RolloutRun) { r.Spec.Stable.Revision.Revision = "0000000000" },
		"the chain has 27 records but no head":               func(r *v1alpha1.RolloutRun) { r.Status.Head = nil },
		"record 27 is not the one that the head names":       func(r *v1alpha1.RolloutRun) { r.Status.Head.Hash = "sha256:00" },
		"  found      sha256:00":                             func(r *v1alpha1.RolloutRun) { r.Status.Decisions[4].Hash = "sha256:00" },
		"decision 27 (RollbackDone) ended the run otherwise": func(r *v1alpha1.RolloutRun) { r.Status.Outcome = v1alpha1.OutcomePromoted },
		"has a verdict of checkout/":                         func(r *v1alpha1.RolloutRun) { r.Spec.Guardrails = nil },
		"the run pins no guardrail with that trigger": func(r *v1alpha1.RolloutRun) {
			g := &r.Spec.Guardrails[0]
			g.Spec.Triggers = g.Spec.Triggers[:0]
			g.Hash, _ = chain.HashOf(g.Spec)
		},
		"  expected   sha256:57e4c3a97f21be9a747f31ced386": func(r *v1alpha1.RolloutRun) { r.Status.Decisions[1].Prev = "" },
	} {
		run := read(t, "rolled-back").Run
		change(run)
		raw, err := yaml.Marshal(run)
		if err != nil {
			t.Fatal(err)
		}
		said, code := offline(t, string(raw), "verify", "-")
		if code != exitNo || !strings.Contains(said, want) || !strings.Contains(said, "NOT VERIFIED") {
			t.Errorf("exit code %d, want %q in:\n%s", code, want, said)
		}
		if said, code := offline(t, string(raw), "replay", "-"); code != exitNo || !strings.Contains(said, "NOT VERIFIED") {
			t.Errorf("replay: exit code %d:\n%s", code, said)
		}
	}
}

// TestWhatCannotBeVerified is neither whole nor broken.
func TestWhatCannotBeVerified(t *testing.T) {
	run := read(t, "rolled-back").Run
	empty := run.DeepCopy()
	empty.Status.Decisions, empty.Status.Head = nil, nil
	text := func(object any) string {
		raw, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	newer := strings.Replace(text(run), "status:\n", "status:\n  provenance: x\n", 1)
	cut := run.DeepCopy()
	cut.Status.Decisions = cut.Status.Decisions[:20]
	cut.Status.Head = &v1alpha1.ChainHead{Seq: 20, Hash: cut.Status.Decisions[19].Hash}
	for name, c := range map[string]struct {
		args  []string
		stdin string
		code  int
		said  string
	}{
		"no decisions":           {[]string{"verify", "-"}, text(empty), exitUnknown, "NOTHING TO VERIFY"},
		"replay of none":         {[]string{"replay", "-"}, text(empty), exitUnknown, "NOT COMPARABLE"},
		"no inputs":              {[]string{"replay", "-"}, text(run), exitUnknown, "27 not comparable (decision 1: the record does not have the input"},
		"what stays verified":    {[]string{"replay", "-"}, text(run), exitUnknown, "  Verified   chain, guardrails, templates"},
		"a newer run":            {[]string{"verify", "-"}, newer, exitUnknown, `unknown field "provenance"`},
		"no decision again":      {[]string{"verify", "-"}, text(run), exitOK, "  VERIFIED, 27 of 27 decisions not taken again"},
		"what is not hashed":     {[]string{"verify", "-"}, text(run), exitOK, "controller version, author, times, message: a writer of the run"},
		"its head":               {[]string{"verify", "-", "--head", run.Status.Head.Hash}, text(run), exitOK, "decision 27 of 27 has the hash of --head"},
		"an end that was cut":    {[]string{"verify", "-", "--head", run.Status.Head.Hash}, text(cut), exitNo, "its end was removed"},
		"the same, without head": {[]string{"verify", "-"}, text(cut), exitOK, "VERIFIED"},
		"another kind":           {[]string{"verify", "-"}, "apiVersion: v1\nkind: Pod\n", exitError, "has no RolloutRun"},
		"no YAML":                {[]string{"verify", "-"}, "a: [", exitError, "the standard input, from line 1"},
		"nothing there":          {[]string{"verify", "./nothing"}, "", exitError, "no such file"},
		"an empty folder":        {[]string{"verify", t.TempDir()}, "", exitError, "has no run.yaml"},
		"an unknown format":      {[]string{"verify", "-", "-o", "xml"}, "", exitError, "-o json"},
	} {
		if said, code := offline(t, c.stdin, c.args...); code != c.code || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", name, code, c.code, c.said, said)
		}
	}
}

// TestProofsAsJSON: of one run an object, of several a list, and the worst exit code.
func TestProofsAsJSON(t *testing.T) {
	in := read(t, "rolled-back")
	changed := in.Run.DeepCopy()
	changed.Status.Decisions[14].Why = "it was fine"
	raw, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{in.Rollout, in.Run, changed}})
	if err != nil {
		t.Fatal(err)
	}
	said, code := offline(t, string(raw), "verify", "-", "-o", "json")
	var proofs []view.Proof
	if err := json.Unmarshal([]byte(said), &proofs); err != nil || code != exitNo || len(proofs) != 2 {
		t.Fatalf("exit code %d, %v:\n%s", code, err, said)
	}
	if !proofs[0].OK() || proofs[0].Decisions != 27 || proofs[0].Head != in.Run.Status.Head.Hash {
		t.Errorf("the whole one is %+v", proofs[0])
	}
	if c := proofs[1].Checks[0]; c.OK || c.Decision != 15 || c.Found != in.Run.Status.Decisions[14].Hash || c.Expected == "" {
		t.Errorf("the changed one is %+v", c)
	}
}

// TestHostileExports: names lead to no other folder.
func TestHostileExports(t *testing.T) {
	for name, want := range map[string]string{"../../etc/passwd": "_.._etc_passwd", ".hidden": "hidden", "a/b": "a_b", "checkout": "checkout", "Ä\n": "__"} {
		if got := fileName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
	folder := exportedTo(t, "rolled-back")
	write(t, filepath.Join(folder, fileSums), []byte("00  ../../etc/passwd\n"))
	if said, code := offline(t, "", "verify", folder); code != exitNo || !strings.Contains(said, "is no sum of a file in this folder") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	write(t, filepath.Join(folder, fileSums), nil)
	if said, code := offline(t, "", "verify", folder); code != exitNo || !strings.Contains(said, "has no sum of run.yaml") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	for _, word := range []string{"evidence", "a b", "it's", "$(rm)", ""} {
		if got := shellWord(word); (word == "evidence") != (got == word) || strings.Contains(word, "'") && got != `'it'\''s'` {
			t.Errorf("%q is quoted as %s", word, got)
		}
	}
}

func TestANonEmptyFolderIsNotOverwritten(t *testing.T) {
	folder := t.TempDir()
	for _, force := range []bool{false, true} {
		if err := mayWrite(folder, force); err != nil {
			t.Errorf("an empty folder: %v", err)
		}
	}
	write(t, filepath.Join(folder, "mine"), nil)
	if err := mayWrite(folder, false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("a folder with a file: %v", err)
	}
	if err := mayWrite(folder, true); err != nil {
		t.Error(err)
	}
	if err := mayWrite(filepath.Join(folder, "new"), false); err != nil {
		t.Error(err)
	}
}

// TestTheReadmeOfAnExport says what is in it, and what is not.
func TestTheReadmeOfAnExport(t *testing.T) {
	folder := exportedTo(t, "rolled-back")
	readme, err := os.ReadFile(filepath.Join(folder, "README.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Run checkout-bd87407528-7 of Rollout checkout in namespace shop: RolledBack", "No Secret was", "guardrail-checkout.yaml", "kubectl belay verify FOLDER", "app-team@example.com"} {
		if !bytes.Contains(readme, []byte(want)) {
			t.Errorf("want %q in:\n%s", want, readme)
		}
	}
}

// TestNamesOfFilesControlNoTerminal, and neither does JSON, which keeps its value.
func TestNamesOfFilesControlNoTerminal(t *testing.T) {
	top := t.TempDir()
	folder := filepath.Join(top, "run\x1b]0;owned\x07")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	run := read(t, "rolled-back").Run.DeepCopy()
	run.Status.Outcome = "Promoted\u009b31m\u202e"
	raw, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	raw = []byte(escaped(string(raw))) // YAML has no such characters, but escape sequences.
	write(t, filepath.Join(folder, fileRun), raw)
	said, _ := offline(t, "", "verify", top, "-o", "json")
	var proof view.Proof
	if err := json.Unmarshal([]byte(said), &proof); err != nil || proof.Outcome != run.Status.Outcome {
		t.Errorf("the JSON has the outcome %q, %v: %s", proof.Outcome, err, said)
	}
	write(t, filepath.Join(folder, fileRun), append([]byte(`{"unknownField":1,`), raw[1:]...))
	unknown, _ := offline(t, "", "verify", top)
	missing, _ := offline(t, "", "verify", filepath.Join(folder, "no\x1b.yaml"))
	if all := said + unknown + missing; strings.ContainsAny(all, "\x1b\x07\u009b\u202e") {
		t.Errorf("control characters reach the terminal: %q", all)
	}
}
