package prometheus

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
)

// marker fills hostile bodies: each time it shows in an error is text of the
// source that got out.
const marker = "LEAKED"

var filling = bytes.Repeat([]byte(marker), 64<<10/len(marker))

// maxHeap is how much a query may allocate in all, the answers' server in the
// same process included. What is live at any moment is less.
const maxHeap = 16 << 20

// verdict is what the judge makes of an answer, by the rules of a burn trigger
// on a candidate with one ready pod.
func verdict(answer Response, err error) analysis.Verdict {
	if err != nil {
		return analysis.Verdict{Reason: reasonOf(err), Message: err.Error()}
	}
	poll := analysis.Poll{EvaluatedAt: evaluated}
	for _, c := range answer.Counters {
		poll.Canary = append(poll.Canary, c.OfPod())
	}
	if v, ok := (analysis.Quality{ScrapeInterval: 15 * time.Second, ReadyPods: 1}).Judge(poll); !ok {
		return v
	}
	burn := analysis.Burn{Budget: 0.001, Rate: 14.4, Long: time.Hour, Short: 5 * time.Minute, MinimumSamples: 1}
	before := analysis.PodCounter{Pod: "a", SampledAt: evaluated.Add(-time.Minute)}
	ledger := analysis.Ledger{}.Advance(analysis.Poll{EvaluatedAt: before.SampledAt, Canary: []analysis.PodCounter{before}}, before.SampledAt)
	return burn.Judge(ledger.Advance(poll, before.SampledAt))
}

func TestTheVerdictOfTheseTestsCanPassAndFail(t *testing.T) {
	for bad, want := range map[int]analysis.Outcome{0: analysis.Pass, 500: analysis.Fail} {
		body := strings.Replace(vector(counters("a", 1000, bad, 4)), `"data"`, `"warnings":null,"isPartial":false,"data"`, 1)
		c := connect(t, defaults(serve(t, say(http.StatusOK, body))))
		if v := verdict(ask(t, c)); v.Outcome() != want {
			t.Errorf("%d bad of 1000: %s %s, want %s", bad, v.Outcome(), v.Message, want)
		}
	}
}

// attack asks a hostile source and checks what holds for every one of them.
func attack(t *testing.T, c *Client, want analysis.Reason) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	answer, err := ask(t, c)
	runtime.ReadMemStats(&after)
	v := verdict(answer, err)
	if v.Reason != want {
		t.Errorf("reason %q (%s), want %q", v.Reason, v.Message, want)
	}
	if o := v.Outcome(); o != analysis.Error && o != analysis.Inconclusive {
		t.Errorf("outcome %s, want Error or Inconclusive", o)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > maxHeap {
		t.Errorf("the query allocated %d bytes, %d are allowed", used, maxHeap)
	}
	if n := strings.Count(v.Message, marker) * len(marker); n > maxQuoted || len(v.Message) > maxQuoted+200 {
		t.Errorf("%d bytes of the answer in a message of %d bytes: %s", n, len(v.Message), v.Message)
	}
	if strings.ContainsFunc(v.Message, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("the message has bytes that are not printable: %q", v.Message)
	}
}

// flood answers with head and then chunk, n times or until the client has gone.
func flood(head string, chunk []byte, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		date(w, evaluated)
		_, err := io.WriteString(w, head)
		for i := 0; i < n && err == nil; i++ {
			_, err = w.Write(chunk)
		}
	}
}

// drip answers one byte at a time, slowly, without end.
func drip(head string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, head)
		tick := time.NewTicker(5 * time.Millisecond) //nolint:forbidigo // A slow source takes time.
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = w.Write([]byte(" "))
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
}

// compressed is n chunks as a gzip answer.
func compressed(t *testing.T, head string, chunk []byte, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, head)
	for i := 0; i < n && err == nil; i++ {
		_, err = w.Write(chunk)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		date(w, evaluated)
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(body)
	}
}

// raw answers every connection with bytes that net/http would not write.
func raw(t *testing.T, answer []byte) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write(answer)
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

// emptyLabels are n labels with names of their own.
func emptyLabels(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `"label_%d":"",`, i)
	}
	return out.String()
}

const opening = `{"status":"success","data":{"resultType":"vector","result":[`

func TestSlowSource(t *testing.T) {
	cases := map[string]http.HandlerFunc{
		"says nothing":                   func(_ http.ResponseWriter, r *http.Request) { hang(r) },
		"drips spaces before the answer": drip(""),
		"drips spaces within the answer": drip(opening),
		"drips the body of an error": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusGatewayTimeout)
			drip(marker)(w, r)
		},
		"says everything but the end":     drip(vector(counters("a", 1000, 500, 4))),
		"says that it has timed out":      say(http.StatusOK, `{"status":"error","errorType":"timeout","error":"query timed out"}`),
		"has a gateway that has given up": say(http.StatusGatewayTimeout, marker),
	}
	for name, handler := range cases {
		t.Run(name, func(t *testing.T) {
			attack(t, connect(t, impatient(defaults(serve(t, handler)))), analysis.Timeout)
		})
	}
	t.Run("accepts and never speaks TLS", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		attack(t, connect(t, impatient(defaults("https://"+listener.Addr().String()))), analysis.Timeout)
	})
}

