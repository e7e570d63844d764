// Command dashboards writes config/grafana: a dashboard of the fleet, one of a single
// Rollout and one of Belay itself. make generate runs it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("out", "config/grafana", "folder to write to")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	for name, builder := range map[string]*board{"fleet": fleet(), "rollout": rollout(), "belay": itself()} {
		made, err := builder.Build()
		if err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		// Links and annotations name a panel by its number.
		for i := range made.Panels {
			made.Panels[i].Panel.Id = new(uint32(i + 1))
		}
		raw, err := json.MarshalIndent(made, "", "  ")
		if err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name+".json"), append(raw, '\n'), 0o644); err != nil { // #nosec G306 -- to be read by all
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}
