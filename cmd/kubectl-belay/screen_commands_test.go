package main

import (
	"regexp"
	"strings"
	"testing"

	"belay.dev/belay/controllers/view"
)

// joined is what a shell makes one line of, with the indent behind it.
var joined = regexp.MustCompile(`\s*\\\n\s*`)

// TestCommandsCanBePasted: each is whole in every width, on its line or on lines that a backslash
// joins, which fit; and the comment has no character that a shell reads.
func TestCommandsCanBePasted(t *testing.T) {
	for name := range moments {
		for _, width := range []int{40, 80, 140} {
			in, at := read(t, name), terminal{width: width}
			screen := view.Rollout(in)
			texts := map[string]string{"status": statusScreen(at, screen, in.Now, nil)}
			if in.Run != nil {
				texts["why"] = whyScreen(at, view.Explain(in), in.Now)
			}
			for kind, text := range texts {
				lines := strings.Split(joined.ReplaceAllString(text, " "), "\n")
				for line := range strings.Lines(text) {
					if n := len([]rune(strings.TrimRight(line, "\n"))); n > width && strings.HasSuffix(line, "\\\n") {
						t.Errorf("%s.%s in %d columns has a line of %d, which goes on in another: %s", name, kind, width, n, line)
					}
				}
				for _, action := range screen.Actions {
					verb, flags, _ := strings.Cut(action, " ")
					want, found := strings.Join(strings.Fields("kubectl belay "+verb+" checkout -n shop "+flags+` --reason "…"`), " "), false
					for _, line := range lines {
						command, effect, _ := strings.Cut(line, "#")
						found = found || strings.HasSuffix(strings.TrimSpace(command), want) && !strings.ContainsAny(effect, ";|&<>$`()'\"")
					}
					if !found {
						t.Errorf("%s.%s in %d columns has no whole line for %s:\n%s", name, kind, width, action, text)
					}
					if screen.Effects[action] == "" {
						t.Errorf("%s: %s has no effect", name, action)
					}
				}
			}
		}
	}
}

// TestCommandsOfAStepAreOneLineEverywhere: the screen, the refusal of a line without a step and
// the message of the wait offer the same words in the same order.
func TestCommandsOfAStepAreOneLineEverywhere(t *testing.T) {
	in := awaiting(t)
	text := statusScreen(terminal{width: 400}, view.Rollout(in), in.Now, nil)
	refused := target{}.misses(terminal{}, in.Rollout, "approve")
	line := "kubectl belay approve checkout -n shop --step 1 --revision " + in.Rollout.Status.Candidate.Revision
	if n := strings.Count(text, line); n != 2 || !strings.HasSuffix(refused.Error(), line) {
		t.Errorf("%q stands %d times on the screen, want it in the message and among the commands:\n%s\nrefused is: %v", line, n, text, refused)
	}
}

// TestALineReachesTheClusterOfItsScreen, as the same person, however hostile the names are; and
// repeats no credentials.
func TestALineReachesTheClusterOfItsScreen(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"the cluster of the shell":             {nil, ` --reason "…"`},
		"another context":                      {[]string{"--context", "it's $(prod); x", "--token", "secret"}, ` --context 'it'\''s $(prod); x' --reason "…"`},
		"a name that is wider than the screen": {[]string{"--context", "arn:aws:eks:eu-west-1:123456789012:cluster/payments-production-blue"}, ` --context arn:aws:eks:eu-west-1:123456789012:cluster/payments-production-blue --reason "…"`},
		"all of them": {[]string{"--kubeconfig", "a b", "--cluster", "c", "--user", "u", "--server", "https://c", "--as", "x y", "--as-group", "g", "--as-group", "h"},
			` --kubeconfig 'a b' --cluster c --user u --server https://c --as 'x y' --as-group g --as-group h --reason "…"`},
	} {
		t.Run(name, func(t *testing.T) {
			held, leads := read(t, "held"), strings.TrimSuffix(c.want, ` --reason "…"`)
			revision := held.Rollout.Status.Candidate.Revision
			a, _, _ := testApp()
			root := a.root()
			if err := root.ParseFlags(c.args); err != nil {
				t.Fatal(err)
			}
			for kind, screen := range map[string]func(terminal) string{
				"status": func(at terminal) string {
					in := read(t, "held")
					return statusScreen(at, view.Rollout(in), in.Now, nil)
				},
				"why": func(at terminal) string { in := read(t, "held"); return whyScreen(at, view.Explain(in), in.Now) },
			} {
				at := a.pasted()
				if refused := (target{}).misses(at, held.Rollout, "skip"); !strings.HasSuffix(refused.Error(), "--revision "+revision+leads) {
					t.Errorf("the refusal lacks %q: %v", leads, refused)
				}
				for _, at.width = range []int{80, 400} {
					text := joined.ReplaceAllString(screen(at), " ")
					if !strings.Contains(text, "kubectl belay abort checkout -n shop"+c.want) || kind == "status" && !strings.Contains(text, " --revision "+revision+c.want) || strings.Contains(text, "secret") {
						t.Errorf("%s lacks %q, or has a credential:\n%s", kind, c.want, text)
					}
					for _, verb := range []string{"diff", "show"} {
						if line := "kubectl belay " + verb + " " + held.Run.Name + " -n shop" + leads; kind == "why" && !strings.Contains(text, line) {
							t.Errorf("%s lacks %q:\n%s", kind, line, text)
						}
					}
				}
			}
		})
	}
}
