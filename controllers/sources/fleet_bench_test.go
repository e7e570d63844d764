package sources

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// fixtureAt makes this test binary the fixture source of a benchmark, with
// samples of that Unix time in milliseconds, until its standard input ends: in a
// process of its own it costs the benchmark no CPU time.
const fixtureAt = "BELAY_FIXTURE_AT"

func TestMain(m *testing.M) {
	at := os.Getenv(fixtureAt)
	if at == "" {
		os.Exit(m.Run())
	}
	milliseconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		panic(err)
	}
	f := serveFleet(time.UnixMilli(milliseconds))
	defer f.Close()
	inner := f.Config.Handler
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/queries" {
			fmt.Fprint(w, f.asked())
			return
		}
		inner.ServeHTTP(w, r)
	})
	fmt.Fprintln(os.Stdout, f.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// distantFleet starts a fixture source in another process and returns its URL.
func distantFleet(b *testing.B, now time.Time) string {
	b.Helper()
	command := exec.Command(os.Args[0]) // #nosec G204 -- this very binary
	command.Env = append(os.Environ(), fmt.Sprintf("%s=%d", fixtureAt, now.UnixMilli()))
	stop, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	says, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stop.Close()
		_ = command.Wait()
	})
	url, err := bufio.NewReader(says).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(url)
}

func queriesOf(b *testing.B, url string) float64 {
	b.Helper()
	response, err := http.Get(url + "/queries") // #nosec G107 -- our own fixture
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkFleetPoll is one poll of all runs in progress: three indicators each,
// two pods each, asked of a fixture source over HTTP, counted and judged. The
// CPU time is this process's, the garbage collector's in it.
func BenchmarkFleetPoll(b *testing.B) {
	for _, runs := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(runs), func(b *testing.B) {
			now := time.UnixMilli(time.Now().UnixMilli())
			url := distantFleet(b, now)
			c := clocktesting.NewFakeClock(now)
			a := NewQuerier(NewClients(nil, "belay", time.Hour), c, time.Second)
			source := sourcestest.At(url, 1000)
			asks := fleetOf(b, runs, sourcestest.Requests("errors"), sourcestest.Requests("timeouts"), sourcestest.Requests("lost"))
			judge := analysis.Default(0.001, 3, 200)
			ledgers, states := make([]analysis.Ledger, 3*runs), make([]analysis.RegressionState, 3*runs)
			b.ReportAllocs()
			var asked, judged time.Duration
			for b.Loop() {
				before := cpu()
				replies := asks.poll(b, a, c, source)
				between := cpu()
				// The fixture's samples do not age.
				c.SetTime(now)
				for i, own := range replies {
					for k, r := range own {
						if r.Err != nil {
							b.Fatal(r.Err)
						}
						n := 3*i + k
						ledgers[n] = ledgers[n].Advance(analysis.Poll{EvaluatedAt: r.At, Canary: podsOf(r.Pods[:1]), Stable: podsOf(r.Pods[1:])}, now)
						states[n] = judge.Observe(states[n], ledgers[n])
						judge.Judge(states[n], ledgers[n])
					}
				}
				asked, judged = asked+between-before, judged+cpu()-between
			}
			state, err := json.Marshal(map[string]any{"ledger": ledgers[0], "evidence": states[0]})
			if err != nil {
				b.Fatal(err)
			}
			perPoll := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
			b.ReportMetric(queriesOf(b, url)/float64(b.N), "queries/poll")
			b.ReportMetric(perPoll(asked), "ask-cpu-ms/poll")
			b.ReportMetric(perPoll(judged), "judge-cpu-ms/poll")
			b.ReportMetric(float64(len(state)), "state-B/indicator")
		})
	}
}

func podsOf(counters []prometheus.Counter) (out []analysis.PodCounter) {
	for _, c := range counters {
		out = append(out, c.OfPod())
	}
	return out
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
