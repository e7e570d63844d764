package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // reverse_proxy, headers, matchers
)

const (
	// ReadyPath answers 200 once a configuration is loaded. No route can take it.
	ReadyPath = "/.belay/ready"
	// drainLimit is how long a replaced configuration may finish its requests.
	drainLimit = 60 * time.Second
	serverName = "local"
)

// Front owns the listening sockets for as long as the process lives and hands
// each request to the Caddy server of the newest configuration.
//
// Caddy's own reload opens a second listening socket and closes the first; on
// Linux that resets connections the kernel had queued on it, and idle
// keep-alive connections are closed under their clients. A gateway that drops
// requests when weights change could not be told from a bad release, so Caddy
// never listens here: it is provisioned, used, drained and cleaned up.
type Front struct {
	base    caddy.Context
	current atomic.Pointer[generation]
}

// NewFront starts Caddy without any server.
func NewFront() (*Front, error) {
	persist := false
	err := caddy.Run(&caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &persist}},
		// Loaded here, because whoever loads the shared TLS app first owns its life.
		AppsRaw: caddy.ModuleMap{"tls": json.RawMessage(`{}`)},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{
			"default": {BaseLog: caddy.BaseLog{Level: "WARN"}},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("start Caddy: %w", err)
	}
	return &Front{base: caddy.ActiveContext()}, nil
}

// Load provisions the routes and sends every later request through them. When
// it returns nil they are in force.
func (f *Front) Load(routes []json.RawMessage) error {
	app, err := json.Marshal(map[string]any{
		"servers": map[string]any{serverName: map[string]any{
			"routes": routes, "automatic_https": map[string]any{"disable": true},
		}},
	})
	if err != nil {
		return fmt.Errorf("encode the routes: %w", err)
	}
	ctx, cancel := caddy.NewContext(f.base)
	module, err := ctx.LoadModuleByID("http", app)
	if err != nil {
		cancel()
		return fmt.Errorf("load the routes into Caddy: %w", err)
	}
	server := module.(*caddyhttp.App).Servers[serverName]
	old := f.current.Swap(&generation{server: server, cancel: cancel, idle: make(chan struct{})})
	if old != nil {
		go old.retire(drainLimit)
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for {
		g := f.current.Load()
		switch {
		case g == nil:
			http.Error(w, "the Gateway has no configuration yet", http.StatusServiceUnavailable)
			return
		case r.URL.Path == ReadyPath:
			w.WriteHeader(http.StatusOK)
			return
		case r.URL.Path == MetricsPath:
			metrics.ServeHTTP(w, r)
			return
		case g.enter():
			defer g.leave()
			g.server.ServeHTTP(w, r)
			return
		}
		// Replaced between the load and the entry: the newer one is there now.
	}
}

// generation is one loaded configuration and the requests inside it.
type generation struct {
	server *caddyhttp.Server
	cancel context.CancelFunc

	mu      sync.Mutex
	inside  int
	retired bool
	idle    chan struct{} // closed when retired and empty
}

func (g *generation) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired {
		return false
	}
	g.inside++
	return true
}

func (g *generation) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.retired && g.inside == 0 {
		close(g.idle)
	}
}

func (g *generation) retire(limit time.Duration) {
	g.mu.Lock()
	g.retired = true
	if g.inside == 0 {
		close(g.idle)
	}
	g.mu.Unlock()
	select {
	case <-g.idle:
	case <-time.After(limit):
	}
	g.cancel()
}
