package prometheus

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/analysis"
)

func TestCountsReadsPods(t *testing.T) {
	body := vector(counters("web-a-1", 1234, 5, 4), counters("web-a-2", 10, 0, 9), rowOf("web-a-3", "total", "1e3"))
	sampled := func(secondsAgo int) time.Time {
		return time.Unix(evaluated.Unix()-int64(secondsAgo), 0).Add(250 * time.Millisecond)
	}
	want := Response{
		Counters: []Counter{
			{Pod: "web-a-1", Counts: analysis.Counts{Total: 1234, Bad: 5}, SampledAt: sampled(4)},
			{Pod: "web-a-2", Counts: analysis.Counts{Total: 10}, SampledAt: sampled(9)},
			{Pod: "web-a-3", Counts: analysis.Counts{Total: 1000}},
		},
	}
	got, err := ask(t, connect(t, defaults(serve(t, say(http.StatusOK, body)))))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestCountsAsksForAnExplicitTime(t *testing.T) {
	var path string
	var form url.Values
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		path, form = r.Method+" "+r.URL.Path, r.Form
		say(http.StatusOK, vector())(w, r)
	})
	if _, err := ask(t, connect(t, defaults(address+"/prefix/"))); err != nil {
		t.Fatal(err)
	}
	want := url.Values{"query": {"up"}, "time": {"1795521600"}, "timeout": {"7s"}, "lookback_delta": {"45s"}}
	if diff := cmp.Diff(want, form); diff != "" || path != "POST /prefix/api/v1/query" {
		t.Errorf("%s with the form (-want +got):\n%s", path, diff)
	}
}

func TestCountsAsksAgainWithGETWherePOSTIsNotAllowed(t *testing.T) {
	for _, code := range []int{http.StatusMethodNotAllowed, http.StatusNotImplemented} {
		c := connect(t, defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.WriteHeader(code)
				return
			}
			say(http.StatusOK, vector(counters("a", 1, 0, 1)))(w, r)
		})))
		if answer, err := ask(t, c); err != nil || len(answer.Counters) != 1 {
			t.Errorf("%d: %d pods, %v; want 1 pod", code, len(answer.Counters), err)
		}
	}
}

func TestCountsReportsTheSkewOfClocks(t *testing.T) {
	cases := map[string]struct {
		offset     time.Duration
		wantReason analysis.Reason
	}{
		"equal":                           {0, ""},
		"5 s behind":                      {-5 * time.Second, ""},
		"6 s behind":                      {-6 * time.Second, analysis.ClockSkew},
		"ahead by what a query may take":  {12 * time.Second, ""},
		"ahead by more":                   {13 * time.Second, analysis.ClockSkew},
		"a year behind, and in agreement": {-365 * 24 * time.Hour, analysis.ClockSkew},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			answer, err := ask(t, connect(t, defaults(serve(t, func(w http.ResponseWriter, _ *http.Request) {
				date(w, evaluated.Add(c.offset))
				_, _ = w.Write([]byte(vector()))
			}))))
			if reasonOf(err) != c.wantReason || answer.Skew != c.offset {
				t.Errorf("skew %s, %v; want %s and reason %q", answer.Skew, err, c.offset, c.wantReason)
			}
		})
	}
}

func TestCountsLimitsQueriesInFlight(t *testing.T) {
	const slots, queries = 2, 6
	var running, most atomic.Int32
	arrived, release := make(chan struct{}, queries), make(chan struct{})
	spec := defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		arrived <- struct{}{}
		<-release
		say(http.StatusOK, vector())(w, r)
	}))
	spec.Limits.InFlight = slots
	c := connect(t, spec)
	errs := make(chan error, queries)
	for range queries {
		go func() {
			_, err := ask(t, c)
			errs <- err
		}()
	}
	for range slots {
		<-arrived
	}
	close(release)
	for range queries {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := most.Load(); got != slots {
		t.Errorf("%d queries ran at once, want %d", got, slots)
	}
}

func TestAQueryWithoutATurnTimesOutAndTheSlotComesBack(t *testing.T) {
	var stuck atomic.Bool
	stuck.Store(true)
	entered := make(chan struct{}, 1)
	spec := impatient(defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if stuck.Load() {
			entered <- struct{}{}
			hang(r)
			return
		}
		say(http.StatusOK, vector())(w, r)
	})))
	spec.Limits.InFlight = 1
	// The first query must hold the slot for longer than the second waits.
	c := connect(t, spec)
	waiting := *c
	c.timeout = time.Second
	first := make(chan error, 1)
	go func() {
		_, err := ask(t, c)
		first <- err
	}()
	<-entered
	if _, err := ask(t, &waiting); reasonOf(err) != analysis.Timeout || !strings.Contains(err.Error(), "waited for its whole timeout") {
		t.Errorf("a query without a turn: %v, want Timeout", err)
	}
	if err := <-first; reasonOf(err) != analysis.Timeout {
		t.Errorf("the query that hangs: %v, want Timeout", err)
	}
	stuck.Store(false)
	if _, err := ask(t, c); err != nil {
		t.Errorf("after the source has recovered: %v", err)
	}
}

func TestVersion(t *testing.T) {
	cases := map[string]struct {
		body       string
		want       string
		wantReason analysis.Reason
	}{
		"Prometheus":        {`{"status":"success","data":{"version":"3.14.0-rc.1+k8s"}}`, "3.14.0-rc.1+k8s", ""},
		"none":              {`{"status":"success","data":{}}`, "", analysis.Malformed},
		"markup":            {`{"status":"success","data":{"version":"<script>"}}`, "", analysis.Malformed},
		"a terminal escape": {`{"status":"success","data":{"version":"3\u001b[2J"}}`, "", analysis.Malformed},
		"too long":          {`{"status":"success","data":{"version":"` + strings.Repeat("1", 65) + `"}}`, "", analysis.Malformed},
		"two lines":         {`{"status":"success","data":{"version":"3\n4"}}`, "", analysis.Malformed},
		"HTML":              {`<html>`, "", analysis.Malformed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := connect(t, defaults(serve(t, say(http.StatusOK, c.body)))).Version(t.Context())
			if got != c.want || reasonOf(err) != c.wantReason {
				t.Errorf("Version() = %q, %v; want %q, reason %q", got, err, c.want, c.wantReason)
			}
		})
	}
}

func TestQuoteIsBoundedASCII(t *testing.T) {
	for _, text := range []string{
		"", "plain", `"`, strings.Repeat("a", 1000), strings.Repeat("\x00", 1000), strings.Repeat("😀", 300),
		strings.Repeat("\u2028", 300), strings.Repeat("\xff", 1000), strings.Repeat("a\U000e0001", 200), "\x1b[2J\x07\r\n",
	} {
		got := quote(text)
		if len(got) > maxQuoted || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("quote(%.20q...) = %s: %d bytes, want at most %d printable ones", text, got, len(got), maxQuoted)
		}
		if len(text) > 250 && len(got) < maxQuoted/2 {
			t.Errorf("quote(%.20q...) keeps only %d bytes", text, len(got))
		}
	}
}
