package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"belay.dev/belay/hack/release/internal/archive"
	"belay.dev/belay/hack/release/internal/manifests"
	"belay.dev/belay/hack/release/internal/program"
)

// downloads writes an archive for each platform that a program can be downloaded for,
// its completions and man pages, and its krew manifest.
func (r release) downloads(ctx context.Context, of built) error {
	if len(of.archives) == 0 {
		return nil
	}
	shared, err := r.shared(ctx, of)
	if err != nil {
		return err
	}
	var platforms []manifests.KrewPlatform
	for _, binary := range of.on(of.archives) {
		files := append([]archive.File{{Name: binary.File(), Mode: 0o755, Content: binary.Content}}, shared...)
		pack, ending := archive.TarGz, ".tar.gz"
		if binary.Platform.OS == "windows" {
			pack, ending = archive.Zip, ".zip"
		} else if of.plugin != "" {
			files = append(files, completer(of))
		}
		packed, err := pack(files, r.created)
		if err != nil {
			return err
		}
		name := r.file(binary) + ending
		if err := r.write(name, packed); err != nil {
			return err
		}
		sum := sha256.Sum256(packed)
		platforms = append(platforms, manifests.KrewPlatform{
			OS: binary.Platform.OS, Arch: binary.Platform.Arch, Binary: binary.File(),
			URI: r.downloadsAt + "/" + r.version + "/" + name, SHA256: hex.EncodeToString(sum[:]),
		})
	}
	if of.plugin == "" {
		return nil
	}
	manifest, err := manifests.Krew(of.plugin, of.about, r.version, platforms)
	if err != nil {
		return err
	}
	return r.write(filepath.Join(krewFolder, of.plugin+".yaml"), manifest)
}

// shared are the files that the archives for all platforms hold. Completions and man
// pages are in the release by themselves too, for those who make packages.
func (r release) shared(ctx context.Context, of built) ([]archive.File, error) {
	licence, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	files := []archive.File{{Name: "LICENSE", Mode: 0o644, Content: licence}}
	here, err := r.here(ctx, of)
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		pages          func(context.Context, program.Binary, time.Time) ([]program.Page, error)
		inDist, packed string
	}{
		{program.Completions, completionsFolder, completionsFolder},
		{program.ManPages, manFolder, path.Join(manFolder, "man1")},
	} {
		pages, err := part.pages(ctx, here, r.created)
		if err != nil {
			return nil, err
		}
		for _, page := range pages {
			files = append(files, archive.File{Name: path.Join(part.packed, page.Name), Mode: 0o644, Content: page.Content})
			if err := r.write(filepath.Join(part.inDist, page.Name), page.Content); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

// here is the program for the machine that makes the release.
func (r release) here(ctx context.Context, of built) (program.Binary, error) {
	machine := program.Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}
	if binaries := of.on([]program.Platform{machine}); len(binaries) > 0 {
		return binaries[0], nil
	}
	return program.Build(ctx, r.root, of.source(), r.version, machine)
}

// completer is what kubectl runs to complete the arguments of a plugin.
func completer(of built) archive.File {
	script := fmt.Sprintf("#!/bin/sh\nexec %s __complete \"$@\"\n", of.name)
	return archive.File{Name: "kubectl_complete-" + of.plugin, Mode: 0o755, Content: []byte(script)}
}
