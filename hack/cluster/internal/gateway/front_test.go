package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// backendServer answers with its name; its address fits worldBuilder.service.
func backendServer(t *testing.T, name string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Backend", name)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

var sharedFront = sync.OnceValues(NewFront) // Caddy is one per process

func load(t *testing.T, w *worldBuilder) *Front {
	t.Helper()
	front, err := sharedFront()
	if err != nil {
		t.Fatal(err)
	}
	translation, err := Translate(w.World)
	if err != nil {
		t.Fatal(err)
	}
	if err := front.Load(translation.Routes); err != nil {
		t.Fatal(err)
	}
	return front
}

// ask sends n requests and counts "status backend".
func ask(front http.Handler, n int, path string, headers ...string) map[string]int {
	got := map[string]int{}
	for range n {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		front.ServeHTTP(w, r)
		got[strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Header().Get("Backend")))]++
	}
	return got
}

func TestWeightsAreExact(t *testing.T) {
	a1, a2, b := backendServer(t, "a"), backendServer(t, "a"), backendServer(t, "b")
	tests := map[string]struct {
		world *worldBuilder
		want  map[string]int
	}{
		"five percent is ten of two hundred whatever the endpoints": {
			newWorld().service("a", a1, a2).service("b", b).route("exact", weighted("a", 95, "b", 5)), map[string]int{"200 a": 190, "200 b": 10},
		},
		"a weight of zero gets nothing": {
			newWorld().service("a", a1).service("b", b).route("zero", weighted("a", 100, "b", 0)), map[string]int{"200 a": 200},
		},
		"only weights of zero are an error": {
			newWorld().service("a", a1).route("none", weighted("a", 0)), map[string]int{"500": 200},
		},
		"a backend without ready endpoints gets 503 for its share": {
			newWorld().service("a", a1).service("b", "!"+b).route("empty", weighted("a", 90, "b", 10)), map[string]int{"200 a": 180, "503": 20},
		},
		"a missing Service gets 500 for its share": {
			newWorld().service("a", a1).route("missing", weighted("a", 90, "b", 10)), map[string]int{"200 a": 180, "500": 20},
		},
		"a dead endpoint is retried within its own backend": {
			newWorld().service("a", a1).service("b", b, "127.0.0.1:1").route("dead", weighted("a", 50, "b", 50)), map[string]int{"200 a": 100, "200 b": 100},
		},
		"no route is 404": {newWorld(), map[string]int{"404": 200}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := ask(load(t, tc.world), 200, "/")
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	a, b := backendServer(t, "a"), backendServer(t, "b")
	front := load(t, newWorld().service("a", a).service("b", b).route("matches",
		weighted("a", 1), withHeader(weighted("b", 1), "X-Canary", "y*s"), withPrefix(weighted("b", 1), "/api")))
	for _, tc := range []struct {
		sentence, path, header, want string
	}{
		{"no header goes to the first rule", "/", "", "200 a"},
		{"the exact header goes to the canary", "/", "y*s", "200 b"},
		{"a star in a value is a star", "/", "yes", "200 a"},
		{"a header value is case sensitive", "/", "Y*S", "200 a"},
		{"a prefix matches itself", "/api", "", "200 b"},
		{"a prefix matches below itself", "/api/v1", "", "200 b"},
		{"a prefix ends at a path element", "/apis", "", "200 a"},
		{"a path is case sensitive", "/API", "", "200 a"},
	} {
		if got := ask(front, 1, tc.path, "X-Canary", tc.header); got[tc.want] != 1 {
			t.Errorf("%s: got %v, want %s", tc.sentence, got, tc.want)
		}
	}
}

// TestTestersMatch: what a step's match becomes in a rule.
func TestTestersMatch(t *testing.T) {
	a, b := backendServer(t, "a"), backendServer(t, "b")
	expression, parameter := gatewayv1.HeaderMatchRegularExpression, gatewayv1.QueryParamMatchRegularExpression
	cookie, query := weighted("b", 1), weighted("b", 1)
	cookie.Matches = []gatewayv1.HTTPRouteMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Type: &expression, Name: "Cookie", Value: `^(.*;\s*)?beta=1\+1(\s*;.*)?$`}}}}
	query.Matches = []gatewayv1.HTTPRouteMatch{{QueryParams: []gatewayv1.HTTPQueryParamMatch{{Name: "preview", Value: "1"}, {Type: &parameter, Name: "team", Value: "a|b"}}}}
	front := load(t, newWorld().service("a", a).service("b", b).route("testers", cookie, query, weighted("a", 1)))
	for _, tc := range []struct{ path, cookie, want string }{
		{"/", "", "200 a"},
		{"/", "beta=1+1", "200 b"},
		{"/", "x=y; beta=1+1; z=1", "200 b"},
		{"/", "beta=1+12", "200 a"},
		{"/", "notbeta=1+1", "200 a"},
		{"/", "beta=11", "200 a"},
		{"/?preview=1&team=b", "", "200 b"},
		{"/?preview=1&team=bc", "", "200 a"},
		{"/?preview=1", "", "200 a"},
		{"/?team=a", "", "200 a"},
	} {
		if got := ask(front, 1, tc.path, "Cookie", tc.cookie); got[tc.want] != 1 {
			t.Errorf("%s with cookie %q: got %v, want %s", tc.path, tc.cookie, got, tc.want)
		}
	}
}

