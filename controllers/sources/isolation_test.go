package sources

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// refusal is a fleet that refuses queries, and a Querier with a clock to poll it.
type refusal struct {
	*fleet
	querier *Querier
	clock   *clocktesting.FakeClock
	source  *v1alpha1.MetricSource
	// refuses is the status for a query, and what is said; 0 answers it.
	refuses func(query string) (code int, says string)
	// sent counts the queries of a poll, and longest is the longest of all.
	sent, longest atomic.Int64
}

func newRefusal(t *testing.T, refuses func(query string) (int, string)) *refusal {
	r := &refusal{clock: clocktesting.NewFakeClock(time.Now().Truncate(time.Second)), refuses: refuses}
	r.fleet = newFleet(t, r.clock.Now())
	inner := r.Config.Handler
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		query := q.FormValue("query")
		r.sent.Add(1)
		r.longest.Store(max(r.longest.Load(), int64(len(query))))
		code, says := r.refuses(query)
		w.Header().Set("Date", r.clock.Now().UTC().Format(http.TimeFormat))
		switch code {
		case 0:
			inner.ServeHTTP(w, q)
		case http.StatusGatewayTimeout:
			_, _ = io.Copy(io.Discard, q.Body)
			<-q.Context().Done()
		default:
			w.WriteHeader(code)
			_, _ = fmt.Fprint(w, says)
		}
	})
	r.querier = NewQuerier(NewClients(nil, "belay", 100*time.Hour), r.clock, time.Second)
	r.source = r.fleet.source(10_000)
	return r
}

// poll returns the queries it took, and by run why there is no response.
func (r *refusal) poll(t *testing.T, runs int, indicators ...v1alpha1.Indicator) (queries int, blind map[int]Result) {
	t.Helper()
	r.sent.Store(0)
	// The fixture's samples do not age.
	r.mu.Lock()
	r.now, r.answers = r.clock.Now().Add(r.querier.Gather), map[string][]byte{}
	r.mu.Unlock()
	blind = map[int]Result{}
	for run, own := range poll(t, r.querier, r.clock, r.source, runs, indicators...) {
		for _, got := range own {
			if got.Err != nil {
				blind[run] = got
			}
		}
	}
	r.clock.Step(15*time.Second - r.querier.Gather)
	return int(r.sent.Load()), blind
}

// names matches a query for one namespace or several, team-7 among them.
var names = regexp.MustCompile(`[="|]team-7["|]`)

// TestOneRunsQueryBlindsNobodyElse: a run whose part of a query the source refuses is
// found, blinds itself alone, is queried alone from then on, and rejoins the others when it
// gets responses again.
func TestOneRunsQueryBlindsNobodyElse(t *testing.T) {
	const groups = 2
	for _, code := range []int{400, 413, 414, 422, 503, 504} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			var healed atomic.Bool
			r := newRefusal(t, func(query string) (int, string) {
				if names.MatchString(query) && !healed.Load() {
					return code, "query processing would load too many samples into memory in query execution"
				}
				return 0, ""
			})
			r.source.Spec.Limits.Timeout.Duration = time.Second
			first, _ := r.poll(t, 200, sourcestest.Requests("errors"))
			if first > groups+3*splitInto {
				t.Errorf("%d queries to find one run of 200", first)
			}
			for i := range badPolls {
				queries, blind := r.poll(t, 200, sourcestest.Requests("errors"))
				if len(blind) != 1 || blind[7].Err == nil || queries != groups+1 {
					t.Fatalf("poll %d: %d queries, %d runs are blind, run 7: %v", i, queries, len(blind), blind[7].Err)
				}
				if i+2 >= badPolls && !blind[7].Own {
					t.Errorf("poll %d: the source is blamed for the run's own query", i)
				}
				if status := code != 503 && code != 504; i+2 < badPolls && blind[7].Own != status {
					t.Errorf("poll %d: the run is blamed: %v, want %v", i, blind[7].Own, status)
				}
			}
			healed.Store(true)
			for range goodPolls {
				if queries, blind := r.poll(t, 200, sourcestest.Requests("errors")); len(blind) != 0 || queries != groups+1 {
					t.Fatalf("%d queries, %d runs are blind", queries, len(blind))
				}
			}
			if queries, _ := r.poll(t, 200, sourcestest.Requests("errors")); queries != groups {
				t.Errorf("%d queries after the run has been well for %d polls, want %d", queries, goodPolls, groups)
			}
		})
	}
}

