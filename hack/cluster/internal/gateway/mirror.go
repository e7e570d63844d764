package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func init() { caddy.RegisterModule(&Mirror{}) }

const (
	// maxMirroredBody is how much of a body is copied; a request with more is not mirrored.
	maxMirroredBody = 1 << 20
	// copyLimit is how long a copy may take. Nobody waits for it.
	copyLimit = 10 * time.Second
)

// Mirror is a Caddy handler that copies a share of the requests to a backend and drops its
// answers. The request itself goes on as if nothing had been copied.
type Mirror struct {
	// Key names the rule and the filter; the sequence goes on across reloads.
	Key string `json:"key"`
	// Of Total requests, Copied are copied.
	Copied int64  `json:"copied"`
	Total  int64  `json:"total"`
	To     Choice `json:"to"`

	sequence *sequence
	handler  caddyhttp.MiddlewareHandler
}

// CaddyModule implements caddy.Module.
func (*Mirror) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.belay_mirror", New: func() caddy.Module { return new(Mirror) }}
}

// Provision implements caddy.Provisioner.
func (m *Mirror) Provision(ctx caddy.Context) error {
	loaded, err := ctx.LoadModule(&m.To, "Handler")
	if err != nil {
		return fmt.Errorf("load the handler of %s: %w", m.To.Name, err)
	}
	handler, ok := loaded.(caddyhttp.MiddlewareHandler)
	if !ok {
		return fmt.Errorf("the handler of %s is a %T, not a middleware", m.To.Name, loaded)
	}
	m.handler, m.sequence = handler, sequenceFor(m.Key, []string{"copied", "not copied"}, []int64{m.Copied, m.Total - m.Copied})
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (m *Mirror) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if m.sequence.next() != 0 {
		return next.ServeHTTP(w, r)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxMirroredBody+1))
	if err != nil {
		return caddyhttp.Error(http.StatusBadRequest, fmt.Errorf("read the request's body: %w", err))
	}
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	if len(body) <= maxMirroredBody {
		go m.send(copied(r, body))
	}
	return next.ServeHTTP(w, r)
}

// copied is the request with nothing in common with it: Caddy keeps values that change in a
// request's context.
func copied(r *http.Request, body []byte) *http.Request {
	out := r.Clone(context.WithoutCancel(r.Context()))
	out.Body, out.ContentLength, out.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return caddyhttp.PrepareRequest(out, caddy.NewReplacer(), nowhere{}, server)
}

func (m *Mirror) send(r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), copyLimit)
	defer cancel()
	defer func() {
		// The proxy ends an answer that breaks off by this panic, for the HTTP server to recover.
		if broken := recover(); broken != nil && broken != http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
			panic(broken)
		}
	}()
	end := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	// What becomes of a copy concerns nobody but the counters.
	_ = m.To.counted(m.handler, nowhere{}, r.WithContext(ctx), end)
}

// nowhere drops an answer.
type nowhere struct{}

// Header implements http.ResponseWriter.
func (nowhere) Header() http.Header { return http.Header{} }

// Write implements http.ResponseWriter.
func (nowhere) Write(answer []byte) (int, error) { return len(answer), nil }

// WriteHeader implements http.ResponseWriter.
func (nowhere) WriteHeader(int) {}

// mirror is a filter that copies requests.
type mirror struct {
	ref           gatewayv1.BackendRef
	copied, total int64
}

// httpMirrors takes the filters that copy requests out of a rule's.
func httpMirrors(in []gatewayv1.HTTPRouteFilter) (mirrors []mirror, others []gatewayv1.HTTPRouteFilter) {
	for _, f := range in {
		if f.Type != gatewayv1.HTTPRouteFilterRequestMirror || f.RequestMirror == nil {
			others = append(others, f)
			continue
		}
		made := mirror{ref: gatewayv1.BackendRef{BackendObjectReference: f.RequestMirror.BackendRef}, copied: 1, total: 1}
		if percent := f.RequestMirror.Percent; percent != nil {
			made.copied, made.total = int64(*percent), 100
		}
		if share := f.RequestMirror.Fraction; share != nil {
			made.copied, made.total = int64(share.Numerator), 100
			if share.Denominator != nil {
				made.total = int64(*share.Denominator)
			}
		}
		mirrors = append(mirrors, made)
	}
	return mirrors, others
}

// mirrorHandlers come before the handler that answers.
func (w World) mirrorHandlers(key string, r route, rule rule) []any {
	var out []any
	for i, m := range rule.mirrors {
		out = append(out, map[string]any{
			"handler": "belay_mirror", "key": fmt.Sprintf("%s/mirror/%d", key, i), "copied": m.copied, "total": m.total,
			"to": w.choice(fmt.Sprintf("mirror %d:%s", i, m.ref.Name), r, backend{ref: m.ref}, rule.grpc),
		})
	}
	return out
}

var (
	_ caddy.Provisioner           = (*Mirror)(nil)
	_ caddyhttp.MiddlewareHandler = (*Mirror)(nil)
)
