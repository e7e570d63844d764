package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// source is what a release is made of. Nothing else changes a digest but the Go
// toolchain and the modules that go.mod pins.
type source struct {
	root string
	// version of the release; for images alone it may be what git calls the revision.
	version string
	// revision is git's, with -dirty behind it when the work tree differs.
	revision string
	// created is the time of the revision, or SOURCE_DATE_EPOCH.
	created time.Time
}

// semver is a version as Go and git tags write it.
var semver = regexp.MustCompile(`^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// sourceOf asks git about the repository in root. Without a version it takes git's
// description of the revision.
func sourceOf(ctx context.Context, root, version string) (source, error) {
	revision, err := git(ctx, root, "rev-parse", "HEAD")
	if err != nil {
		return source{}, err
	}
	changed, err := git(ctx, root, "status", "--porcelain")
	if err != nil {
		return source{}, err
	}
	if changed != "" {
		revision += "-dirty"
	}
	if version == "" {
		if version, err = git(ctx, root, "describe", "--always", "--tags", "--dirty"); err != nil {
			return source{}, err
		}
	}
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		if seconds, err = git(ctx, root, "log", "-1", "--format=%ct"); err != nil {
			return source{}, err
		}
	}
	since, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return source{}, fmt.Errorf("read SOURCE_DATE_EPOCH, want seconds since 1970: %w", err)
	}
	return source{root: root, version: version, revision: revision, created: time.Unix(since, 0).UTC()}, nil
}

// requireRelease refuses what must not be called a release.
func (s source) requireRelease() error {
	switch {
	case !semver.MatchString(s.version):
		return fmt.Errorf("%q is not a version such as v0.1.0 or v0.1.0-rc.1: make release VERSION=v0.1.0", s.version)
	case strings.HasSuffix(s.revision, "-dirty"):
		return errors.New("the work tree has changes that are not committed, so nobody could make this release again: commit or stash them (git status shows them)")
	}
	return nil
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir, command.Stderr = root, os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
