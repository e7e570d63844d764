package main

import (
	"strings"
	"testing"

	"belay.dev/belay/controllers/view"
)

// TestCommandsCanBePasted: each is whole on its line in every width, and before the comment
// has no character that a shell reads, nor has the comment.
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
				lines := strings.Split(text, "\n")
				for _, action := range screen.Actions {
					found := false
					for _, line := range lines {
						command, effect, _ := strings.Cut(line, "#")
						found = found || strings.HasSuffix(strings.TrimSpace(command), "kubectl belay "+action+` checkout -n shop --reason "…"`) && !strings.ContainsAny(effect, ";|&<>$`()'\"")
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
