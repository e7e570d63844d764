package main

import (
	"os"
	"testing"

	"belay.dev/belay/hack/cluster/internal/state"
)

// TestOnlyASimulatedClusterLeavesTheHostAlone: a purge over live mounts would
// delete what is mounted.
func TestOnlyASimulatedClusterLeavesTheHostAlone(t *testing.T) {
	for content, want := range map[string]bool{
		"":                true, // no file
		`{"mode":"real"}`: true,
		`{"mode":"kwok"}`: false,
		`{"mode":"kwo`:    true,
		`{}`:              true,
	} {
		dir := state.Dir{Root: t.TempDir()}
		if content != "" {
			if err := os.WriteFile(dir.Path("cluster.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cluster, err := dir.Load()
		if got := mayHaveTouchedHost(cluster); got != want {
			t.Errorf("%q (%v): may have touched the host: %v, want %v", content, err, got, want)
		}
	}
}
