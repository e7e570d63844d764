package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"belay.dev/belay/hack/cluster/internal/images"
	"belay.dev/belay/hack/cluster/internal/monitoring"
	"belay.dev/belay/hack/cluster/internal/node"
	"belay.dev/belay/hack/cluster/internal/process"
	"belay.dev/belay/hack/cluster/internal/state"
)

func (l *local) startControlPlane(ctx context.Context) error {
	scheduler, err := l.plan.Scheduler()
	if err != nil {
		return err
	}
	registry := process.Spec{Name: "registry", Path: l.dir.Bin("fixtures"), Args: []string{
		"registry", "--dir=" + l.dir.Path("registry"), "--listen=" + strings.Join(l.addresses("registry"), ","),
	}}
	for _, spec := range []process.Spec{registry, l.plan.Etcd(), l.plan.APIServer()} {
		if err := l.ensure(spec); err != nil {
			return err
		}
	}
	if l.cluster.Mode == state.Real {
		// Meanwhile: it needs no API server.
		spec, err := node.Containerd(l.dir, l.registry()+"/pause:1")
		if err == nil {
			err = l.ensure(spec)
		}
		if err != nil {
			return err
		}
	}
	client, err := l.verifyingClient()
	if err != nil {
		return err
	}
	ready := func(ctx context.Context) error { return get(ctx, client, l.plan.Server()+"/readyz") }
	if err := waitFor(ctx, l.table, "kube-apiserver", "the API server to be ready", 90*time.Second, ready); err != nil {
		return err
	}
	l.say("API server ready at %s", l.plan.Server())
	return errors.Join(l.ensure(l.plan.ControllerManager()), l.ensure(scheduler))
}

func (l *local) startNodes(ctx context.Context) error {
	if l.cluster.Mode == state.Kwok {
		return l.startSimulation(ctx)
	}
	relayed := []string{state.ServiceIP + ":443", fmt.Sprintf("%s:%d", state.BridgeIP, l.cluster.Ports["kube-apiserver"])}
	if err := l.ensure(process.Spec{Name: "relay", Path: l.dir.Bin("fixtures"), Args: []string{
		"relay", "--listen=" + strings.Join(relayed, ","), "--target=" + strings.TrimPrefix(l.plan.Server(), "https://"),
	}}); err != nil {
		return err
	}
	push := func(ctx context.Context) error {
		_, err := images.Push(ctx, l.registry(), "pause:1", images.Recipe{Binary: l.dir.Bin("pause")})
		return err
	}
	if err := waitFor(ctx, l.table, "registry", "the image registry to take the sandbox image", 20*time.Second, push); err != nil {
		return err
	}
	socket, err := l.dir.Socket()
	if err != nil {
		return err
	}
	runtime := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return node.WaitRuntime(ctx, socket)
	}
	if err := waitFor(ctx, l.table, "containerd", "containerd to answer", 30*time.Second, runtime); err != nil {
		return err
	}
	spec, err := node.Kubelet(l.dir, l.plan.CA.CertFile("ca"), l.plan.CA.CertFile("kubelet-serving"),
		l.plan.CA.KeyFile("kubelet-serving"), l.cluster.Ports["kubelet"], l.cluster.Ports["kubelet-health"])
	if err != nil {
		return err
	}
	return l.ensure(spec)
}

func (l *local) startAddons(ctx context.Context) error {
	prometheus, err := monitoring.Prometheus(l.dir, l.addresses("prometheus"), l.addresses("gateway")[0])
	if err != nil {
		return err
	}
	if err := l.ensure(prometheus); err != nil {
		return err
	}
	if err := l.applyManifests(ctx); err != nil {
		return err
	}
	return l.ensure(process.Spec{Name: "gateway", Path: l.dir.Bin("fixtures"), Inputs: []string{l.dir.Kubeconfig("gateway")}, Args: []string{
		"gateway", "--kubeconfig=" + l.dir.Kubeconfig("gateway"), "--listen=" + strings.Join(l.addresses("gateway"), ","),
		"--address=" + l.host(),
	}})
}

func (l *local) awaitAll(ctx context.Context) error {
	for _, wait := range []struct {
		child, what string
		limit       time.Duration
		probe       func(context.Context) error
	}{
		{l.nodeProcess(), "every node to be Ready", 90 * time.Second, l.nodesReady},
		{"prometheus", "Prometheus to be ready", 60 * time.Second, func(ctx context.Context) error {
			return get(ctx, http.DefaultClient, l.url("prometheus")+"/-/ready")
		}},
		{"gateway", "the Gateway to be Programmed", 60 * time.Second, func(ctx context.Context) error {
			// The condition alone may be from before a restart.
			if err := get(ctx, http.DefaultClient, l.url("gateway")+"/.belay/ready"); err != nil {
				return err
			}
			_, err := l.kubectl(ctx, "", "wait", "-n", "gateway", "gateway/local", "--for=condition=Programmed", "--timeout=5s")
			return err
		}},
		{"kube-controller-manager", "the default service account", 30 * time.Second, func(ctx context.Context) error {
			_, err := l.kubectl(ctx, "", "get", "serviceaccount", "default")
			return err
		}},
	} {
		if err := waitFor(ctx, l.table, wait.child, wait.what, wait.limit, wait.probe); err != nil {
			return err
		}
		l.say("ready: %s", strings.TrimPrefix(wait.what, "the "))
	}
	return nil
}

func (l *local) nodeProcess() string {
	if l.cluster.Mode == state.Kwok {
		return "kwok"
	}
	return "kubelet"
}

func (l *local) nodesReady(ctx context.Context) error {
	want := 1
	if l.cluster.Mode == state.Kwok {
		want = l.cluster.KwokNodes
	}
	out, err := l.kubectl(ctx, "", "get", "nodes", "-o",
		`jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
	if err != nil {
		return err
	}
	if got := strings.Count(out, "=True"); got < want {
		return fmt.Errorf("%d of %d nodes Ready: %q", got, want, out)
	}
	if l.cluster.Mode == state.Kwok {
		return nil
	}
	// After a restart the Node object still says what the last kubelet said;
	// only a lease renewed by this one is news.
	out, err = l.kubectl(ctx, "", "get", "lease", "-n", "kube-node-lease", state.NodeName, "-o", "jsonpath={.spec.renewTime}")
	if err != nil {
		return err
	}
	renewed, err := time.Parse(time.RFC3339Nano, out)
	if err != nil {
		return fmt.Errorf("read the node's lease: %w", err)
	}
	if started := l.table.Started("kubelet"); renewed.Before(started) {
		return fmt.Errorf("the kubelet started at %s has not reported yet", started.Format(time.TimeOnly))
	}
	return nil
}

// verifyingClient trusts the cluster's CA and nothing else.
func (l *local) verifyingClient() (*http.Client, error) {
	raw, err := os.ReadFile(l.plan.CA.CertFile("ca"))
	if err != nil {
		return nil, fmt.Errorf("read the cluster's CA: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(raw)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: 5 * time.Second}, nil
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 2048))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