func TestLargeAnswer(t *testing.T) {
	tiny := bytes.Repeat([]byte(`{"metric":{"pod":"a"},"value":[1,"1"]},`), 1000)
	long := []byte(`{"metric":{"pod":"` + string(filling) + `"},"value":[1,"1"]},`)
	cases := map[string]struct {
		handler http.HandlerFunc
		want    analysis.Reason
	}{
		"a million series":                {flood(opening, tiny, 1000), analysis.TooManySeries},
		"a million series, keys in upper": {flood(opening, bytes.ReplaceAll(tiny, []byte("metric"), []byte("METRIC")), 1000), analysis.TooManySeries},
		"a million series, keys escaped":  {flood(opening, bytes.ReplaceAll(tiny, []byte("metric"), []byte(`\u006detric`)), 1000), analysis.TooManySeries},
		"a million series of nothing":     {flood(opening, bytes.Repeat([]byte(`{},`), 1000), 1000), analysis.TooManySeries},
		"a million labels":                {flood(opening+`{"metric":{`, bytes.Repeat([]byte(`"a":"",`), 1000), 1000), analysis.TooLarge},
		"a million warnings":              {flood(`{"status":"success","warnings":[`, bytes.Repeat([]byte(`"",`), 1000), 1000), analysis.TooLarge},
		"nested a million deep":           {flood(`{"status":"success","data":`, bytes.Repeat([]byte(`[`), 1000), 1000), analysis.Malformed},
		"one string without end":          {flood(`{"status":"`, filling, 1<<20), analysis.TooLarge},
		"spaces without end":              {flood("", bytes.Repeat([]byte(" "), 64<<10), 1<<20), analysis.TooLarge},
		"long names":                      {flood(opening, long, 1<<20), analysis.TooLarge},
		"a length too large":              {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99999999999") }, analysis.TooLarge},
		"a gzip bomb of spaces":           {gzipped(compressed(t, opening, bytes.Repeat([]byte(" "), 1<<20), 256)), analysis.TooLarge},
		"a gzip bomb of series":           {gzipped(compressed(t, opening, tiny, 2000)), analysis.TooManySeries},
		"just small enough, and no end":   {flood(opening, long, 33), analysis.Truncated},
		"just small enough, and well formed": {
			say(http.StatusOK, vector(strings.TrimSuffix(strings.Repeat(string(long), 33), ","))), analysis.Malformed,
		},
		"as many labels as are let through": {
			say(http.StatusOK, vector(`{"metric":{`+emptyLabels(24000)+`"pod":"a","k":"total"},"value":[1,"1"]}`)), analysis.ClockSkew,
		},
		"as many empty rows as are let through": {
			say(http.StatusOK, vector(strings.TrimSuffix(strings.Repeat("{},", 24000), ","))), analysis.TooManySeries,
		},
		"an error of a megabyte": {
			say(http.StatusOK, `{"status":"error","errorType":"bad_data","error":"`+strings.Repeat(marker, 1<<20/len(marker))+`"}`), analysis.BadQuery,
		},
		"a warning of a megabyte": {
			say(http.StatusOK, `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["`+strings.Repeat(marker, 1<<20/len(marker))+`"]}`),
			analysis.Warning,
		},
		"an error page without end": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			flood("", filling, 1<<20)(w, r)
		}, analysis.HTTP5xx},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { attack(t, connect(t, defaults(serve(t, c.handler))), c.want) })
	}
	t.Run("a header without end", func(t *testing.T) {
		address := raw(t, []byte("HTTP/1.1 200 OK\r\nX-Fill: "+strings.Repeat(marker, 20<<20/len(marker))))
		attack(t, connect(t, defaults(address)), analysis.Unreachable)
	})
	t.Run("one string without end, at the highest limits", func(t *testing.T) {
		spec := defaults(serve(t, flood(`{"status":"`, filling, 1<<20)))
		spec.Limits.Series, spec.Limits.Bytes = 20_000, 16<<20
		attack(t, connect(t, spec), analysis.TooLarge)
	})
	t.Run("more rows than are allowed, one by one", func(t *testing.T) {
		spec := defaults(serve(t, say(http.StatusOK, vector(counters("a", 9, 0, 1), counters("b", 9, 0, 1)))))
		spec.Limits.Series = 1
		attack(t, connect(t, spec), analysis.TooManySeries)
	})
}

