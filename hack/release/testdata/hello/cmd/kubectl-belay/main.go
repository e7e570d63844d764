// Command kubectl-belay stands in for the real one. It answers what a release asks a
// command line for.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

var version = "unset"

func main() {
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "completion":
		fmt.Println("completion for", args[1])
	case len(args) == 2 && args[0] == "man":
		page := fmt.Sprintln("version", version, "of", os.Getenv("SOURCE_DATE_EPOCH"), os.Getenv("LANG"))
		if err := os.WriteFile(filepath.Join(args[1], "kubectl-belay.1"), []byte(page), 0o644); err != nil {
			panic(err)
		}
	default:
		fmt.Println("version", version)
	}
}
