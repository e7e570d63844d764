package state

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Lock keeps two commands from changing one cluster at once. The kernel drops
// it when the process ends, however it ends. `waiting` is called once if
// another command holds it.
func (d Dir) Lock(ctx context.Context, waiting func()) (release func(), err error) {
	f, err := os.OpenFile(d.Path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the cluster's lock: %w", err)
	}
	for told := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !told {
			waiting()
			told = true
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("waiting for another cluster command to end: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Locked says whether a command holds the lock now.
func (d Dir) Locked() bool {
	f, err := os.Open(d.Path("lock"))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}