// TestQueriesStayBelowTheSourcesLengthLimit: VictoriaMetrics accepts 16 KiB, another
// source less, which is learnt.
func TestQueriesStayBelowTheSourcesLengthLimit(t *testing.T) {
	r := newRefusal(t, func(string) (int, string) { return 0, "" })
	var all asking
	for i := range 1000 {
		q, err := NewQuery(&v1alpha1.MetricSource{}, Measure{Indicator: sourcestest.Requests("errors")}, prometheus.Pods{Namespace: fmt.Sprintf("team.%d", i),
			ReplicaSets: []string{fmt.Sprintf("check.out-service-%d-5d4f8b7c96", i), fmt.Sprintf("check.out-service-%d-7f9c6d8b5", i)}})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, []Query{q})
	}
	all.poll(t, r.querier, r.clock, r.source)
	if longest := r.longest.Load(); longest > longestQuery || longest < longestQuery*9/10 {
		t.Errorf("the longest of %d queries for 1000 runs has %d bytes, want nearly %d", r.sent.Load(), longest, longestQuery)
	}
	for _, code := range []int{400, 414, 422} {
		var refused atomic.Int32
		r := newRefusal(t, func(query string) (int, string) {
			if len(query) > 2000 {
				refused.Add(1)
				return code, "too long query; mustn't exceed `-search.maxQueryLen=2000` bytes"
			}
			return 0, ""
		})
		for i := range 4 {
			refused.Store(0)
			_, blind := r.poll(t, 200, sourcestest.Requests("errors"))
			if len(blind) > 0 {
				t.Fatalf("%d: poll %d: %d runs are blind", code, i, len(blind))
			}
			if n := refused.Load(); i == 3 && n > 0 {
				t.Errorf("%d: the limit was not learnt: %d queries are too long", code, n)
			}
		}
	}
}

// TestAnOutageIsNotSplit: when nothing gets a response the source is the cause, and most polls
// take no more queries than they would with it; when it comes back with a run that it refuses, that run is found.
func TestAnOutageIsNotSplit(t *testing.T) {
	var back atomic.Bool
	r := newRefusal(t, func(query string) (int, string) {
		if back.Load() && !names.MatchString(query) {
			return 0, ""
		}
		return 503, "down"
	})
	total := 0
	for range 20 {
		queries, blind := r.poll(t, 200, sourcestest.Requests("errors"))
		total += queries
		if len(blind) != 200 || blind[7].Own {
			t.Fatalf("%d of 200 runs are blind, run 7 by itself: %v", len(blind), blind[7].Own)
		}
	}
	if most := 2*20 + 6*splitInto; total > most {
		t.Errorf("5 minutes of outage took %d queries, want at most %d", total, most)
	}
	back.Store(true)
	blind := map[int]Result{}
	for range 6 {
		_, blind = r.poll(t, 200, sourcestest.Requests("errors"))
	}
	if len(blind) != 1 {
		t.Errorf("a minute and a half after the outage %d runs are blind", len(blind))
	}
}

// TestASourceThatRefusesEverythingIsToBlame, not the runs, also when each asks alone.
func TestASourceThatRefusesEverythingIsToBlame(t *testing.T) {
	r := newRefusal(t, func(string) (int, string) { return 400, "no" })
	for range 5 {
		_, blind := r.poll(t, 3, v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "a", Bad: "b"}})
		for run, got := range blind {
			if got.Own {
				t.Errorf("run %d is held to be the cause", run)
			}
		}
	}
}

// TestOneTenantsSlowQueriesDelayNoOther: a namespace with many slow expressions holds at
// most half of the source's places.
func TestOneTenantsSlowQueriesDelayNoOther(t *testing.T) {
	release := make(chan struct{})
	r := newRefusal(t, func(query string) (int, string) {
		if strings.Contains(query, `"slow"`) {
			<-release
		}
		return 0, ""
	})
	indicator := v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "a", Bad: "b"}}
	var slow []<-chan Result
	for i := range 50 {
		own := indicator
		own.PromQL = &v1alpha1.PromQLIndicator{Total: fmt.Sprintf("a%d", i), Bad: "b"}
		slow = append(slow, ask(t, r.querier, r.source, "slow", own))
	}
	other := ask(t, r.querier, r.source, "other", indicator)
	shared := ask(t, r.querier, r.source, "typed", sourcestest.Requests("errors"))
	r.clock.Step(r.querier.Gather + r.source.Spec.ScrapeInterval.Duration)
	for name, result := range map[string]<-chan Result{"another tenant's expression": other, "a shared query": shared} {
		NewWithT(t).Eventually(result, 20*time.Second).Should(Receive(), name+" waits for the slow tenant")
	}
	close(release)
	for _, result := range slow {
		<-result
	}
}

// TestExpressionsAreSpreadInTime: runs that cannot share a query do not send all of them
// at the same moment.
func TestExpressionsAreSpreadInTime(t *testing.T) {
	r := newRefusal(t, func(string) (int, string) { return 0, "" })
	indicator := v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "a", Bad: "b"}}
	var results []<-chan Result
	for i := range 100 {
		results = append(results, ask(t, r.querier, r.source, fmt.Sprintf("team-%d", i), indicator))
	}
	over, before := r.source.Spec.ScrapeInterval.Duration/4, 0
	r.clock.Step(r.querier.Gather - 1)
	for part := range 5 {
		r.clock.Step(over/5 + 1)
		due := 0
		for i, result := range results {
			if spread(about(t, fmt.Sprintf("team-%d", i), indicator).run, over) <= time.Duration(part+1)*over/5 {
				due++
				if result != nil {
					<-result
					results[i] = nil
				}
			}
		}
		if sent := int(r.sent.Load()); sent != due || sent-before < 10 || sent-before > 35 {
			t.Errorf("in part %d of 5, %d of 100 queries are sent, want %d and about 20 more than before", part, sent, due)
		}
		before = due
	}
}
