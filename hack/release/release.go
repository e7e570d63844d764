package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"belay.dev/belay/hack/release/internal/archive"
	"belay.dev/belay/hack/release/internal/image"
	"belay.dev/belay/hack/release/internal/manifests"
	"belay.dev/belay/hack/release/internal/program"
)

// defaultRegistry is where install.yaml and the chart pull from when nothing else is
// said.
const defaultRegistry = "registry.belay.dev"

// defaultDownloads is where krew downloads from when nothing else is said.
const defaultDownloads = "https://belay.dev/releases"

// What is where in a release.
const (
	imagesFolder      = "images"
	imagesList        = "images.txt"
	billsFolder       = "sbom"
	completionsFolder = "completions"
	manFolder         = "man"
	krewFolder        = "krew"
	sumsFile          = "SHA256SUMS"
)

// release is made into the folder out.
type release struct {
	source
	// registry is where images will be pulled from, downloadsAt the address below which
	// the files of a version will be.
	registry, downloadsAt string
	// only are the platforms to make it for; empty means all.
	only []program.Platform
	out  string
	say  io.Writer
}

// makeImages builds and packs every program that has an image.
func (r release) makeImages(ctx context.Context) error {
	all, err := r.builds(ctx, func(of released) []program.Platform { return of.images })
	if err != nil {
		return err
	}
	_, err = r.images(all)
	return err
}

// makeAll makes everything of a release. SHA256SUMS comes last: a folder without it is
// not whole.
func (r release) makeAll(ctx context.Context) error {
	if err := r.requireRelease(); err != nil {
		return err
	}
	all, err := r.builds(ctx, released.platforms)
	if err != nil {
		return err
	}
	references, err := r.images(all)
	if err != nil {
		return err
	}
	for _, of := range all {
		if err := r.downloads(ctx, of); err != nil {
			return err
		}
	}
	if err := r.manifests(references[controllerName]); err != nil {
		return err
	}
	if err := r.example(); err != nil {
		return err
	}
	return r.sums()
}

// builds builds every program for the platforms that are asked for.
func (r release) builds(ctx context.Context, platforms func(released) []program.Platform) ([]built, error) {
	if err := requireEmpty(r.out); err != nil {
		return nil, err
	}
	var all []built
	for _, of := range programs {
		of = of.only(r.only)
		binaries, err := r.build(ctx, of, platforms(of))
		if err != nil {
			return nil, err
		}
		all = append(all, built{released: of, binaries: binaries})
	}
	return all, nil
}

// build builds a program for platforms, and writes the bill of materials of each.
func (r release) build(ctx context.Context, of released, platforms []program.Platform) ([]program.Binary, error) {
	var binaries []program.Binary
	for _, platform := range platforms {
		fmt.Fprintf(r.say, "building %s %s for %s\n", of.name, r.version, platform)
		binary, err := program.Build(ctx, r.root, of.source(), r.version, platform)
		if err != nil {
			return nil, err
		}
		if binary.Bill, err = program.Bill(binary, r.created); err != nil {
			return nil, err
		}
		if err := r.write(filepath.Join(billsFolder, r.file(binary)+".cdx.json"), binary.Bill); err != nil {
			return nil, err
		}
		binaries = append(binaries, binary)
	}
	return binaries, nil
}

// images writes an OCI layout for each program with an image, and returns their
// references with digests, by name.
func (r release) images(all []built) (map[string]string, error) {
	references, list := map[string]string{}, ""
	for _, of := range all {
		if len(of.images) == 0 {
			continue
		}
		variants := of.variants
		if len(variants) == 0 {
			variants = []variant{{tag: r.version}}
		}
		var packed []image.Image
		for _, v := range variants {
			one, err := image.Pack(of.on(of.images), image.About{
				Title: of.name, Description: of.about, Version: v.tag, Revision: r.revision, Created: r.created, Env: v.env,
			})
			if err != nil {
				return nil, err
			}
			digest, err := one.Digest()
			if err != nil {
				return nil, err
			}
			packed = append(packed, one)
			references[of.name] = r.registry + "/" + of.name + "@" + digest
			list += r.registry + "/" + of.name + ":" + v.tag + "@" + digest + "\n"
		}
		if err := image.Write(filepath.Join(r.out, imagesFolder, of.name), packed...); err != nil {
			return nil, err
		}
	}
	fmt.Fprint(r.say, list)
	return references, r.write(imagesList, []byte(list))
}

// manifests writes install.yaml and the chart, both with the controller's image.
func (r release) manifests(image string) error {
	install, err := manifests.Install(r.root, image)
	if err != nil {
		return err
	}
	if err := r.write("install.yaml", install); err != nil {
		return err
	}
	chart, err := manifests.Chart(r.root, r.version, image)
	if err != nil {
		return err
	}
	packed, err := archive.TarGz(manifests.Pack(chart), r.created)
	if err != nil {
		return err
	}
	return r.write("belay-"+strings.TrimPrefix(r.version, "v")+".tgz", packed)
}

// example writes the manifests of the shop that docs/guide.md releases. The names of the
// Gateway and of its namespace are the reader's to fill in.
func (r release) example() error {
	raw, err := os.ReadFile(filepath.Join(r.root, filepath.FromSlash(exampleSource)))
	if err != nil {
		return err
	}
	text := string(raw)
	if strings.Count(text, exampleMark) != 1 {
		return fmt.Errorf("%s has not exactly one line %q", exampleSource, strings.TrimSpace(exampleMark))
	}
	// A demo removes what has the mark.
	text = strings.Replace(text, exampleMark, "", 1)
	text = strings.NewReplacer("GATEWAY_NAMESPACE", "GATEWAY_NAMESPACE", "NAMESPACE", exampleName, "HOST", exampleName+".example",
		"IMAGE", r.registry+"/"+exampleName+":"+exampleVersions[0].tag).Replace(text)
	return r.write("example.yaml", []byte(text))
}

// exampleSource is what the demo and the journeys run too, exampleMark the line in it that
// says so on a cluster.
const (
	exampleSource = "hack/stage/manifests/shop.yaml"
	exampleMark   = "  labels: {belay.dev/stage: \"true\"} # what has no such label is never removed\n"
)

// sums writes the checksums of every file but the layouts', which have their own.
func (r release) sums() error {
	var lines []string
	err := filepath.WalkDir(r.out, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(r.out, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == imagesFolder {
				return filepath.SkipDir
			}
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(content), filepath.ToSlash(name)))
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(lines)
	return r.write(sumsFile, []byte(strings.Join(lines, "")))
}

// file is what a program for a platform is called in a release, without an ending.
func (r release) file(binary program.Binary) string {
	return fmt.Sprintf("%s_%s_%s_%s", binary.Name, r.version, binary.Platform.OS, binary.Platform.Arch)
}

func (r release) write(name string, content []byte) error {
	path := filepath.Join(r.out, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// requireEmpty refuses to mix two releases.
func requireEmpty(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: remove it first, so that a release holds nothing of another", folder)
	}
	return err
}
