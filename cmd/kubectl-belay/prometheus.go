package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// metricsFlags say where past data or names of metrics are read from, by this program itself.
type metricsFlags struct {
	// token is what tokenFile has. It is read once: a pipe is empty the second time.
	token string

	address, tokenFile string
	headers            map[string]string
	interval           time.Duration
	// usually is the interval where none is given and none can be found out; 0 is an error.
	usually time.Duration
	labels  v1alpha1.MetricSourceLabels
}

func (m *metricsFlags) add(to *cobra.Command) {
	flags := to.Flags()
	flags.StringVar(&m.address, "prometheus", "", "URL of Prometheus, or of what speaks its API, as this machine reaches it: http://localhost:9090 after kubectl port-forward")
	flags.StringVar(&m.tokenFile, "prometheus-token-file", "", "file with a bearer token for it")
	flags.StringToStringVar(&m.headers, "prometheus-header", nil, "NAME=VALUE to send with each query, such as X-Scope-OrgID=shop")
	flags.DurationVar(&m.interval, "scrape-interval", 0, "how often it scrapes the pods; found out when it is left out")
	flags.StringVar(&m.labels.Namespace, "namespace-label", "namespace", "label of its series for the pod's namespace")
	flags.StringVar(&m.labels.Pod, "pod-label", "pod", "label of its series for the pod's name")
}

// check says what is wrong with what was given, without a connection, and reads the token.
func (m *metricsFlags) check() error {
	if m.address == "" {
		return errors.New("--prometheus is missing: give the URL of Prometheus, such as http://localhost:9090 after kubectl port-forward")
	}
	if u, err := url.Parse(m.address); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("--prometheus is %q, and has to be a URL such as http://localhost:9090", m.address)
	}
	if m.interval != 0 && m.interval < time.Second {
		return fmt.Errorf("--scrape-interval is %s, at least 1s is needed", m.interval)
	}
	if m.tokenFile == "" {
		return nil
	}
	token, err := os.ReadFile(m.tokenFile)
	if err != nil {
		return fmt.Errorf("--prometheus-token-file cannot be read: %w", err)
	}
	if m.token = strings.TrimSpace(string(token)); m.token == "" {
		return fmt.Errorf("--prometheus-token-file %s is empty: it has to have a bearer token", m.tokenFile)
	}
	return nil
}

// open connects to what was checked, and finds the scrape interval out where it is not given.
func (m *metricsFlags) open(ctx context.Context, now func() time.Time) (*prometheus.Client, error) {
	client, err := m.client(max(m.interval, time.Minute))
	if err != nil {
		return nil, err
	}
	if m.interval == 0 {
		if m.interval, err = client.Interval(ctx, now); err != nil {
			return nil, fmt.Errorf("find out the scrape interval of %s: %w", m.address, err)
		}
		if m.interval == 0 {
			m.interval = m.usually
		}
		if m.interval == 0 {
			return nil, fmt.Errorf("the scrape interval of %s cannot be found out, because it has no series up with the label %s that is a minute old: give --scrape-interval or --pod-label, or try again in a minute", m.address, m.labels.Pod)
		}
	}
	return m.client(m.interval)
}

func (m *metricsFlags) client(interval time.Duration) (*prometheus.Client, error) {
	spec := v1alpha1.MetricSourceSpec{Address: m.address, ScrapeInterval: metav1.Duration{Duration: interval}, Labels: m.labels,
		Limits: v1alpha1.MetricSourceLimits{Timeout: metav1.Duration{Duration: time.Minute}, Series: 50_000, Bytes: 64 << 20, InFlight: 1}}
	for name, value := range m.headers {
		spec.Headers = append(spec.Headers, v1alpha1.Header{Name: name, Value: value})
	}
	if m.tokenFile != "" {
		spec.Auth = &v1alpha1.MetricSourceAuth{Authorization: &v1alpha1.Authorization{Type: "Bearer"}}
	}
	return prometheus.NewClient(spec, func(v1alpha1.SecretKeyRef) (string, error) { return m.token, nil })
}
