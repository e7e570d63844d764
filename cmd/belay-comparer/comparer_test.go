package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	testingclock "k8s.io/utils/clock/testing"
)

// pair is a comparer between two servers.
type pair struct {
	*comparer
	log *bytes.Buffer
}

func compares(t *testing.T, stable, candidate http.HandlerFunc, args ...string) pair {
	t.Helper()
	g := NewWithT(t)
	o, err := parse(append([]string{"--rollout=cart", "--namespace=shop"}, args...))
	g.Expect(err).NotTo(HaveOccurred())
	c, err := newComparer(o, prometheus.NewRegistry())
	g.Expect(err).NotTo(HaveOccurred())
	var log bytes.Buffer
	c.examples.clock, c.examples.log = testingclock.NewFakePassiveClock(time.Unix(1e9, 0)), slog.New(slog.NewTextHandler(&log, nil))
	for of, handler := range map[*service]http.HandlerFunc{&c.stable: stable, &c.candidate: candidate} {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		of.url, err = url.Parse(server.URL)
		g.Expect(err).NotTo(HaveOccurred())
	}
	return pair{c, &log}
}

// copies sends a copy and waits until it is compared.
func (p pair) copies(t *testing.T, r *http.Request) {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != http.StatusNoContent || w.Body.Len() > 0 {
		t.Errorf("the copy was answered with %d %q", w.Code, w.Body)
	}
	p.running.Wait()
}

// counted are the metrics that are not 0, without the prefix belay_comparer_.
func (p pair) counted(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for name, c := range map[string]*prometheus.CounterVec{"requests": p.counts.requests, "different": p.counts.different, "skipped": p.counts.skipped} {
		metrics := make(chan prometheus.Metric, 100)
		c.Collect(metrics)
		close(metrics)
		for m := range metrics {
			if value := int(testutil.ToFloat64(single{m})); value > 0 {
				all[name+labelsOf(t, m)] = value
			}
		}
	}
	return all
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func get(target string) *http.Request {
	return httptest.NewRequest(http.MethodGet, target, nil)
}

// TestAnswers compares what two versions answer.
func TestAnswers(t *testing.T) {
	paths := []string{"--json={.items[*].price}", "--json=.total"}
	for name, c := range map[string]struct {
		stable, candidate http.HandlerFunc
		args              []string
		want              string
	}{
		"the same":                        {says(200, "a"), says(200, "a"), nil, ""},
		"another body, not asked for":     {says(200, "a"), says(200, "b"), nil, ""},
		"another status":                  {says(200, ""), says(500, ""), nil, inStatus},
		"a redirect":                      {says(200, ""), http.RedirectHandler("/other", http.StatusFound).ServeHTTP, nil, inStatus},
		"the same errors":                 {says(500, "a"), says(500, "b"), nil, ""},
		"the same values, another layout": {says(200, `{"items":[{"price":1},{"price":2}],"total":3}`), says(200, `{"total": 3, "new": 1, "items": [{"price": 1}, {"price": 2}]}`), paths, ""},
		"another value":                   {says(200, `{"items":[{"price":1}]}`), says(200, `{"items":[{"price":2}]}`), paths, inJSON},
		"long numbers":                    {says(200, `{"total":9007199254740993}`), says(200, `{"total":9007199254740992}`), paths, inJSON},
		"one value less":                  {says(200, `{"items":[{"price":1},{"price":1}]}`), says(200, `{"items":[{"price":1}]}`), paths, inJSON},
		"a value in place of none":        {says(200, `{}`), says(200, `{"total":1}`), paths, inJSON},
		"another shape":                   {says(200, `{"items":[]}`), says(200, `{"items":"none"}`), paths, inJSON},
		"a whole object":                  {says(200, `{"total":{"a":1,"b":2,"c":3,"d":4}}`), says(200, `{"total":{"d":4,"c":3,"b":2,"a":1}}`), paths, ""},
		"no JSON":                         {says(200, `{"total":1}`), says(200, `oops`), paths, inJSON},
		"JSON in place of none":           {says(200, ``), says(200, `{"total":1}`), paths, inJSON},
		"both without JSON":               {says(204, ``), says(204, ``), paths, ""},
		"null in place of a list":         {says(200, `[{"price":1}]`), says(200, `null`), []string{"--json={[*].price}"}, inJSON},
		"null in place of anything":       {says(200, `{}`), says(200, `null`), []string{"--json={$}"}, inJSON},
		"both null":                       {says(200, `null`), says(200, `null`), []string{"--json={[*].price}", "--json={$}"}, ""},
		"more than one document":          {says(200, `{"total":1}`), says(200, `{"total":1}{}`), paths, inJSON},
		"cut off": {says(200, `{"total":1}`), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"total":1}`)
		}, paths, inAnswer},
		"no answer": {says(200, ""), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, inAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			p := compares(t, c.stable, c.candidate, c.args...)
			p.copies(t, get("/cart?user=secret"))
			want := map[string]int{"requests{cart-stable}": 1, "requests{cart-canary}": 1}
			if c.want != "" {
				want["different{cart-canary,"+c.want+"}"] = 1
			}
			NewWithT(t).Expect(p.counted(t)).To(Equal(want))
			if got := p.log.String(); (c.want != "") != strings.Contains(got, "service=cart-canary method=GET path=/cart difference=") || strings.Contains(got, "secret") {
				t.Errorf("log: %s", got)
			}
		})
	}
}

// TestWhatStableVariesBy is counted for stable: the guardrail compares the candidate with it.
func TestWhatStableVariesBy(t *testing.T) {
	var asked atomic.Int32
	p := compares(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"total":%d}`, asked.Add(1))
	}, says(200, `{"total":7}`), "--json=.total")
	p.copies(t, get("/"))
	NewWithT(t).Expect(p.counted(t)).To(Equal(map[string]int{
		"requests{cart-stable}": 1, "requests{cart-canary}": 1, "different{cart-stable,json}": 1, "different{cart-canary,json}": 1,
	}))
}

