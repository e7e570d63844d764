package main

import (
	"fmt"

	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// minimum is the first version of Kubernetes with a stable MutatingAdmissionPolicy, which
// the guard needs.
const minimum = "1.36.0"

func requireVersion(config *rest.Config) error {
	c, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("set up discovery: %w", err)
	}
	info, err := c.ServerVersion()
	if err != nil {
		return fmt.Errorf("ask the API server for its version: %w", err)
	}
	return checkVersion(info.GitVersion)
}

func checkVersion(server string) error {
	v, err := utilversion.ParseGeneric(server)
	if err != nil {
		return fmt.Errorf("the API server says its version is %.64q: %w", server, err)
	}
	if !v.AtLeast(utilversion.MustParseGeneric(minimum)) {
		return fmt.Errorf("this is Kubernetes %s and Belay needs %s or newer: its guard is a MutatingAdmissionPolicy, stable since 1.36; upgrade the cluster first", v, minimum)
	}
	return nil
}
