package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// MetricsPath answers with the counters of requests by destination. No route can take it.
const MetricsPath = "/.belay/metrics"

// Counters of the process: a reload keeps them.
var (
	registry = prometheus.NewRegistry()
	requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gateway_requests_total", Help: "Requests by the Service that they were sent to, and the status of the answer.",
	}, []string{"destination_namespace", "destination_service", "code"})
	durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "gateway_request_duration_seconds", Help: "Time until the answer ended.", Buckets: prometheus.DefBuckets,
	}, []string{"destination_namespace", "destination_service"})
	metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
)

func init() { registry.MustRegister(requests, durations) }

// counted serves a request by a choice's handler and counts it, also when the Gateway answers
// in place of the backend.
func (c *Choice) counted(handler caddyhttp.MiddlewareHandler, w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	began, recorder := time.Now(), caddyhttp.NewResponseRecorder(w, nil, nil)
	err := handler.ServeHTTP(recorder, r, next)
	status := recorder.Status()
	var failed caddyhttp.HandlerError
	switch {
	case errors.As(err, &failed):
		status = failed.StatusCode
	case err != nil:
		status = http.StatusInternalServerError
	case status == 0:
		status = http.StatusOK
	}
	requests.WithLabelValues(c.Namespace, c.Service, strconv.Itoa(status)).Inc()
	durations.WithLabelValues(c.Namespace, c.Service).Observe(time.Since(began).Seconds())
	return err
}
