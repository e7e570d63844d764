package sources

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// fleet is a metrics source over HTTP that knows one canary and one stable pod
// in each namespace. It stands in for Prometheus where a thousand services
// would be needed: it reads the namespaces of a query and nothing else of it.
type fleet struct {
	*httptest.Server
	now time.Time
	// bad is a namespace whose pods report nonsense, large one with a thousand.
	bad, large string

	mu      sync.Mutex
	queries []string
	answers map[string][]byte
}

var ofKinds = regexp.MustCompile(`"k","([a-z]+)"`)

func newFleet(tb testing.TB, now time.Time) *fleet {
	f := serveFleet(now)
	tb.Cleanup(f.Close)
	return f
}

func serveFleet(now time.Time) *fleet {
	f := &fleet{now: now, answers: map[string][]byte{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.answer))
	return f
}

// asked is the number of queries so far.
func (f *fleet) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.queries)
}

func (f *fleet) answer(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	f.mu.Lock()
	f.queries = append(f.queries, query)
	body, known := f.answers[query]
	if !known {
		body = f.rows(query)
		f.answers[query] = body
	}
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (f *fleet) rows(query string) []byte {
	var result []map[string]any
	add := func(namespace, pod, k, value string) {
		result = append(result, map[string]any{
			"metric": map[string]string{"namespace": namespace, "pod": pod, "instance": "10.0.0.1:8080", "k": k}, "value": []any{float64(f.now.UnixMilli()) / 1000, value}})
	}
	for _, namespace := range sourcestest.Namespaces(query) {
		for _, pod := range []string{"shop-stable-aaaaa", "shop-canary-bbbbb"} {
			for _, k := range ofKinds.FindAllStringSubmatch(query, -1) {
				value := map[string]string{"ts": fmt.Sprint(f.now.Unix()), "total": "100", "bad": "1"}[k[1]]
				if namespace == f.bad {
					value = "NaN"
				}
				add(namespace, pod, k[1], value)
			}
		}
		for i := 0; i < 1000 && namespace == f.large; i++ {
			add(namespace, fmt.Sprintf("shop-canary-x%d", i), "total", "1")
		}
	}
	body, err := json.Marshal(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
	if err != nil {
		panic(err)
	}
	return body
}

func (f *fleet) source(series int32) *v1alpha1.MetricSource { return sourcestest.At(f.URL, series) }

// asking are the inquiries of runs, as their memories keep them from poll to poll.
type asking [][]Query

func fleetOf(tb testing.TB, runs int, indicators ...v1alpha1.Indicator) asking {
	tb.Helper()
	all := make(asking, runs)
	for i := range all {
		for _, indicator := range indicators {
			all[i] = append(all[i], about(tb, fmt.Sprintf("team-%d", i), indicator))
		}
	}
	return all
}

func about(tb testing.TB, namespace string, indicator v1alpha1.Indicator) Query {
	tb.Helper()
	q, err := NewQuery(&v1alpha1.MetricSource{}, Measure{Indicator: indicator}, prometheus.Pods{Namespace: namespace, ReplicaSets: []string{"shop-stable", "shop-canary"}})
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

// poll lets all ask at once, and returns their replies by run and indicator.
func (all asking) poll(tb testing.TB, a *Querier, c *clocktesting.FakeClock, source *v1alpha1.MetricSource) [][]Result {
	tb.Helper()
	asked := make([][]<-chan Result, len(all))
	for i, own := range all {
		for _, q := range own {
			asked[i] = append(asked[i], a.Query(tb.Context(), source, q, 2))
		}
	}
	c.Step(a.Gather)
	if all[0][0].Measure.Indicator.PromQL != nil {
		c.Step(source.Spec.ScrapeInterval.Duration / 4)
	}
	out := make([][]Result, len(all))
	for i, own := range asked {
		for _, answer := range own {
			out[i] = append(out[i], <-answer)
		}
	}
	return out
}

// poll lets so many runs ask about the indicators at once.
func poll(tb testing.TB, a *Querier, c *clocktesting.FakeClock, source *v1alpha1.MetricSource, runs int, indicators ...v1alpha1.Indicator) [][]Result {
	tb.Helper()
	return fleetOf(tb, runs, indicators...).poll(tb, a, c, source)
}

func ask(tb testing.TB, a *Querier, source *v1alpha1.MetricSource, namespace string, indicator v1alpha1.Indicator) <-chan Result {
	tb.Helper()
	return a.Query(tb.Context(), source, about(tb, namespace, indicator), 2)
}

func TestRunsShareQueries(t *testing.T) {
	now := time.Now()
	tests := map[string]struct {
		runs       int
		series     int32
		indicators []v1alpha1.Indicator
		queries    int
	}{
		"one run asks alone":                   {1, 1000, []v1alpha1.Indicator{sourcestest.Requests("errors")}, 1},
		"a hundred ask together":               {100, 1000, []v1alpha1.Indicator{sourcestest.Requests("errors")}, 1},
		"a long query is sent in two":          {200, 1000, []v1alpha1.Indicator{sourcestest.Requests("errors")}, 2},
		"each indicator by itself":             {100, 1000, []v1alpha1.Indicator{sourcestest.Requests("errors"), sourcestest.Requests("timeouts"), sourcestest.Requests("lost")}, 3},
		"no answer above the series limit":     {50, 10, []v1alpha1.Indicator{sourcestest.Requests("errors")}, 10},
		"expressions of one's own stay alone":  {5, 1000, []v1alpha1.Indicator{{PromQL: &v1alpha1.PromQLIndicator{Total: "a", Bad: "b"}}}, 5},
		"a run above the limit asks all by it": {3, 1, []v1alpha1.Indicator{sourcestest.Requests("errors")}, 3},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, now)
			c := clocktesting.NewFakeClock(now)
			a := NewQuerier(NewClients(nil, "belay", time.Hour), c, time.Second)
			replies := poll(t, a, c, f.source(tc.series), tc.runs, tc.indicators...)
			if len(f.queries) != tc.queries {
				t.Errorf("%d queries, want %d", len(f.queries), tc.queries)
			}
			for run, own := range replies {
				for _, r := range own {
					if tc.series == 1 {
						continue
					}
					if r.Err != nil || len(r.Pods) != 2 || slices.ContainsFunc(r.Pods, func(p prometheus.Counter) bool {
						return p.Namespace != fmt.Sprintf("team-%d", run) || p.Total != 100 || p.Bad != 1
					}) {
						t.Fatalf("run %d got %+v, %v", run, r.Pods, r.Err)
					}
				}
			}
		})
	}
}

