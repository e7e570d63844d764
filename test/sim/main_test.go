package sim

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain collects garbage only once there are 256 MiB of it: the tests make much,
// and keep little.
func TestMain(m *testing.M) {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(256 << 20)
	os.Exit(m.Run())
}
