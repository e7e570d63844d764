package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// Build compiles a command of this repository without libc and returns its path.
func (s *Stage) Build(ctx context.Context, pkg string) (string, error) {
	binary := filepath.Join(s.Root, "bin", filepath.Base(pkg))
	command := s.command(ctx, "go", "build", "-ldflags=-s -w", "-o", binary, pkg)
	command.Env = append(command.Env, "CGO_ENABLED=0")
	command.Stdout, command.Stderr = s.log, s.log
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	return binary, nil
}

// Push packs a binary and its environment into an image, and returns the
// reference with its digest.
func (s *Stage) Push(ctx context.Context, image, binary string, env ...string) (string, error) {
	args := []string{"-C", "hack/cluster", "run", ".", "image", "--registry", s.Addresses.Registry, "--name", image, "--binary", binary}
	for _, pair := range env {
		args = append(args, "--env", pair)
	}
	return s.output(ctx, "go", args...)
}

// Install builds Belay from this repository and installs config/default. It
// returns when the policies, the CRDs and the controller are there.
func (s *Stage) Install(ctx context.Context) error {
	binary, err := s.Build(ctx, "./cmd/belay-controller")
	if err != nil {
		return err
	}
	image, err := s.Push(ctx, "belay-controller:dev", binary)
	if err != nil {
		return err
	}
	manifests, err := s.output(ctx, "kubectl", "kustomize", "config/default")
	if err != nil {
		return err
	}
	manifests = strings.Replace(manifests, "image: belay-controller\n", "image: "+image+"\n", 1)
	if err := s.applyGuarded(ctx, manifests); err != nil {
		return err
	}
	source := strings.ReplaceAll(sourceManifest, "PROMETHEUS", s.Addresses.Prometheus)
	return errors.Join(
		s.kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "crd", "-l", "app.kubernetes.io/part-of=belay"),
		s.Apply(ctx, source),
		s.kubectl(ctx, "-n", "belay", "rollout", "status", "deployment/belay-controller", "--timeout=90s"),
	)
}

// guardSettles bounds how long an API server that has just started may take to
// find the Rollouts that the guard's policies look at. Until then it refuses
// updates of Deployments, as the guard asks of it.
const guardSettles = time.Minute

func (s *Stage) applyGuarded(ctx context.Context, manifests string) error {
	ctx, cancel := context.WithTimeout(ctx, guardSettles)
	defer cancel()
	var refused error
	err := wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		err := s.Apply(ctx, manifests)
		if err != nil && strings.Contains(err.Error(), "failed to find resource referenced by paramKind") {
			refused = err
			return false, nil
		}
		return err == nil, err
	})
	if err != nil && refused != nil {
		return fmt.Errorf("the guard's policies did not find their Rollouts within %s: %w", guardSettles, refused)
	}
	return err
}

const sourceManifest = `apiVersion: belay.dev/v1alpha1
kind: MetricSource
metadata: {name: default}
spec:
  address: PROMETHEUS
  scrapeInterval: 5s
`

// Installed reports whether Belay was there before.
func (s *Stage) Installed(ctx context.Context) (bool, error) {
	err := s.Client.List(ctx, &v1alpha1.RolloutList{}, client.Limit(1))
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Uninstall removes Belay. Its Rollouts must be gone: they could not be
// released without it.
func (s *Stage) Uninstall(ctx context.Context) error {
	return s.kubectl(ctx, "delete", "--ignore-not-found", "--wait=true", "--timeout=90s", "-k", "config/default")
}

// Apply server-side applies manifests, and is quiet when it works.
func (s *Stage) Apply(ctx context.Context, manifests string) error {
	command := s.command(ctx, "kubectl", "apply", "--server-side", "--force-conflicts", "--field-manager=stage", "-f", "-")
	command.Stdin = strings.NewReader(manifests)
	return quiet(command)
}

// Scale sets the size of the controller's Deployment and waits until it is so.
func (s *Stage) Scale(ctx context.Context, replicas int) error {
	if err := s.kubectl(ctx, "-n", "belay", "scale", "deployment/belay-controller", fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		return err
	}
	if replicas > 0 {
		return s.kubectl(ctx, "-n", "belay", "rollout", "status", "deployment/belay-controller", "--timeout=90s")
	}
	return s.kubectl(ctx, "-n", "belay", "wait", "--for=delete", "pod", "-l", "app=belay-controller", "--timeout=90s")
}

// Logs are the controller's, of all replicas.
func (s *Stage) Logs(ctx context.Context) (string, error) {
	return s.output(ctx, "kubectl", "-n", "belay", "logs", "-l", "app=belay-controller", "--tail=200", "--prefix")
}

// Table is what `kubectl get` prints.
func (s *Stage) Table(ctx context.Context, args ...string) (string, error) {
	return s.output(ctx, "kubectl", append([]string{"get"}, args...)...)
}

func (s *Stage) kubectl(ctx context.Context, args ...string) error {
	return quiet(s.command(ctx, "kubectl", args...))
}

// quiet runs a command and shows its output only when it fails.
func quiet(command interface {
	CombinedOutput() ([]byte, error)
	String() string
}) error {
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, bytes.TrimSpace(out))
	}
	return nil
}
