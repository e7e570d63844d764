package program

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// Page is a file that a command line writes about itself.
type Page struct {
	Name    string
	Content []byte
}

// shells are those that cobra completes for, with the file that each reads a
// completion from.
var shells = []struct{ shell, file string }{
	{"bash", "%s.bash"}, {"fish", "%s.fish"}, {"powershell", "%s.ps1"}, {"zsh", "_%s"},
}

// Completions asks a command line on cobra for its completions. The binary must run on
// this machine.
func Completions(ctx context.Context, binary Binary, created time.Time) ([]Page, error) {
	var out []Page
	err := run(binary, func(path, folder string) error {
		for _, shell := range shells {
			said, err := ask(ctx, path, folder, created, "completion", shell.shell)
			if err != nil {
				return err
			}
			out = append(out, Page{Name: fmt.Sprintf(shell.file, binary.Name), Content: said})
		}
		return nil
	})
	return out, err
}

// ManPages lets a command line write its man pages, all of section 1 and with the date
// created. The binary must run on this machine.
func ManPages(ctx context.Context, binary Binary, created time.Time) ([]Page, error) {
	var out []Page
	err := run(binary, func(path, folder string) error {
		if _, err := ask(ctx, path, folder, created, "man", folder); err != nil {
			return err
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
			if err != nil {
				return err
			}
			out = append(out, Page{Name: entry.Name(), Content: content})
		}
		if len(out) == 0 {
			return fmt.Errorf("%s man wrote no pages", binary.Name)
		}
		return nil
	})
	return out, err
}

// run puts a binary where it can be executed, with an empty folder to write to.
func run(binary Binary, use func(path, folder string) error) error {
	scratch, err := os.MkdirTemp("", "belay-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	path, folder := filepath.Join(scratch, binary.File()), filepath.Join(scratch, "out")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, binary.Content, 0o755); err != nil {
		return err
	}
	return use(path, folder)
}

// ask runs a binary without anything of the machine's or the person's settings.
func ask(ctx context.Context, path, home string, created time.Time, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, path, args...)
	command.Env = []string{"HOME=" + home, "TZ=UTC", "SOURCE_DATE_EPOCH=" + strconv.FormatInt(created.Unix(), 10)}
	var said, complaint bytes.Buffer
	command.Stdout, command.Stderr = &said, &complaint
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("run %s %v: %w\n%s", filepath.Base(path), args, err, bytes.TrimSpace(complaint.Bytes()))
	}
	return said.Bytes(), nil
}
