package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// evaluated is the evaluation time of every query in these tests.
var evaluated = time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)

// stopped is a clock that shows it.
func stopped() time.Time { return evaluated }

// defaults are what the API server puts into a MetricSource.
func defaults(address string) v1alpha1.MetricSourceSpec {
	spec := v1alpha1.MetricSourceSpec{
		Address: address,
		Limits:  v1alpha1.MetricSourceLimits{Series: 1000, Bytes: 4 << 20, InFlight: 8},
	}
	spec.ScrapeInterval.Duration = 15 * time.Second
	spec.Limits.Timeout.Duration = 7 * time.Second
	return spec
}

func impatient(spec v1alpha1.MetricSourceSpec) v1alpha1.MetricSourceSpec {
	spec.Limits.Timeout.Duration = 150 * time.Millisecond
	return spec
}

func noSecrets(ref v1alpha1.SecretKeyRef) (string, error) {
	return "", fmt.Errorf("no Secret %q", ref.Name)
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func connect(t *testing.T, spec v1alpha1.MetricSourceSpec) *Client {
	t.Helper()
	c, err := NewClient(spec, noSecrets)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// patience is how long a test waits for what must end long before.
const patience = 30 * time.Second

// ask sends one query, of which a pod's fault is an error, as for a run that has
// this pod. The context it gives ends long after the query timeout:
// that Counts returns before it shows that the client keeps its own deadline.
func ask(t *testing.T, c *Client) (Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := c.Counts(ctx, "", "up", 1, stopped)
	if ctx.Err() != nil {
		t.Fatalf("the query outlived its timeout by far")
	}
	if err == nil && len(answer.Faults) > 0 {
		return answer, answer.Faults[0].Err
	}
	return answer, err
}

func reasonOf(err error) analysis.Reason {
	var known *QueryError
	if errors.As(err, &known) {
		return known.Reason
	}
	return ""
}

// date answers with the clock of the tests instead of the server's own.
func date(w http.ResponseWriter, clock time.Time) {
	w.Header().Set("Date", clock.UTC().Format(http.TimeFormat))
}

// say answers with a body and the right time.
func say(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		date(w, evaluated)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// hang holds a request until its client has gone, which a server only sees once
// it has read the request whole.
func hang(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// vector wraps rows as Prometheus does.
func vector(rows ...string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(rows, ",") + `]}}`
}

// rowOf is one row of an answer; value is written as a JSON string.
func rowOf(pod, k, value string) string {
	return fmt.Sprintf(`{"metric":{"pod":%q,"k":%q},"value":[%d,%q]}`, pod, k, evaluated.Unix(), value)
}

// counters are the three rows of a pod, sampled the given seconds ago.
func counters(pod string, total, bad, secondsAgo int) string {
	return strings.Join([]string{
		rowOf(pod, "total", fmt.Sprint(total)), rowOf(pod, "bad", fmt.Sprint(bad)),
		rowOf(pod, "ts", fmt.Sprintf("%d.25", evaluated.Unix()-int64(secondsAgo))),
	}, ",")
}
