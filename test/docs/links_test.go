package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile("(?m)^#{1,6} (.*)$")
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	// dropped is what GitHub leaves out of the anchor of a heading.
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are those of a page's headings, as GitHub makes them.
func anchors(page string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		text := strings.ToLower(dropped.ReplaceAllString(m[1], ""))
		out[strings.ReplaceAll(text, " ", "-")] = true
	}
	return out
}

// TestLinksLeadSomewhere: each link between pages names a file that is there and, with a #,
// a heading of it. Alerts name their runbook in the same way.
func TestLinksLeadSomewhere(t *testing.T) {
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		return string(raw)
	}
	checked := 0
	check := func(from, target string) {
		path, anchor, _ := strings.Cut(target, "#")
		at := from
		if path != "" {
			at = filepath.Join(filepath.Dir(from), path)
		}
		checked++
		switch _, err := os.Stat(at); {
		case err != nil:
			t.Errorf("%s: %s does not exist", from, target)
		case anchor != "" && filepath.Ext(at) == ".md" && !anchors(read(at))[anchor]:
			t.Errorf("%s: %s has no heading for it", from, target)
		}
	}
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(page), ""), -1) {
			if !strings.Contains(m[1], "://") && !strings.HasPrefix(m[1], "mailto:") {
				check(page, m[1])
			}
		}
	}
	for _, m := range regexp.MustCompile(`runbook: (\S+)`).FindAllStringSubmatch(read(filepath.Join(root, "config", "prometheus", "rules.yaml")), -1) {
		check(filepath.Join(root, "README.md"), m[1])
	}
	if checked < 200 {
		t.Errorf("only %d links", checked)
	}
}
