// Command tool has a module in it that a bill of materials lists.
package main

import (
	"fmt"

	digest "github.com/opencontainers/go-digest"
)

var version = "unset"

func main() { fmt.Println(version, digest.FromString(version)) }
