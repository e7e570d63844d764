// Package program builds the commands of this repository for a release, and says
// which modules went into them.
package program

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Platform is what a binary runs on, in Go's words.
type Platform struct{ OS, Arch string }

// String is the platform as OCI writes it, such as linux/arm64.
func (p Platform) String() string { return p.OS + "/" + p.Arch }

// Binary is a built command.
type Binary struct {
	Name     string
	Version  string
	Platform Platform
	Content  []byte
	// Bill is its bill of materials, as the function Bill makes it.
	Bill []byte
}

// File is the name the binary has on its platform.
func (b Binary) File() string {
	if b.Platform.OS == "windows" {
		return b.Name + ".exe"
	}
	return b.Name
}

// Build compiles the package below the folder root that pkg names, such as
// ./cmd/belay-controller. The binary needs no library at run time, and depends on
// nothing but the source, the Go toolchain, the version and the platform: not on the
// folder, the time, or settings of the machine.
func Build(ctx context.Context, root, pkg, version string, platform Platform) (Binary, error) {
	scratch, err := os.MkdirTemp("", "belay-release-")
	if err != nil {
		return Binary{}, err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	out := filepath.Join(scratch, "binary")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", out, pkg)
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Arch,
		"GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off", "GO111MODULE=on", "GOTOOLCHAIN=local")
	if said, err := build.CombinedOutput(); err != nil {
		return Binary{}, fmt.Errorf("build %s for %s: %w\n%s", pkg, platform, err, bytes.TrimSpace(said))
	}
	content, err := os.ReadFile(out)
	if err != nil {
		return Binary{}, err
	}
	return Binary{Name: filepath.Base(strings.TrimSuffix(pkg, "/")), Version: version, Platform: platform, Content: content}, nil
}