// TestSkipped is what is compared with nothing, and counted for neither version.
func TestSkipped(t *testing.T) {
	ok := says(200, "ok")
	for name, c := range map[string]struct {
		stable, candidate http.HandlerFunc
		args              []string
		request           *http.Request
		want              string
	}{
		"a method that changes something": {ok, ok, nil, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")), skippedMethod},
		"a target that is no path":        {ok, ok, []string{"--method=OPTIONS"}, httptest.NewRequest(http.MethodOptions, "*", nil), skippedTarget},
		"a large request":                 {ok, ok, []string{"--max-body=3"}, httptest.NewRequest(http.MethodGet, "/", strings.NewReader("four")), skippedTooLarge},
		"a large answer":                  {says(200, "four"), ok, []string{"--max-body=3", "--json=.a"}, get("/"), skippedTooLarge},
		"stable gives no answer":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ok, nil, get("/"), skippedNoReference},
	} {
		t.Run(name, func(t *testing.T) {
			p := compares(t, c.stable, c.candidate, c.args...)
			p.copies(t, c.request)
			NewWithT(t).Expect(p.counted(t)).To(Equal(map[string]int{"skipped{" + c.want + "}": 1}))
		})
	}
}

// TestBetweenRuns nobody is behind the canary Service.
func TestBetweenRuns(t *testing.T) {
	p := compares(t, says(200, ""), says(200, ""))
	gone := httptest.NewServer(nil)
	gone.Close()
	p.candidate.url.Host = gone.Listener.Addr().String()
	p.copies(t, get("/"))
	NewWithT(t).Expect(p.counted(t)).To(Equal(map[string]int{"skipped{no-candidate}": 1}))
}

// TestBusy skips a copy while all slots are taken, and waits for nothing.
func TestBusy(t *testing.T) {
	held := make(chan struct{})
	slow := func(http.ResponseWriter, *http.Request) { <-held }
	p := compares(t, slow, slow, "--concurrency=1")
	p.ServeHTTP(httptest.NewRecorder(), get("/"))
	p.ServeHTTP(httptest.NewRecorder(), get("/"))
	close(held)
	p.running.Wait()
	NewWithT(t).Expect(p.counted(t)).To(Equal(map[string]int{"requests{cart-stable}": 1, "requests{cart-canary}": 1, "skipped{busy}": 1}))
}

// TestASlowCopyGivesItsSlotBack, whatever a user leaves out of a request.
func TestASlowCopyGivesItsSlotBack(t *testing.T) {
	g := NewWithT(t)
	p := compares(t, says(200, ""), says(200, ""), "--concurrency=1")
	server := httptest.NewUnstartedServer(nil)
	server.Config = serverOf(p, 500*time.Millisecond)
	server.Start()
	t.Cleanup(server.CloseClientConnections)
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = connection.Close() })
	fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: cart\r\nContent-Length: 4\r\n\r\n")
	g.Eventually(func() map[string]int { return p.counted(t) }).WithTimeout(10 * time.Second).Should(Equal(map[string]int{"skipped{cut-off}": 1}))
	g.Expect(p.slots).To(BeEmpty())
}

