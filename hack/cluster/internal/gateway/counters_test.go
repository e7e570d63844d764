package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// A request counts for the Service that it was sent to, also when the Gateway answers for it.
func TestRequestsCountByDestination(t *testing.T) {
	c := Choice{Namespace: "shop", Service: "shop-canary"}
	serve := func(h caddyhttp.MiddlewareHandler) {
		_ = c.counted(h, httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), caddyhttp.HandlerFunc(nil))
	}
	serve(answers(func(w http.ResponseWriter) error { w.WriteHeader(http.StatusTeapot); return nil }))
	serve(answers(func(http.ResponseWriter) error { return caddyhttp.Error(http.StatusServiceUnavailable, nil) }))
	for _, code := range []string{"418", "503"} {
		if n := testutil.ToFloat64(requests.WithLabelValues("shop", "shop-canary", code)); n != 1 {
			t.Errorf("%v requests with status %s, want 1", n, code)
		}
	}
}

type answers func(w http.ResponseWriter) error

func (a answers) ServeHTTP(w http.ResponseWriter, _ *http.Request, _ caddyhttp.Handler) error {
	return a(w)
}
