package main

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/validation"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/rollout"
)

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

// requireNoDowngrade asks the API server itself, before anything watches or decides.
func requireNoDowngrade(ctx context.Context, config *rest.Config, namespaces []string) error {
	live, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		return fmt.Errorf("set up a client: %w", err)
	}
	err = rollout.RequireNoDowngrade(ctx, live, namespaces...)
	if meta.IsNoMatchError(err) {
		// Before the first CustomResourceDefinition there is nothing to look for.
		return nil
	}
	return err
}

func checkVersion(server string) error {
	v, err := utilversion.ParseGeneric(server)
	if err != nil {
		return fmt.Errorf("the API server says its version is %.64q: %w", server, err)
	}
	if !v.AtLeast(utilversion.MustParseGeneric(v1alpha1.OldestKubernetes)) {
		return fmt.Errorf("this is Kubernetes %s and Belay needs %s or newer: its guard is a MutatingAdmissionPolicy, stable since 1.36; upgrade the cluster first", v, v1alpha1.OldestKubernetes)
	}
	return nil
}

// leaderLabels say on the lease which version leads. A version that is no value of a label is
// left out: the API server would refuse the lease, and nothing would act.
func leaderLabels(version string) map[string]string {
	if len(validation.IsValidLabelValue(version)) > 0 {
		return nil
	}
	return map[string]string{v1alpha1.LabelVersion: version}
}
