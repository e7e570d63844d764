// Package helm installs charts by Helm's own code, as its command line does.
package helm

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
)

// release is what the chart is installed as.
const release = "belay"

// Helm works in one namespace of one cluster.
type Helm struct {
	// Using is Helm's configuration, for what is not here.
	Using *action.Configuration
	// Wait says what an installation, an upgrade and an uninstallation wait for, and
	// Timeout bounds that.
	Wait    kube.WaitStrategy
	Timeout time.Duration

	namespace string
}

// New connects Helm. It reads $KUBECONFIG for nothing but what config does not say, and
// keeps what it learns of the API in the folder cache. It waits for hooks only.
func New(config *rest.Config, namespace, cache string) (Helm, error) {
	flags := genericclioptions.NewConfigFlags(false)
	flags.APIServer, flags.Namespace, flags.CacheDir = &config.Host, &namespace, &cache
	flags.WrapConfigFn = func(*rest.Config) *rest.Config { return rest.CopyConfig(config) }
	using := action.NewConfiguration(action.ConfigurationSetLogger(slog.NewTextHandler(io.Discard, nil)))
	if err := using.Init(flags, namespace, "secrets"); err != nil {
		return Helm{}, err
	}
	return Helm{Using: using, namespace: namespace, Wait: kube.HookOnlyStrategy, Timeout: time.Minute}, nil
}

// Release is `helm install`, and `helm upgrade` with --reset-then-reuse-values.
func (h Helm) Release(ctx context.Context, of *chart.Chart, set map[string]any) error {
	if history, err := action.NewHistory(h.Using).Run(release); err == nil && len(history) > 0 {
		upgrade := action.NewUpgrade(h.Using)
		upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout, upgrade.ResetThenReuseValues = h.namespace, h.Wait, h.Timeout, true
		_, err := upgrade.RunWithContext(ctx, release, of, set)
		return err
	}
	install := action.NewInstall(h.Using)
	install.ReleaseName, install.Namespace, install.CreateNamespace, install.WaitStrategy, install.Timeout = release, h.namespace, true, h.Wait, h.Timeout
	_, err := install.RunWithContext(ctx, of, set)
	return err
}

// Uninstall is `helm uninstall`.
func (h Helm) Uninstall() error {
	uninstall := action.NewUninstall(h.Using)
	uninstall.WaitStrategy, uninstall.Timeout = h.Wait, h.Timeout
	_, err := uninstall.Run(release)
	return err
}

// Load reads the archive of a chart.
func Load(archive []byte) (*chart.Chart, error) { return loader.LoadArchive(bytes.NewReader(archive)) }