func TestReloadsFailNoRequest(t *testing.T) {
	a, b := backendServer(t, "a"), backendServer(t, "b")
	world := func(weight int) *worldBuilder {
		return newWorld().service("a", a).service("b", b).route("reload", weighted("a", 100-weight, "b", weight))
	}
	front := load(t, world(0))
	server := httptest.NewServer(front)
	defer server.Close()
	var failed, asked atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// A POST with a body: no client library repeats it silently.
				response, err := http.Post(server.URL, "text/plain", strings.NewReader("order"))
				asked.Add(1)
				if err != nil || response.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				if err == nil {
					_ = response.Body.Close()
				}
			}
		})
	}
	for weight := range 50 {
		load(t, world(weight))
		time.Sleep(10 * time.Millisecond)
	}
	close(stop)
	clients.Wait()
	if failed.Load() > 0 || asked.Load() < 100 {
		t.Errorf("%d of %d requests failed during 50 reloads", failed.Load(), asked.Load())
	}
}

func TestSequenceGoesOnAcrossReloads(t *testing.T) {
	names, weights := []string{"a", "b"}, []int64{95, 5}
	got := 0
	for range 1000 {
		// A reload before every request, as when pods come and go all the time.
		if sequenceFor("across", names, weights).next() == 1 {
			got++
		}
	}
	if got != 50 {
		t.Errorf("the canary got %d of 1000 requests, want 50", got)
	}
}

// TestMirrorsCopyAShare: with their bodies, whatever becomes of the copies, and nobody but the
// rule's own backend answers.
func TestMirrorsCopyAShare(t *testing.T) {
	const sent = 200
	for name, tc := range map[string]struct {
		filter func(*gatewayv1.HTTPRequestMirrorFilter)
		want   int
	}{
		"everything":   {func(*gatewayv1.HTTPRequestMirrorFilter) {}, sent},
		"five percent": {func(f *gatewayv1.HTTPRequestMirrorFilter) { percent := int32(5); f.Percent = &percent }, sent / 20},
		"a fraction": {func(f *gatewayv1.HTTPRequestMirrorFilter) {
			of := int32(8)
			f.Fraction = &gatewayv1.Fraction{Numerator: 1, Denominator: &of}
		}, sent / 8},
	} {
		t.Run(name, func(t *testing.T) {
			copies := make(chan string, 2*sent)
			shadow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				copies <- r.Method + " " + r.URL.Path + " " + string(body)
				w.WriteHeader(http.StatusTeapot)
			}))
			defer shadow.Close()
			rule := weighted("a", 1)
			port := gatewayv1.PortNumber(80)
			mirror := &gatewayv1.HTTPRequestMirrorFilter{BackendRef: gatewayv1.BackendObjectReference{Name: "shadow", Port: &port}}
			tc.filter(mirror)
			rule.Filters = []gatewayv1.HTTPRouteFilter{{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: mirror}}
			answered := make(chan string, sent)
			real := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				answered <- string(body)
			}))
			defer real.Close()
			front := load(t, newWorld().service("a", strings.TrimPrefix(real.URL, "http://")).service("shadow", strings.TrimPrefix(shadow.URL, "http://")).route("mirror "+name, rule))
			for i := range sent {
				w, body := httptest.NewRecorder(), fmt.Sprint("order ", i)
				front.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/buy", strings.NewReader(body)))
				if got := <-answered; w.Code != http.StatusOK || got != body {
					t.Fatalf("answered %d, and the backend read %q of %q", w.Code, got, body)
				}
			}
			deadline := time.After(10 * time.Second)
			for n := range tc.want {
				select {
				case got := <-copies:
					if !strings.HasPrefix(got, "POST /buy order ") {
						t.Errorf("copied %q", got)
					}
				case <-deadline:
					t.Fatalf("%d copies of %d requests, want %d", n, sent, tc.want)
				}
			}
			if len(copies) > 0 {
				t.Errorf("%d copies more than %d", len(copies), tc.want)
			}
		})
	}
}