// blindsOnly polls 20 runs once: one of them gets no answer, each other one does.
func (f *fleet) blindsOnly(t *testing.T, now time.Time, source *v1alpha1.MetricSource, only int) {
	t.Helper()
	c := clocktesting.NewFakeClock(now)
	a := NewQuerier(NewClients(nil, "belay", time.Hour), c, time.Second)
	for run, own := range poll(t, a, c, source, 20, sourcestest.Requests("errors")) {
		if blind := own[0].Err != nil; blind != (run == only) {
			t.Errorf("run %d: error %v", run, own[0].Err)
		}
	}
}

// TestOneRunsNonsenseBlindsNobodyElse: an answer names the pod that reports it, in the one query
// for all.
func TestOneRunsNonsenseBlindsNobodyElse(t *testing.T) {
	now := time.Now()
	f := newFleet(t, now)
	f.bad = "team-7"
	c := clocktesting.NewFakeClock(now)
	a := NewQuerier(NewClients(nil, "belay", time.Hour), c, time.Second)
	for run, own := range poll(t, a, c, f.source(1000), 20, sourcestest.Requests("errors")) {
		if own[0].Err != nil || len(own[0].Pods) != 2 {
			t.Fatalf("run %d: %+v", run, own[0])
		}
		for _, pod := range own[0].Pods {
			want := ""
			if run == 7 {
				want = fmt.Sprintf("pod %q reports the value NaN for requests: it must be finite and not negative", pod.Pod)
			}
			if pod.Unusable != want {
				t.Errorf("run %d: %q, want %q", run, pod.Unusable, want)
			}
		}
	}
	if len(f.queries) != 1 {
		t.Errorf("%d queries, want 1", len(f.queries))
	}
}

