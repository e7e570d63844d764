package main

import (
	"fmt"
	"slices"
	"strings"

	"belay.dev/belay/hack/release/internal/program"
)

// released is a command of this repository that a release holds.
type released struct {
	// name is the folder in cmd, and the name of the binary and its image.
	name string
	// folder is where its source is, if not in cmd.
	folder string
	// about is one line for people.
	about string
	// images are the platforms of its image.
	images []program.Platform
	// variants are images of it that differ in their environment; without any there is
	// one, tagged with the version of the release.
	variants []variant
	// archives are the platforms that it can be downloaded for. A program that people
	// download is a command line on cobra: `completion SHELL` prints the completion for
	// a shell, and `man FOLDER` writes the man pages.
	archives []program.Platform
	// plugin is the subcommand of kubectl that it is, and its name in krew.
	plugin string
}

// variant is an image by its tag, with the environment that its program starts with.
type variant struct {
	tag string
	env []string
}

// programs are all that a release holds. Each must be there: a release without one of
// them fails.
var programs = []released{
	{name: controllerName, about: "Takes new versions of Deployments through step by step", images: servers},
	{name: exampleName, folder: "./hack/shop", about: "A shop to try releases with", images: servers, variants: exampleVersions},
	{name: "belay-comparer", about: "Compares the answers of two versions to the same requests", images: servers},
	{name: "kubectl-belay", about: "See what Belay does and give it commands", images: servers, archives: desktops, plugin: "belay"},
}

// controllerName is the program that install.yaml and the chart run.
const controllerName = "belay-controller"

// exampleName is the program that example.yaml runs.
const exampleName = "shop"

// exampleVersions are the shop's, as docs/guide.md releases them.
var exampleVersions = []variant{
	{tag: "v1", env: []string{"SHOP_VERSION=v1"}},
	{tag: "v2", env: []string{"SHOP_VERSION=v2"}},
	{tag: "v3", env: []string{"SHOP_VERSION=v3", "SHOP_ERROR_RATE=0.05"}},
	{tag: "v4", env: []string{"SHOP_VERSION=v4"}},
}

var (
	servers  = []program.Platform{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"}}
	desktops = append(slices.Clone(servers), program.Platform{OS: "darwin", Arch: "amd64"}, program.Platform{OS: "darwin", Arch: "arm64"}, program.Platform{OS: "windows", Arch: "amd64"})
)

// source is the package that it is built from.
func (r released) source() string {
	if r.folder != "" {
		return r.folder
	}
	return "./cmd/" + r.name
}

// platforms are all that the program is built for.
func (r released) platforms() []program.Platform {
	out := slices.Clone(r.images)
	for _, platform := range r.archives {
		if !slices.Contains(out, platform) {
			out = append(out, platform)
		}
	}
	return out
}

// only leaves out the platforms that are not wanted. Nothing wanted means all.
func (r released) only(wanted []program.Platform) released {
	if len(wanted) == 0 {
		return r
	}
	other := func(p program.Platform) bool { return !slices.Contains(wanted, p) }
	r.images = slices.DeleteFunc(slices.Clone(r.images), other)
	r.archives = slices.DeleteFunc(slices.Clone(r.archives), other)
	return r
}

// platformsOf reads a list such as linux/amd64,darwin/arm64. It needs one that images
// are made for: without an image there is nothing to install.
func platformsOf(list string) ([]program.Platform, error) {
	var wanted []program.Platform
	for name := range strings.SplitSeq(list, ",") {
		os, arch, _ := strings.Cut(strings.TrimSpace(name), "/")
		platform := program.Platform{OS: os, Arch: arch}
		if !slices.Contains(desktops, platform) {
			return nil, fmt.Errorf("%q is no platform of a release, want some of %v, separated by commas", name, desktops)
		}
		wanted = append(wanted, platform)
	}
	if !slices.ContainsFunc(wanted, func(p program.Platform) bool { return slices.Contains(servers, p) }) {
		return nil, fmt.Errorf("%q has no platform for images: add some of %v", list, servers)
	}
	return wanted, nil
}

// built is a program with its binaries.
type built struct {
	released
	binaries []program.Binary
}

// on are the binaries for platforms.
func (b built) on(platforms []program.Platform) []program.Binary {
	var out []program.Binary
	for _, binary := range b.binaries {
		if slices.Contains(platforms, binary.Platform) {
			out = append(out, binary)
		}
	}
	return out
}
