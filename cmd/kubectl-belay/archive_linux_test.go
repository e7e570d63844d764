package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAFolderOfOthersIsReadWithinBounds: pipes and links, as tar unpacks them, sums without end,
// and what hides files from the check.
func TestAFolderOfOthersIsReadWithinBounds(t *testing.T) {
	big := make([]byte, 1<<20)
	for name, c := range map[string]struct {
		change func(folder string, sums []byte) error
		said   string
	}{
		"a pipe": {func(folder string, _ []byte) error {
			path := filepath.Join(folder, fileSums)
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600))
		}, "SHA256SUMS is no regular file"},
		"a link": {func(folder string, _ []byte) error {
			path := filepath.Join(folder, "template.yaml")
			return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path))
		}, "template.yaml is no regular file"},
		"a run that is a link": {func(folder string, _ []byte) error {
			path := filepath.Join(folder, fileRun)
			return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path))
		}, "run.yaml is no regular file"},
		"a file named twice": {func(folder string, sums []byte) error {
			write(t, filepath.Join(folder, "x"), big)
			line := sumOf(big) + "  x\n"
			return os.WriteFile(filepath.Join(folder, fileSums), append(sums, line+line...), 0o600)
		}, "SHA256SUMS names x twice"},
		"too many files": {func(folder string, sums []byte) error {
			for n := range mostSums {
				name := fmt.Sprint("x", n)
				write(t, filepath.Join(folder, name), nil)
				sums = append(sums, sumOf(nil)+"  "+name+"\n"...)
			}
			return os.WriteFile(filepath.Join(folder, fileSums), sums, 0o600)
		}, "more than 100 lines"},
		"a long line before the others": {func(folder string, sums []byte) error {
			write(t, filepath.Join(folder, "decisions.txt"), []byte("it was fine\n"))
			return os.WriteFile(filepath.Join(folder, fileSums), append([]byte(strings.Repeat("0", 70000)+"\n"), sums...), 0o600)
		}, "SHA256SUMS cannot be read after line 0"},
		"a name that ends like run.yaml": {func(folder string, _ []byte) error {
			write(t, filepath.Join(folder, "a  run.yaml"), nil)
			return os.WriteFile(filepath.Join(folder, fileSums), []byte(sumOf(nil)+"  a  run.yaml\n"), 0o600)
		}, "has no sum of run.yaml"},
		"aliases": {func(folder string, _ []byte) error {
			return os.WriteFile(filepath.Join(folder, fileRun), []byte("a: &a x\nb: *a\n"), 0o600)
		}, "it has a YAML alias"},
		"nothing": {func(folder string, _ []byte) error { return os.WriteFile(filepath.Join(folder, fileRun), nil, 0o600) }, "it is empty"},
	} {
		folder := exportedTo(t, "rolled-back")
		sums, err := os.ReadFile(filepath.Join(folder, fileSums))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.change(folder, sums); err != nil {
			t.Fatal(err)
		}
		// What cannot be read is an error; what was read and is not as recorded is an answer.
		want := exitError
		if strings.Contains(c.said, "SUMS") && !strings.HasSuffix(c.said, "regular file") || c.said == "more than 100 lines" || strings.HasPrefix(c.said, "has no sum") {
			want = exitNo
		}
		if said, code := offline(t, "", "verify", folder); code != want || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", name, code, want, c.said, said)
		}
	}
}

// TestAPipeIsWaitedForOnlyUntilTheCommandIsCancelled: kubectl belay verify ./pipe, and Ctrl-C.
func TestAPipeIsWaitedForOnlyUntilTheCommandIsCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readRecords(ctx, path); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if w, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		_ = w.Close() // The read that was left behind ends.
	}
}
