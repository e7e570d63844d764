package main

import "belay.dev/belay/hack/release/internal/program"

// released is a command of this repository that a release holds.
type released struct {
	// name is the folder in cmd, and the name of the binary and its image.
	name string
	// about is one line for people.
	about string
	// images are the platforms of its image.
	images []program.Platform
	// archives are the platforms that it can be downloaded for.
	archives []program.Platform
}

// programs are all that a release holds. Each must be there: a release without one of
// them fails.
var programs = []released{
	{name: controllerName, about: "Takes new versions of Deployments through step by step", images: servers},
}

// controllerName is the program that install.yaml and the chart run.
const controllerName = "belay-controller"

var servers = []program.Platform{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"}}
