package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// Build compiles a command of this repository without libc and returns its path.
func (s *Stage) Build(ctx context.Context, pkg string) (string, error) {
	binary := filepath.Join(s.Root, "bin", filepath.Base(pkg))
	command := s.Command(ctx, "go", "build", "-ldflags=-s -w", "-o", binary, pkg)
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

// Shops builds the shop and pushes an image of it for each version, with the faults that the
// version has. It returns the images by version.
func (s *Stage) Shops(ctx context.Context, versions map[string][]string) (map[string]string, error) {
	binary, err := s.Build(ctx, "./hack/shop")
	if err != nil {
		return nil, err
	}
	images := map[string]string{}
	for version, faults := range versions {
		if _, err := s.Push(ctx, "shop:"+version, binary, append([]string{"SHOP_VERSION=" + version}, faults...)...); err != nil {
			return nil, err
		}
		images[version] = s.Addresses.Registry + "/shop:" + version
	}
	return images, nil
}

// Presence says whether Belay is on a cluster, and who put it there.
type Presence string

// A stage installs where Belay is absent, and anew what a stage had installed.
// It never changes an installation of somebody else's.
const (
	Absent  Presence = "Absent"
	Staged  Presence = "Staged"
	Foreign Presence = "Foreign"
)

// Presence looks for Belay on the cluster.
func (s *Stage) Presence(ctx context.Context) (Presence, error) {
	namespace := &corev1.Namespace{}
	err := s.Client.Get(ctx, types.NamespacedName{Name: home}, namespace)
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("look for namespace %s: %w", home, err)
	}
	taken := err == nil
	if taken && made(namespace) {
		return Staged, nil
	}
	err = s.Client.List(ctx, &v1alpha1.RolloutList{}, client.Limit(1))
	switch {
	case err == nil:
		return Foreign, nil
	case !absent(err):
		return "", fmt.Errorf("look for Rollouts: %w", err)
	case taken:
		return "", fmt.Errorf("namespace %s is there without Belay and without the label %s=true: Belay would be installed into it, and removed with it; use another cluster", home, label)
	}
	return Absent, nil
}

// home is Belay's namespace.
const home = "belay"

// Install builds Belay from this repository and installs config/default. It
// returns when the policies, the CRDs and the controller are there. An
// installation that no stage made is refused.
func (s *Stage) Install(ctx context.Context) error {
	presence, err := s.Presence(ctx)
	if err != nil {
		return err
	}
	if presence == Foreign {
		return errors.New("this cluster has a Belay that no stage put there: installing this repository's would replace it;" +
			" use another cluster, or uninstall it first as docs/install.md says")
	}
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
	if manifests, err = staged(manifests+"\n", image); err != nil {
		return err
	}
	if err := s.applyGuarded(ctx, manifests); err != nil {
		return err
	}
	return errors.Join(
		s.kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "crd", "-l", "app.kubernetes.io/part-of=belay"),
		s.OfferSource(ctx),
		s.kubectl(ctx, "-n", home, "rollout", "status", "deployment/belay-controller", "--timeout=90s"),
	)
}

// staged puts the image into Belay's manifests, and the stage's mark on its
// namespace: in the same apply, so that no crash leaves it without.
func staged(manifests, image string) (string, error) {
	const level = "    pod-security.kubernetes.io/enforce: restricted\n"
	for _, pair := range [][2]string{
		{"image: belay-controller\n", "image: " + image + "\n"},
		{level, level + "    " + label + ": \"true\"\n"},
	} {
		if strings.Count(manifests, pair[0]) != 1 {
			return "", fmt.Errorf("config/default has not exactly one line %q", strings.TrimSpace(pair[0]))
		}
		manifests = strings.Replace(manifests, pair[0], pair[1], 1)
	}
	return manifests, nil
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

// sourceManifest has a name of its own: default may be somebody else's.
const sourceManifest = `apiVersion: belay.dev/v1alpha1
kind: MetricSource
metadata: {name: belay-stage}
spec:
  address: PROMETHEUS
  scrapeInterval: 5s
`

// OfferSource declares the MetricSource that the shop's Guardrail names.
func (s *Stage) OfferSource(ctx context.Context) error {
	return s.Apply(ctx, strings.ReplaceAll(sourceManifest, "PROMETHEUS", s.Addresses.Prometheus))
}

// RemoveSource removes it again.
func (s *Stage) RemoveSource(ctx context.Context) error {
	return s.kubectl(ctx, "delete", "--ignore-not-found", "metricsource", "belay-stage")
}

// Uninstall removes Belay. Its Rollouts must be gone: they could not be
// released without it.
func (s *Stage) Uninstall(ctx context.Context) error {
	return s.kubectl(ctx, "delete", "--ignore-not-found", "--wait=true", "--timeout=90s", "-k", "config/default")
}

// Apply server-side applies manifests, and is quiet when it works.
func (s *Stage) Apply(ctx context.Context, manifests string) error {
	command := s.Command(ctx, "kubectl", "apply", "--server-side", "--force-conflicts", "--field-manager=stage", "-f", "-")
	command.Stdin = strings.NewReader(manifests)
	return quiet(command)
}

// Scale sets the size of the controller's Deployment and waits until it is so.
func (s *Stage) Scale(ctx context.Context, replicas int) error {
	if err := s.kubectl(ctx, "-n", home, "scale", "deployment/belay-controller", fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		return err
	}
	if replicas > 0 {
		return s.kubectl(ctx, "-n", home, "rollout", "status", "deployment/belay-controller", "--timeout=90s")
	}
	return s.kubectl(ctx, "-n", home, "wait", "--for=delete", "pod", "-l", "app=belay-controller", "--timeout=90s")
}

// Logs are the controller's, of all replicas.
func (s *Stage) Logs(ctx context.Context) (string, error) {
	return s.output(ctx, "kubectl", "-n", home, "logs", "-l", "app=belay-controller", "--tail=200", "--prefix")
}

// Run runs a program that writes for people.
func (s *Stage) Run(ctx context.Context, to io.Writer, path string, args ...string) error {
	command := s.Command(ctx, path, args...)
	command.Stdout, command.Stderr = to, to
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

func (s *Stage) kubectl(ctx context.Context, args ...string) error {
	return quiet(s.Command(ctx, "kubectl", args...))
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