// TestBothVersionsGetTheSameRequest, and nobody else gets one, whatever the copy says.
func TestBothVersionsGetTheSameRequest(t *testing.T) {
	g := NewWithT(t)
	var lock sync.Mutex
	var got []string
	take := func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		lock.Lock()
		defer lock.Unlock()
		got = append(got, fmt.Sprintf("%s %s %s %s %s %v", r.Method, r.Host, r.RequestURI, body, r.Header.Get("X-User"), r.Header.Values("Connection")))
	}
	p := compares(t, take, take, "--method=POST")
	r := httptest.NewRequest(http.MethodPost, "http://elsewhere.example//a%2Fb?c=d", strings.NewReader("body"))
	r.Host = "cart.example-shadow"
	r.Header = http.Header{"X-User": {"ann"}, "Connection": {"x-hop"}, "X-Hop": {"1"}}
	p.copies(t, r)
	same := "POST cart.example //a%2Fb?c=d body ann []"
	g.Expect(got).To(Equal([]string{same, same, same}))
	p.copies(t, &http.Request{Method: http.MethodPost, URL: &url.URL{Opaque: "@elsewhere.example/"}, Body: http.NoBody})
	g.Expect(p.counted(t)).To(HaveKeyWithValue("skipped{target}", 1))
}

// TestHostsOfCopies are those of the requests: both versions would answer any other alike.
func TestHostsOfCopies(t *testing.T) {
	for host, want := range map[string]string{
		"cart.example": "cart.example", "cart.example-shadow": "cart.example", "cart.example-shadow:8080": "cart.example:8080",
		"cart.example:8080": "cart.example:8080", "[::1]:8080": "[::1]:8080", "[::1]-shadow": "[::1]", "[::1]-shadow:8080": "[::1]:8080",
	} {
		if got := unshadowed(host); got != want {
			t.Errorf("%s becomes %s, want %s", host, got, want)
		}
	}
}

// TestFlags says what to write.
func TestFlags(t *testing.T) {
	for wrong, want := range map[string]string{
		"":                                       "give the name of the Rollout",
		"--rollout=a":                            "POD_NAMESPACE",
		"--rollout=a --namespace=b what":         `"what" is no flag`,
		"--rollout=a --namespace=b --port=0":     "--port 0 is no port",
		"--rollout=a --namespace=b --timeout=0s": "must be above 0",
		"--rollout=a --namespace=b --stable=a-stable:80":             "--stable",
		"--rollout=a --namespace=b --candidate=http://a-canary/path": "such as http://a-canary:80",
		"--rollout=a --namespace=b --json=":                          "must not be empty",
		"--rollout=a --namespace=b --json={.items[}":                 "no JSONPath",
		"--rollout=a --namespace=b --json={.items[?(@.a)]}":          "has a filter",
		"--rollout=a --namespace=b --json={.prices.*}":               "name the fields",
		"--rollout=a --namespace=b --json={..price}":                 "name the fields",
		"--rollout=a --namespace=b --json={.a['b','c'].*}":           "name the fields",
	} {
		t.Setenv("POD_NAMESPACE", "")
		o, err := parse(strings.Fields(wrong))
		if err == nil {
			_, err = newComparer(o, prometheus.NewRegistry())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// TestNoConnectionIsNoAnswer of either version: pods that come and go are no noise of stable's.
func TestNoConnectionIsNoAnswer(t *testing.T) {
	ok, refused := answer{status: 200}, answer{err: &net.OpError{Op: "dial", Err: io.EOF}}
	for reason, answers := range map[string][3]answer{
		skippedNoReference: {ok, refused, ok}, skippedNoCandidate: {ok, ok, refused},
	} {
		p := compares(t, nil, nil)
		p.judge(request{method: "GET", url: &url.URL{Path: "/"}}, answers[0], answers[1], answers[2])
		NewWithT(t).Expect(p.counted(t)).To(Equal(map[string]int{"skipped{" + reason + "}": 1}))
	}
}

// TestAnswersAreDecodedOneAtATime: 64 at once of 1 MiB took 11 GiB.
func TestAnswersAreDecodedOneAtATime(t *testing.T) {
	g := NewWithT(t)
	p := compares(t, says(200, `{"a":1}`), says(200, `{"a":2}`), "--json=.a")
	p.decoding.Lock()
	for range 3 {
		p.ServeHTTP(httptest.NewRecorder(), get("/"))
	}
	g.Consistently(func() map[string]int { return p.counted(t) }).WithTimeout(200 * time.Millisecond).Should(BeEmpty())
	p.decoding.Unlock()
	p.running.Wait()
	g.Expect(p.counted(t)).To(HaveKeyWithValue("different{cart-canary,json}", 3))
}

// TestLargeHeaders are no answer: what a version sends takes a bounded part of the memory.
func TestLargeHeaders(t *testing.T) {
	p := compares(t, says(200, ""), func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	p.copies(t, get("/"))
	NewWithT(t).Expect(p.counted(t)).To(HaveKeyWithValue("different{cart-canary,answer}", 1))
}
