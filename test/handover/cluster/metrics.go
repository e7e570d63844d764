package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// externalMetrics is the API that an adapter of a metric system serves, and
// podMetrics the one of metrics-server.
const (
	externalMetrics = "/apis/external.metrics.k8s.io/v1beta1"
	podMetrics      = "/apis/metrics.k8s.io/v1beta1"
)

// Metrics serve external metrics and the CPU usage of pods to autoscalers, through
// the API server's aggregation layer.
type Metrics struct {
	admin  client.Client
	clock  clock.PassiveClock
	mu     sync.Mutex
	values map[string]int64
	cpu    map[string]int64
}

// SetCPU gives a namespace's pods so many thousandths of a core of work, which its
// ready pods share evenly.
func (m *Metrics) SetCPU(namespace string, milli int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cpu[namespace] = milli
}

// Set gives a namespace's metric its value; an autoscaler finds it at its next look.
func (m *Metrics) Set(namespace, name string, value int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[namespace+"/"+name] = value
}

func startMetrics(ctx context.Context, admin client.Client, clk clock.PassiveClock) (*Metrics, error) {
	m := &Metrics{admin: admin, clock: clk, values: map[string]int64{}, cpu: map[string]int64{}}
	certificate, err := selfSigned(clk.Now())
	if err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	port := int64(listener.Addr().(*net.TCPAddr).Port)
	// The API server reaches an ExternalName without any network of pods.
	service := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}}
	service.Namespace, service.Name = "kube-system", "external-metrics"
	if err := admin.Create(ctx, service); err != nil {
		return nil, err
	}
	for _, group := range []string{"external.metrics.k8s.io", "metrics.k8s.io"} {
		api := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1beta1." + group},
			"spec": map[string]any{"group": group, "version": "v1beta1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
				"insecureSkipTLSVerify": true, "service": map[string]any{"namespace": service.Namespace, "name": service.Name, "port": port}}}}
		if err := admin.Create(ctx, api); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// ServeHTTP answers discovery, …/namespaces/NAMESPACE/METRIC for external metrics,
// and …/namespaces/NAMESPACE/pods for the usage of pods.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ours := strings.CutPrefix(r.URL.Path, podMetrics); ours {
		m.servePods(w, r, rest)
		return
	}
	rest, ours := strings.CutPrefix(r.URL.Path, externalMetrics)
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	switch {
	case ours && rest == "":
		answer(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "external.metrics.k8s.io/v1beta1", "resources": []any{
			map[string]any{"name": "load", "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": []string{"get"}}}})
	case ours && len(parts) == 3 && parts[0] == "namespaces":
		m.mu.Lock()
		value, known := m.values[parts[1]+"/"+parts[2]]
		m.mu.Unlock()
		items := []any{}
		if known {
			items = append(items, map[string]any{"metricName": parts[2], "metricLabels": map[string]string{}, "timestamp": m.clock.Now().UTC().Format(time.RFC3339), "value": fmt.Sprint(value)})
		}
		answer(w, map[string]any{"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": items})
	default:
		http.NotFound(w, r)
	}
}

func (m *Metrics) servePods(w http.ResponseWriter, r *http.Request, rest string) {
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	switch {
	case rest == "":
		answer(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1", "resources": []any{
			map[string]any{"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": []string{"get", "list"}}}})
	case len(parts) == 3 && parts[0] == "namespaces" && parts[2] == "pods":
		items, err := m.usage(r.Context(), parts[1], r.URL.Query().Get("labelSelector"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, map[string]any{"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": items})
	default:
		http.NotFound(w, r)
	}
}

// usage is what the pods of a selector use: the ready ones the same, others nothing.
func (m *Metrics) usage(ctx context.Context, namespace, selector string) ([]any, error) {
	matching, err := labels.Parse(selector)
	if err != nil {
		return nil, err
	}
	pods := &corev1.PodList{}
	if err := m.admin.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: matching}); err != nil {
		return nil, err
	}
	ready := func(p corev1.Pod) bool {
		return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	}
	serving := int64(0)
	for _, p := range pods.Items {
		if ready(p) {
			serving++
		}
	}
	m.mu.Lock()
	work := m.cpu[namespace]
	m.mu.Unlock()
	items := []any{}
	for _, p := range pods.Items {
		used := int64(0)
		if ready(p) {
			used = work / serving
		}
		items = append(items, map[string]any{"metadata": map[string]any{"name": p.Name, "namespace": namespace, "labels": p.Labels},
			"timestamp": m.clock.Now().UTC().Format(time.RFC3339), "window": "0s",
			"containers": []any{map[string]any{"name": p.Spec.Containers[0].Name, "usage": map[string]string{"cpu": fmt.Sprintf("%dm", used)}}}})
	}
	return items, nil
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func selfSigned(now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, err
}
