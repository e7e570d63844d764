// Command release makes everything of a release into a folder, and publishes nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"belay.dev/belay/hack/release/internal/image"
)

const usage = `Makes what Belay is installed from:

  release images  [-version V] [-out DIR]                   images alone, as OCI layouts
  release all      -version V  [-out DIR] [-registry PATH]  images, install.yaml, Helm chart, example, archives with completions
                                                            and man pages, krew manifest, bills of materials, checksums
  release push     -registry PATH [-out DIR]                copy the images in DIR to a registry, with their bills of materials

`

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	root := flags.String("root", ".", "the repository")
	out := flags.String("out", "dist", "the folder that images and all write to, and that push reads")
	version := flags.String("version", "", "the version, such as v0.1.0")
	registry := flags.String("registry", defaultRegistry, "where the images will be pulled from: a host and a path, without the image's name")
	downloads := flags.String("downloads", defaultDownloads, "where the archives will be downloaded from: an address, below which each version has a folder")
	platforms := flags.String("platforms", "", "make only what runs on these, such as linux/amd64,darwin/arm64: quicker, for a trial; the image has another digest than that of all platforms")
	if len(args) == 0 {
		flags.Usage()
		return flag.ErrHelp
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "images", "all":
		from, err := sourceOf(ctx, *root, *version)
		if err != nil {
			return err
		}
		made := release{source: from, registry: strings.TrimSuffix(*registry, "/"), downloadsAt: strings.TrimSuffix(*downloads, "/"), out: *out, say: os.Stdout}
		if *platforms != "" {
			if made.only, err = platformsOf(*platforms); err != nil {
				return err
			}
		}
		if args[0] == "images" {
			return made.makeImages(ctx)
		}
		return made.makeAll(ctx)
	case "push":
		if *registry == "" {
			return errors.New("where to push to is not set: make push REGISTRY=registry.example.com/belay")
		}
		for _, program := range programs {
			if len(program.images) == 0 {
				continue
			}
			pushed, err := image.Push(ctx, filepath.Join(*out, imagesFolder, program.name), strings.TrimSuffix(*registry, "/")+"/"+program.name)
			if err != nil {
				return err
			}
			fmt.Println(strings.Join(pushed, "\n"))
		}
		return nil
	default:
		flags.Usage()
		return fmt.Errorf("there is no command %q", args[0])
	}
}
