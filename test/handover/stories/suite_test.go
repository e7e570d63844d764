// Package stories runs Belay's reconcilers against Kubernetes' own controllers:
// releases that are disturbed at every point from the push to the end of the
// handover. Each ends as it should, no request goes unanswered, and no pod is made
// twice.
package stories

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/test/handover/cluster"
)

var (
	kube   *cluster.Cluster
	admin  client.Client
	scheme = runtime.NewScheme()
)

// extended runs the whole table; without it a few cells of each row and column.
var extended = os.Getenv("BELAY_EXTENDED") != ""

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stories:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	log := io.Discard
	if path := os.Getenv("BELAY_LOG"); path != "" {
		file, err := os.Create(path)
		if err != nil {
			return 1, err
		}
		log = file
	}
	ctrllog.SetLogger(zap.New(zap.WriteTo(log), zap.UseDevMode(true)))
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return 1, err
		}
	}
	gateway, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		return 1, fmt.Errorf("find Gateway API's definitions: %w", err)
	}
	kube, err = cluster.Start(context.Background(), cluster.Options{Scheme: scheme, Clock: clock.RealClock{}, AutoscalerPeriod: time.Second,
		CRDs: []string{filepath.Join(root, "config", "crd"), filepath.Join(strings.TrimSpace(string(gateway)), "config", "crd", "standard")}})
	if err != nil {
		return 1, err
	}
	admin = kube.Admin
	defer func() {
		if stopErr := kube.Stop(); err == nil {
			err = stopErr
		}
	}()
	if err := install(context.Background()); err != nil {
		return 1, err
	}
	status = m.Run()
	fmt.Fprint(os.Stdout, table.String())
	return status, nil
}

// root of the module.
var root = filepath.Join("..", "..", "..")

// install puts the guard and the roles in place, as config/default would, and
// the source that the guardrails name.
func install(ctx context.Context) error {
	namespace := &corev1.Namespace{}
	namespace.Name = "belay"
	if err := admin.Create(ctx, namespace); err != nil {
		return err
	}
	for _, folder := range []string{"guard", "rbac"} {
		objects, err := read(folder)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if err := admin.Create(ctx, object); err != nil {
				return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
			}
		}
	}
	return admin.Create(ctx, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "belay.dev/v1alpha1", "kind": "MetricSource",
		"metadata": map[string]any{"name": "shops"}, "spec": map[string]any{"address": "https://prometheus.example:9090"}}})
}

// read returns the objects of every YAML file in a folder of config.
func read(folder string) ([]*unstructured.Unstructured, error) {
	files, err := filepath.Glob(filepath.Join(root, "config", folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no manifests in config/%s: %w", folder, err)
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if len(object.Object) > 0 {
				objects = append(objects, object)
			}
		}
	}
	return objects, nil
}