func TestBrokenAnswer(t *testing.T) {
	packed := compressed(t, vector(counters("a", 1000, 0, 4)), filling, 1)
	cases := map[string]http.HandlerFunc{
		"empty":                   say(http.StatusOK, ""),
		"no content":              func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"HTML":                    say(http.StatusOK, "<html><body>"+string(filling)),
		"two answers":             say(http.StatusOK, vector(counters("a", 1000, 0, 4))+vector()),
		"null":                    say(http.StatusOK, "null"),
		"a list":                  say(http.StatusOK, "[]"),
		"a number":                say(http.StatusOK, "1"),
		"no status":               say(http.StatusOK, `{"data":{"resultType":"vector","result":[`+counters("a", 1000, 0, 4)+`]}}`),
		"another status":          say(http.StatusOK, strings.Replace(vector(counters("a", 1000, 0, 4)), "success", string(filling), 1)),
		"no data":                 say(http.StatusOK, `{"status":"success"}`),
		"null for data":           say(http.StatusOK, `{"status":"success","data":null}`),
		"an error without a word": say(http.StatusOK, `{"status":"error"}`),
		"gzip corrupted":          gzipped(append(append([]byte{}, packed[:40]...), filling...)),
		"gzip that is none":       gzipped(filling),
		"404":                     say(http.StatusNotFound, string(filling)),
		"418":                     say(http.StatusTeapot, string(filling)),
	}
	for name, handler := range cases {
		t.Run(name, func(t *testing.T) { attack(t, connect(t, defaults(serve(t, handler))), analysis.Malformed) })
	}
}

func TestTruncatedAnswer(t *testing.T) {
	packed := compressed(t, vector(counters("a", 1000, 0, 4)), filling, 1)
	cases := map[string]http.HandlerFunc{
		"half of the JSON": say(http.StatusOK, vector(counters("a", 1000, 0, 4))[:120]),
		"a length cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			_, _ = io.WriteString(w, opening)
		},
		"a stream cut short": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, opening)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"gzip cut short": gzipped(packed[:len(packed)/2]),
		"one brace":      say(http.StatusOK, "{"),
	}
	for name, handler := range cases {
		t.Run(name, func(t *testing.T) { attack(t, connect(t, defaults(serve(t, handler))), analysis.Truncated) })
	}
}

func TestStatusCodes(t *testing.T) {
	good := vector(counters("a", 1000, 0, 4))
	cases := map[int]analysis.Reason{
		400: analysis.BadQuery, 401: analysis.Auth, 403: analysis.Auth, 404: analysis.Malformed, 405: analysis.Malformed,
		407: analysis.Auth, 408: analysis.Timeout, 422: analysis.Overload, 429: analysis.Overload, 499: analysis.Overload,
		500: analysis.HTTP5xx, 501: analysis.HTTP5xx, 502: analysis.HTTP5xx, 503: analysis.Overload, 504: analysis.Timeout, 599: analysis.HTTP5xx,
		300: analysis.Redirected, 301: analysis.Redirected, 302: analysis.Redirected, 307: analysis.Redirected, 308: analysis.Redirected,
	}
	for code, want := range cases {
		for body, text := range map[string]string{"page": string(filling), "good answer": good} {
			t.Run(fmt.Sprintf("%d with a %s", code, body), func(t *testing.T) {
				attack(t, connect(t, defaults(serve(t, say(code, text)))), want)
			})
		}
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	followed := make(chan string, 16)
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) {
		followed <- r.URL.Path
		say(http.StatusOK, vector(counters("a", 1000, 0, 4)))(w, r)
	})
	for name, to := range map[string]string{"another host": elsewhere + "/api/v1/query", "itself": "/api/v1/query", "a file": "file:///etc/passwd", "nothing": "", "no URL": "http://%zz/"} {
		t.Run(name, func(t *testing.T) {
			attack(t, connect(t, defaults(serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Location"] = []string{to}
				w.WriteHeader(http.StatusPermanentRedirect)
			}))), analysis.Redirected)
		})
	}
	if len(followed) > 0 {
		t.Errorf("a redirect was followed to %s", <-followed)
	}
}

func TestUnreachableSource(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	_ = listener.Close()
	cases := map[string]string{
		"refuses connections":    closed,
		"hangs up":               raw(t, nil),
		"is no HTTP server":      raw(t, filling),
		"has a name without end": "http://" + strings.Repeat("a", 400) + ".invalid",
	}
	for name, address := range cases {
		t.Run(name, func(t *testing.T) { attack(t, connect(t, defaults(address)), analysis.Unreachable) })
	}
}

func TestAStormOf5xxTakesNoSlotsAndEnds(t *testing.T) {
	const storm = 200
	codes := []int{500, 502, 503, 504}
	answered := 0
	spec := defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
		answered++
		if answered <= storm {
			say(codes[answered%len(codes)], string(filling))(w, r)
			return
		}
		say(http.StatusOK, vector(counters("a", 1000, 0, 4)))(w, r)
	}))
	spec.Limits.InFlight = 2
	c := connect(t, spec)
	for range storm {
		if v := verdict(ask(t, c)); v.Outcome() != analysis.Error {
			t.Fatalf("in the storm: %s %s, want Error", v.Outcome(), v.Message)
		}
	}
	if v := verdict(ask(t, c)); v.Outcome() != analysis.Pass {
		t.Errorf("after the storm: %s %s, want Pass", v.Outcome(), v.Message)
	}
}
