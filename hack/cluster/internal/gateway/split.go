package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() { caddy.RegisterModule(&Split{}) }

// Split is a Caddy handler that shares requests between backends by weight.
//
// Caddy's own weighted_round_robin chooses among a flat list of upstreams, which
// cannot express two things Gateway API demands: a backend without endpoints
// still receives its share (as 503), and a retry stays with the backend that was
// chosen. It also restarts at every reload and sends each share in one block,
// so that a 5 % backend would hear nothing for 95 requests.
type Split struct {
	// Key names the rule; the sequence goes on where it was when a reload
	// changes only endpoints.
	Key     string   `json:"key"`
	Choices []Choice `json:"choices"`

	sequence *sequence
	chains   []caddyhttp.MiddlewareHandler
}

// Choice is one backend of a rule.
type Choice struct {
	Name string `json:"name"`
	// Namespace and Service are the destination, for counters.
	Namespace string          `json:"namespace"`
	Service   string          `json:"service"`
	Weight    int64           `json:"weight"`
	Handler   json.RawMessage `json:"handle" caddy:"namespace=http.handlers inline_key=handler"`
}

// CaddyModule implements caddy.Module.
func (*Split) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.belay_split", New: func() caddy.Module { return new(Split) }}
}

// Provision implements caddy.Provisioner.
func (s *Split) Provision(ctx caddy.Context) error {
	weights := make([]int64, 0, len(s.Choices))
	names := make([]string, 0, len(s.Choices))
	for i := range s.Choices {
		loaded, err := ctx.LoadModule(&s.Choices[i], "Handler")
		if err != nil {
			return fmt.Errorf("load the handler of %s: %w", s.Choices[i].Name, err)
		}
		handler, ok := loaded.(caddyhttp.MiddlewareHandler)
		if !ok {
			return fmt.Errorf("the handler of %s is a %T, not a middleware", s.Choices[i].Name, loaded)
		}
		s.chains = append(s.chains, handler)
		weights = append(weights, s.Choices[i].Weight)
		names = append(names, s.Choices[i].Name)
	}
	s.sequence = sequenceFor(s.Key, names, weights)
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (s *Split) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	chosen := s.sequence.next()
	if chosen < 0 {
		return caddyhttp.Error(http.StatusInternalServerError, fmt.Errorf("rule %s has no backend with a weight", s.Key))
	}
	return s.Choices[chosen].counted(s.chains[chosen], w, r, next)
}

// sequence is smooth weighted round robin: over any run of total-weight
// requests each backend gets exactly its weight, spread as evenly as possible.
type sequence struct {
	mu      sync.Mutex
	names   []string
	weights []int64
	credit  []int64
	total   int64
}

func newSequence(names []string, weights []int64) *sequence {
	s := &sequence{names: names, weights: weights, credit: make([]int64, len(weights))}
	for _, weight := range weights {
		s.total += weight
	}
	return s
}

// next returns the index of the chosen backend, -1 if no weight is positive.
func (s *sequence) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := -1
	for i, weight := range s.weights {
		if weight <= 0 {
			continue
		}
		s.credit[i] += weight
		if best < 0 || s.credit[i] > s.credit[best] {
			best = i
		}
	}
	if best >= 0 {
		s.credit[best] -= s.total
	}
	return best
}

// sequences outlives configurations. It is the one piece of state that must:
// a reload per endpoint change would otherwise favour the first backend.
var sequences = struct {
	sync.Mutex
	byKey map[string]*sequence
}{byKey: map[string]*sequence{}}

func sequenceFor(key string, names []string, weights []int64) *sequence {
	sequences.Lock()
	defer sequences.Unlock()
	if old := sequences.byKey[key]; old != nil && slices.Equal(old.names, names) && slices.Equal(old.weights, weights) {
		return old
	}
	fresh := newSequence(names, weights)
	sequences.byKey[key] = fresh
	return fresh
}

var (
	_ caddy.Provisioner           = (*Split)(nil)
	_ caddyhttp.MiddlewareHandler = (*Split)(nil)
)
