package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"belay.dev/belay/hack/cluster/internal/state"
)

// manifests is what the cluster holds beyond Kubernetes itself. Prometheus and
// the Gateway run outside of it, as users with exactly these rights.
const manifests = `apiVersion: v1
kind: Namespace
metadata: {name: gateway}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: belay-prometheus}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: belay-prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: belay-prometheus}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: belay-prometheus}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: belay-gateway}
rules:
- {apiGroups: [""], resources: [services, namespaces], verbs: [get, list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses, gateways, httproutes, grpcroutes, referencegrants]
  verbs: [get, list, watch]
- apiGroups: [gateway.networking.k8s.io]
  resources: [gatewayclasses/status, gateways/status, httproutes/status, grpcroutes/status]
  verbs: [update, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: belay-gateway}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: belay-gateway}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: belay-gateway}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: belay-local}
spec: {controllerName: belay.dev/local-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: local, namespace: gateway}
spec:
  gatewayClassName: belay-local
  listeners:
  - name: http
    protocol: HTTP
    port: %d
    allowedRoutes: {namespaces: {from: All}}
`

// applyManifests installs the Gateway API's standard resources from its own
// module, then what is ours.
func (l *local) applyManifests(ctx context.Context) error {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api")
	list.Dir = l.dir.ModuleRoot
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("find the gateway-api module (try `go -C hack/cluster mod download`): %w", err)
	}
	var documents []string
	files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "standard", "*.yaml"))
	for _, file := range files {
		// Its admission policy only guards against downgrades between channels.
		if strings.Contains(file, "_vap_") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the Gateway API's resources: %w", err)
		}
		documents = append(documents, string(raw))
	}
	if len(documents) == 0 {
		return fmt.Errorf("the gateway-api module at %s holds no config/crd/standard", out)
	}
	crds := strings.Join(documents, "\n---\n")
	own := fmt.Sprintf(manifests, l.cluster.Ports["gateway"])
	// A mark in the cluster itself: it cannot outlive what it speaks of.
	mark := markOf(crds + own)
	if got, err := l.kubectl(ctx, "", "get", "namespace", "gateway", "-o", "jsonpath={.metadata.annotations.belay\\.dev/manifests}"); err == nil && got == mark {
		return nil
	}
	if _, err := l.kubectl(ctx, crds, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		return err
	}
	if _, err := l.kubectl(ctx, "", "wait", "--for=condition=Established", "--timeout=30s",
		"crd/gateways.gateway.networking.k8s.io", "crd/gatewayclasses.gateway.networking.k8s.io",
		"crd/httproutes.gateway.networking.k8s.io", "crd/grpcroutes.gateway.networking.k8s.io"); err != nil {
		return err
	}
	if _, err := l.kubectl(ctx, own, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		return err
	}
	if _, err := l.kubectl(ctx, "", "annotate", "--overwrite", "namespace/gateway", "belay.dev/manifests="+mark); err != nil {
		return err
	}
	l.say("installed the Gateway API, gateway/local and their rights")
	return nil
}

// kubectl runs the built kubectl as the cluster's admin.
func (l *local) kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	return kubectl(ctx, l.dir, stdin, args...)
}

func kubectl(ctx context.Context, dir state.Dir, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, dir.Bin("kubectl"), append([]string{"--kubeconfig=" + dir.Kubeconfig("")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaints.String()))
	}
	return string(out), nil
}
