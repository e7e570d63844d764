// Package crd has Belay's CustomResourceDefinitions in it, for programs that check objects
// without a cluster.
package crd

import "embed"

// Files are the definitions, one file each.
//
//go:embed belay.dev_*.yaml
var Files embed.FS
