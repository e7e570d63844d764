//go:build servers

package servers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/backtest"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// written is Prometheus with a past that was written to it: it scrapes nothing, and takes
// samples of any time of the last day.
var written = server{"Prometheus with a past", "prometheus", func(config, data, address string) []string {
	text := "global: {scrape_interval: 15s}\nstorage: {tsdb: {out_of_order_time_window: 24h}}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		panic(err)
	}
	return []string{"--config.file=" + config, "--storage.tsdb.path=" + data, "--web.listen-address=" + address, "--log.level=error", "--web.enable-remote-write-receiver"}
}}

const (
	// past is how much of it there is, and onset is when the candidate begins to fail.
	past  = 3 * time.Hour
	onset = 2 * time.Hour
	every = 15 * time.Second
)

// series is a counter of the past, by the time since its beginning.
type series struct {
	metric, pod string
	value       func(since time.Duration) float64
}

// pastOf are two counters for each of six pods with 20 requests a second. The candidate's two
// have 5 % errors from the onset on, the others 0.05 %.
func pastOf() []series {
	var out []series
	for _, pod := range []string{"shop-new-aaaaa", "shop-new-bbbbb", "shop-old-aaaaa", "shop-old-bbbbb", "shop-old-ccccc", "shop-old-ddddd"} {
		out = append(out,
			series{"requests_total", pod, func(since time.Duration) float64 { return math.Floor(20 * since.Seconds()) }},
			series{"errors_total", pod, func(since time.Duration) float64 {
				bad := 20 * 0.0005 * since.Seconds()
				if since > onset && pod[:8] == "shop-new" {
					bad += 20 * 0.0495 * (since - onset).Seconds()
				}
				return math.Floor(bad)
			}})
	}
	return out
}

// remoteWrite sends the series by the remote write protocol: a WriteRequest as Protocol
// Buffers, in the block format of Snappy (Prometheus documentation, "Remote-Write 1.0").
func remoteWrite(url string, begin time.Time, all []series) error {
	field := func(to []byte, number int, value []byte) []byte {
		to = binary.AppendUvarint(append(to, byte(number<<3|2)), uint64(len(value)))
		return append(to, value...)
	}
	var request []byte
	for _, s := range all {
		var one []byte
		for _, l := range [][2]string{{"__name__", s.metric}, {"instance", s.pod + ":80"}, {"namespace", "shop"}, {"pod", s.pod}} {
			one = field(one, 1, field(field(nil, 1, []byte(l[0])), 2, []byte(l[1])))
		}
		for since := time.Duration(0); since <= past; since += every {
			sample := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(s.value(since)))
			one = field(one, 2, binary.AppendUvarint(append(sample, 2<<3), uint64(begin.Add(since).UnixMilli())))
		}
		request = field(request, 1, one)
	}
	// All of it is literals with a length of two bytes, whose tag is 61.
	block := binary.AppendUvarint(nil, uint64(len(request)))
	for len(request) > 0 {
		n := min(len(request), 1<<16)
		block = binary.LittleEndian.AppendUint16(append(block, 61<<2), uint16(n-1)) // #nosec G115 -- at most 1<<16
		block, request = append(block, request[:n]...), request[n:]
	}
	answer, err := http.Post(url+"/api/v1/write", "application/x-protobuf", bytes.NewReader(block))
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode/100 != 2 {
		said := make([]byte, 256)
		n, _ := answer.Body.Read(said)
		return fmt.Errorf("HTTP status %d: %s", answer.StatusCode, said[:n])
	}
	return nil
}

// TestABacktestOfThreeHours: a fault of the past is found, before it none is, and a healthy
// version is never worse than itself.
func TestABacktestOfThreeHours(t *testing.T) {
	g := NewWithT(t)
	url := written.start(t)
	// The newest sample is some minutes old, of a time that is no multiple of the interval.
	begin := time.Now().Add(-past - 10*time.Minute).Truncate(every).Add(4 * time.Second)
	g.Eventually(func() error { return remoteWrite(url, begin, pastOf()) }, 30*time.Second, 250*time.Millisecond).Should(Succeed())

	spec := v1alpha1.MetricSourceSpec{Address: url, Limits: v1alpha1.MetricSourceLimits{Series: 1000, Bytes: 4 << 20, InFlight: 2}}
	spec.ScrapeInterval.Duration, spec.Limits.Timeout.Duration = every, 20*time.Second
	source, err := prometheus.NewClient(spec, nil)
	g.Expect(err).NotTo(HaveOccurred())
	windows, err := backtest.Sliding(begin.Add(time.Minute), begin.Add(past), 15*time.Minute, 10*time.Minute, 100)
	g.Expect(err).NotTo(HaveOccurred())
	asked := backtest.Spec{
		Namespace: "shop", ScrapeInterval: every, Windows: windows, Onset: begin.Add(onset),
		Arms: backtest.Arms{Candidate: []string{"shop-new"}, Stable: []string{"shop-old"}}, Stages: []backtest.Stage{{Weight: 33}},
		Guardrail: v1alpha1.GuardrailSpec{MinimumSamples: 100, SLOs: []v1alpha1.SLO{{Name: "availability", Objective: "99.9", Period: "30d", Indicator: v1alpha1.Indicator{
			Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "requests_total"}, Bad: v1alpha1.Series{Metric: "errors_total"}}}}}},
	}
	got, err := backtest.Run(t.Context(), source, asked, nil)
	g.Expect(err).NotTo(HaveOccurred())
	t.Log("\n" + got.Text(3))
	// Windows of 15 minutes that begin at 1, 11, 21 … minutes: the first that sees the fault
	// begins at 111, the last at 161.
	g.Expect(got.Releases).To(Equal(17))
	g.Expect(got.Unjudged).To(BeZero())
	g.Expect(got.Fired).To(Equal(6))
	g.Expect(got.Triggers[0].BeforeOnset).To(BeZero())
	g.Expect(got.Triggers[0].FromOnset.Most).To(BeNumerically("<=", 90))
	for _, f := range got.Fires {
		g.Expect(f.Reason).To(Equal(string(analysis.RegressionFound)))
	}

	// At a time of the past there is what an instant query had then.
	query, err := prometheus.IndicatorQuery(asked.Guardrail.SLOs[0].Indicator, prometheus.Pods{Namespace: "shop", ReplicaSets: []string{"shop-new", "shop-old"}})
	g.Expect(err).NotTo(HaveOccurred())
	at := begin.Add(past).Truncate(every)
	over, err := source.CountsOver(t.Context(), "shop", query, prometheus.Times{From: at.Add(-time.Minute), Step: every, Count: 5})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(over[4].Counters).To(HaveLen(6))
	for _, c := range over[4].Counters {
		g.Expect(c.SampledAt).To(BeTemporally("==", at.Add(4*time.Second-every)))
		g.Expect(c.Total).To(Equal(math.Floor(20 * c.SampledAt.Sub(begin).Seconds())))
	}

	asked.Arms, asked.Stages, asked.Onset = backtest.Arms{Split: []string{"shop-old"}, Seeds: []uint64{1, 2, 3}}, nil, time.Time{}
	got, err = backtest.Run(t.Context(), source, asked, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Releases).To(Equal(51))
	g.Expect(got.Fired + got.Unjudged).To(BeZero())
}