// TestARunThatIsTooLargeBlindsNobodyElse: it is found by asking in halves.
func TestARunThatIsTooLargeBlindsNobodyElse(t *testing.T) {
	now := time.Now()
	f := newFleet(t, now)
	f.large = "team-7"
	f.blindsOnly(t, now, f.source(100), 7)
	if len(f.queries) > 1+splitInto+3 {
		t.Errorf("%d queries to find one of 20", len(f.queries))
	}
}

// TestNoStormOfQueries: what is wrong with an answer as a whole is not asked for
// again, and what may be too large only once in parts when no part is answered.
func TestNoStormOfQueries(t *testing.T) {
	now := time.Now()
	page := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = fmt.Fprint(w, body)
		}
	}
	vector := func(at time.Time, value string) string {
		var rows []string
		for i := range 300 {
			rows = append(rows, fmt.Sprintf(`{"metric":{"namespace":"team-%d","pod":"shop-canary-a","k":"total"},"value":[%d,%q]}`, i, at.Unix(), value))
		}
		return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(rows, ",") + `]}}`
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		most   int32
	}{
		"a login page":          {page(200, "<html>log in</html>"), 1},
		"400":                   {page(400, "no"), 1 + splitInto},
		"404":                   {page(404, "no"), 1},
		"503":                   {page(503, "no"), 1 + splitInto},
		"a matrix":              {page(200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`), 1},
		"another time":          {page(200, vector(now.Add(-time.Hour), "1")), 1},
		"nonsense of every pod": {page(200, vector(now, "NaN")), 1},
		"a clock 10 s behind": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", now.Add(-10*time.Second).UTC().Format(http.TimeFormat))
		}, 1},
		"always more than asked": {page(200, `{"status":"success","data":{"resultType":"vector","result":[`+strings.Repeat("{},", 40_000)+`{}]}}`), 1 + splitInto},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			f := newFleet(t, now)
			f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				tc.answer(w, r)
			})
			c := clocktesting.NewFakeClock(now)
			a := NewQuerier(NewClients(nil, "belay", time.Hour), c, time.Second)
			for run, own := range poll(t, a, c, f.source(1000), 100, sourcestest.Requests("errors")) {
				unusable := name == "nonsense of every pod" && own[0].Err == nil && len(own[0].Pods) == 1 && own[0].Pods[0].Unusable != ""
				if !unusable && (own[0].Err == nil || own[0].Own) {
					t.Fatalf("run %d got an answer, or is held to be the cause: %+v", run, own[0])
				}
			}
			if n := asked.Load(); n > tc.most {
				t.Errorf("100 runs took %d queries, want at most %d", n, tc.most)
			}
		})
	}
}

// TestASlowSourceDelaysNoOther: one source answers only after the other has.
func TestASlowSourceDelaysNoOther(t *testing.T) {
	now := time.Now()
	fast := newFleet(t, now)
	answered := make(chan struct{})
	slow := newFleet(t, now)
	inner := slow.Config.Handler
	slow.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-answered
		inner.ServeHTTP(w, r)
	})
	c := clocktesting.NewFakeClock(now)
	a := NewQuerier(NewClients(nil, "belay", time.Hour), c, time.Second)
	late := ask(t, a, slow.source(1000), "team-0", sourcestest.Requests("errors"))
	c.Step(a.Gather)
	if r := poll(t, a, c, fast.source(1000), 3, sourcestest.Requests("errors"))[0][0]; r.Err != nil {
		t.Errorf("the fast source: %v", r.Err)
	}
	close(answered)
	if r := <-late; r.Err != nil || len(r.Pods) != 2 {
		t.Errorf("the slow source: %v, %+v", r.Err, r.Pods)
	}
}
