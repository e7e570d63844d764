package state

import (
	"context"
	"net"
	"os"
	"testing"
	"time"
)

func TestPorts(t *testing.T) {
	// On every address, as another program would.
	busy, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	taken := busy.Addr().(*net.TCPAddr).Port

	c := Cluster{Ports: map[string]int{"mine": taken}}
	if got, err := c.Port("mine", true); err != nil || got != taken {
		t.Errorf("a running child's port changed to %d (%v)", got, err)
	}
	moved, err := c.Port("mine", false)
	if err != nil || moved == taken {
		t.Errorf("kept port %d although a stranger has it (%v)", moved, err)
	}
	if again, _ := c.Port("mine", false); again != moved {
		t.Errorf("a free stored port changed from %d to %d", moved, again)
	}
	if other, _ := c.Port("other", false); other == moved {
		t.Errorf("two names share port %d", other)
	}
}

func TestClusterSurvivesACommand(t *testing.T) {
	d := Dir{Root: t.TempDir()}
	if empty, err := d.Load(); err != nil || empty.Mode != "" || empty.Ports == nil {
		t.Fatalf("an absent file gave %+v, %v", empty, err)
	}
	want := Cluster{Mode: Real, IPForward: "0", Ports: map[string]int{"etcd": 1}}
	if err := d.Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.Load()
	if err != nil || got.Mode != Real || got.IPForward != "0" || got.Ports["etcd"] != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWriteFileLeavesEqualContentAlone(t *testing.T) {
	path := t.TempDir() + "/a/b"
	if err := WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); time.Since(info.ModTime()) < 30*time.Minute {
		t.Error("rewrote a file that had this content")
	}
}

func TestLockWaitsAndSaysSo(t *testing.T) {
	d := Dir{Root: t.TempDir()}
	release, err := d.Lock(t.Context(), func() { t.Error("waited for nobody") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	waited := false
	if _, err := d.Lock(ctx, func() { waited = true }); err == nil || !waited {
		t.Errorf("took a held lock (err %v, waited %t)", err, waited)
	}
	release()
	if _, err := d.Lock(t.Context(), func() {}); err != nil {
		t.Errorf("a released lock stayed held: %v", err)
	}
}

func TestLockedWhileACommandHoldsTheLock(t *testing.T) {
	dir := Dir{Root: t.TempDir()}
	if dir.Locked() {
		t.Error("a folder without a lock is locked")
	}
	release, err := dir.Lock(t.Context(), func() {})
	if err != nil {
		t.Fatal(err)
	}
	if !dir.Locked() {
		t.Error("not locked while a command holds the lock")
	}
	release()
	if dir.Locked() {
		t.Error("locked after its release")
	}
}
