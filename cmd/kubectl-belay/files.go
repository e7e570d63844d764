package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"belay.dev/belay/controllers/view"
)

// mostBytes is how long a file may be that is read. A run has at most 1.5 MiB in the cluster.
const mostBytes = 32 << 20

// readNamed reads what a person named: a file, a link to one, or a pipe such as <(…), which may
// have to be waited for.
func readNamed(ctx context.Context, path string) ([]byte, error) {
	return within(ctx, func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		return drained(path, f)
	})
}

// readInput reads the standard input.
func (a *app) readInput(ctx context.Context) ([]byte, error) {
	return within(ctx, func() ([]byte, error) { return drained("the standard input", io.NopCloser(a.streams.In)) })
}

// within reads until the end or until the context is done. A read that hangs in the system
// cannot be ended: it is left behind.
func within(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		raw []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		raw, err := read()
		done <- result{raw, err}
	}()
	select {
	case r := <-done:
		return r.raw, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// readFound reads a file that was found in a folder. Pipes and devices are refused, whose
// reading may never end.
func readFound(ctx context.Context, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, irregular(path)
	}
	return readNamed(ctx, path)
}

// readIn reads a file of a folder that others made: nothing outside of it, and no links.
func readIn(ctx context.Context, folder *os.Root, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := folder.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, irregular(name)
	}
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	return drained(name, f)
}

func irregular(path string) error {
	return fmt.Errorf("%s is no regular file, and is not read", view.Text(path, 300))
}

// drained reads to the end, within bounds, and closes.
func drained(name string, r io.ReadCloser) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, mostBytes+1))
	if err == nil && len(raw) > mostBytes {
		err = fmt.Errorf("it is longer than %d MiB", mostBytes>>20)
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", view.Text(name, 300), err)
	}
	return raw, nil
}
