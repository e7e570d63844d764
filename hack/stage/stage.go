// Package stage sets the scene for the demo and the journeys: a real cluster,
// images in its registry, Belay installed in it, and a shop to release.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
)

// Stage is a cluster ready to play on.
type Stage struct {
	// Root of the repository.
	Root string
	// Config and Client reach the API server as its administrator.
	Config *rest.Config
	Client client.Client
	// Addresses of what the cluster offers.
	Addresses Addresses
	// Own is set when Open started the cluster, so that Close stops it.
	Own bool

	environ []string
	log     io.Writer
}

// Addresses say where things are.
type Addresses struct {
	// Prometheus as the controller's pods reach it.
	Prometheus string
	// Gateway as clients on this machine reach it, and its namespace/name.
	Gateway, GatewayName string
	// Registry that this machine pushes to and the nodes pull from.
	Registry string
}

// The environment variables a cluster that already exists is described with.
const (
	envKubeconfig  = "KUBECONFIG"
	envPrometheus  = "BELAY_PROMETHEUS_URL"
	envGateway     = "BELAY_GATEWAY_URL"
	envGatewayName = "BELAY_GATEWAY"
	envRegistry    = "BELAY_REGISTRY"
)

// Open returns the cluster that KUBECONFIG names, or starts the local one. What
// it does goes to log, line by line.
func Open(ctx context.Context, log io.Writer) (*Stage, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	s := &Stage{Root: root, environ: os.Environ(), log: log}
	if os.Getenv(envKubeconfig) == "" {
		if err := s.startLocal(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.connect(); err != nil {
		return nil, s.abandon(ctx, err)
	}
	return s, nil
}

// Environ describes an open stage to another process, which shares it by Join.
func (s *Stage) Environ() []string { return slices.Clone(s.environ) }

// Join returns a stage that another process opened, and closes.
func Join(environ []string, log io.Writer) (*Stage, error) {
	root, err := repository()
	if err != nil {
		return nil, err
	}
	s := &Stage{Root: root, environ: environ, log: log}
	return s, s.connect()
}

// abandon closes what a failed Open had started.
func (s *Stage) abandon(ctx context.Context, err error) error {
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

// Close stops the cluster if Open started it.
func (s *Stage) Close(ctx context.Context) error {
	if !s.Own {
		return nil
	}
	return s.cluster(ctx, "down", "--purge")
}

// Break ends one of the local cluster's processes; Repair starts it again.
func (s *Stage) Break(ctx context.Context, process string) error {
	return s.cluster(ctx, "stop", process)
}

// Repair starts whatever of the local cluster does not run.
func (s *Stage) Repair(ctx context.Context) error {
	return s.cluster(ctx, "up")
}

// Say writes a line of progress.
func (s *Stage) Say(format string, args ...any) {
	fmt.Fprintf(s.log, format+"\n", args...)
}

func (s *Stage) startLocal(ctx context.Context) error {
	s.Own = !answers(ctx, filepath.Join(s.Root, ".cluster", "kubeconfig"))
	if err := s.cluster(ctx, "up"); err != nil {
		return s.abandon(ctx, fmt.Errorf("start the local cluster: %w", err))
	}
	return s.source(filepath.Join(s.Root, ".cluster", "env"))
}

// source takes over the variables that `up` wrote.
func (s *Stage) source(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the cluster's environment: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		assignment, exported := strings.CutPrefix(strings.TrimSpace(line), "export ")
		if name, value, ok := strings.Cut(assignment, "="); ok && exported {
			s.environ = append(s.environ, name+"="+strings.Trim(value, `"`))
		}
	}
	return nil
}

// answers reports whether an API server is there already.
func answers(ctx context.Context, kubeconfig string) bool {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return false
	}
	config.Timeout = 2 * time.Second
	probe, err := rest.UnversionedRESTClientFor(withCodec(config))
	if err != nil {
		return false
	}
	return probe.Get().AbsPath("/readyz").Do(ctx).Error() == nil
}

func withCodec(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	return config
}

func (s *Stage) connect() error {
	s.Addresses = Addresses{
		Prometheus: s.env(envPrometheus), Gateway: s.env(envGateway), GatewayName: s.env(envGatewayName), Registry: s.env(envRegistry),
	}
	if s.Addresses.GatewayName == "" {
		s.Addresses.GatewayName = "gateway/local"
	}
	for name, value := range map[string]string{
		envPrometheus: s.Addresses.Prometheus, envGateway: s.Addresses.Gateway, envRegistry: s.Addresses.Registry,
	} {
		if value == "" {
			return fmt.Errorf("%s is set but %s is not: export %s, %s (namespace/name; default gateway/local), %s and %s to describe the cluster, or unset %s to use a local one",
				envKubeconfig, name, envPrometheus, envGatewayName, envGateway, envRegistry, envKubeconfig)
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.env(envKubeconfig))
	if err != nil {
		return fmt.Errorf("read %s: %w", envKubeconfig, err)
	}
	config.QPS, config.Burst = 50, 100
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), gatewayv1.Install(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	s.Config = config
	// The client's library warns with a stack trace when it has no logger.
	ctrllog.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	s.Client, err = client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	return nil
}

// env is the last value of a variable in the stage's environment.
func (s *Stage) env(name string) string {
	for i := len(s.environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(s.environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// Command runs in the repository's root with the stage's environment.
func (s *Stage) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, s.program(name), args...)
	command.Dir, command.Env = s.Root, s.environ
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 30 * time.Second
	return command
}

// program prefers the local cluster's own binaries: a fresh machine has no
// kubectl, and exec would look it up in this process's PATH.
func (s *Stage) program(name string) string {
	own := filepath.Join(s.env("KUBEBUILDER_ASSETS"), name)
	if _, err := os.Stat(own); err == nil && filepath.IsAbs(own) {
		return own
	}
	return name
}

// cluster runs a command of hack/cluster.
func (s *Stage) cluster(ctx context.Context, args ...string) error {
	command := s.Command(ctx, "go", append([]string{"-C", "hack/cluster", "run", "."}, args...)...)
	command.Stdout, command.Stderr = s.log, s.log
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

func (s *Stage) output(ctx context.Context, name string, args ...string) (string, error) {
	command := s.Command(ctx, name, args...)
	command.Stderr = s.log
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// repository walks up to the module's root.
func repository() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "hack", "cluster", "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", errors.New("run this inside Belay's repository")
		}
	}
}
