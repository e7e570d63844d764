package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestContributingListsEveryRoom: CONTRIBUTING.md names every package of the controller,
// and every target of the Makefile.
func TestContributingListsEveryRoom(t *testing.T) {
	raw, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, root := range []string{"analysis", "api", "cmd", "controllers"} {
		err := filepath.WalkDir("../../"+root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			if files, _ := filepath.Glob(filepath.Join(path, "*.go")); len(files) == 0 || strings.HasSuffix(path, "test") {
				return nil
			}
			room := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
			// Adapters and the suite of a port stand in its line.
			parent, name := filepath.Split(room)
			listed := strings.Contains(page, "\n"+room+"/ ")
			if parent == "controllers/traffic/" {
				listed = strings.Contains(page, " "+name+"/ ")
			}
			if !listed {
				t.Errorf("CONTRIBUTING.md does not list %s", room)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(makefile)) {
		target, _, documented := strings.Cut(line, ": ## ")
		name, _, _ := strings.Cut(target, ":")
		if documented && name != "help" && !strings.Contains(page, "`make "+name+"`") {
			t.Errorf("CONTRIBUTING.md does not list make %s", name)
		}
	}
}
