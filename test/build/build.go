// Package build gives the suites that start an API server what each of them puts
// into it first: the types, the definitions, and Belay's own manifests.
package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/config"
)

// Scheme knows Kubernetes' own types, Gateway API's and Belay's.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// Definitions are the folders with the CRDs of Belay and of Gateway API.
func Definitions() ([]string, error) {
	own, err := folder("crd")
	if err != nil {
		return nil, err
	}
	gateway, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return nil, fmt.Errorf("find Gateway API's definitions: %w", err)
	}
	return []string{own, filepath.Join(strings.TrimSpace(string(gateway)), "config", "crd", "standard")}, nil
}

// Config returns the objects of a folder of config, such as "guard".
func Config(name string) ([]*unstructured.Unstructured, error) {
	path, err := folder(name)
	if err != nil {
		return nil, err
	}
	return Objects(path)
}

// folder finds a folder of config from wherever in the module a test runs.
func folder(name string) (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for root := start; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, "config", name), nil
		}
		if root == filepath.Dir(root) {
			return "", fmt.Errorf("no go.mod in %s or above it", start)
		}
	}
}

// Objects returns the objects of every YAML file in a folder, but of its
// kustomization. A folder without such files is an error.
func Objects(path string) ([]*unstructured.Unstructured, error) {
	objects, err := config.Read(os.DirFS(path), ".")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return objects, nil
}

// Install makes Belay's namespace and puts folders of config in place, as
// config/default would.
func Install(ctx context.Context, c client.Client, folders ...string) error {
	namespace := &corev1.Namespace{}
	namespace.Name = "belay"
	if err := c.Create(ctx, namespace); err != nil {
		return fmt.Errorf("make the namespace belay: %w", err)
	}
	for _, name := range folders {
		objects, err := Config(name)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if err := c.Create(ctx, object); err != nil {
				return fmt.Errorf("create %s %s: %w", object.GetKind(), object.GetName(), err)
			}
		}
	}
	return nil
}
