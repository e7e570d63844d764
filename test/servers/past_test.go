//go:build servers

package servers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"belay.dev/belay/analysis/prometheus"
)

// series has a sample at each interval of its past. value is by the time since its beginning.
type series struct {
	metric string
	labels map[string]string
	value  func(since time.Duration) float64
}

// counter counts this many a second.
func counter(metric string, perSecond float64, labels map[string]string) series {
	return series{metric, labels, func(since time.Duration) float64 { return math.Floor(perSecond * since.Seconds()) }}
}

// past are series with a sample at begin and at every interval until length has passed.
type past struct {
	begin         time.Time
	length, every time.Duration
	all           []series
}

// pod are the labels of a scraped pod, and more.
func pod(namespace, name string, more ...string) map[string]string {
	labels := map[string]string{"instance": name + ":80", "namespace": namespace, "pod": name}
	for i := 0; i < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	return labels
}

// write sends the past by the remote write protocol: a WriteRequest as Protocol Buffers, in
// the block format of Snappy (Prometheus documentation, "Remote-Write 1.0").
func (p past) write(url string) error {
	field := func(to []byte, number int, value []byte) []byte {
		to = binary.AppendUvarint(append(to, byte(number<<3|2)), uint64(len(value)))
		return append(to, value...)
	}
	var request []byte
	for _, s := range p.all {
		labels := maps.Clone(s.labels)
		labels["__name__"] = s.metric
		var one []byte
		for _, name := range slices.Sorted(maps.Keys(labels)) {
			one = field(one, 1, field(field(nil, 1, []byte(name)), 2, []byte(labels[name])))
		}
		for since := time.Duration(0); since <= p.length; since += p.every {
			sample := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(s.value(since)))
			one = field(one, 2, binary.AppendUvarint(append(sample, 2<<3), uint64(p.begin.Add(since).UnixMilli()))) // #nosec G115 -- after 1970
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
	answer, err := http.Post(url+"/api/v1/write", "application/x-protobuf", bytes.NewReader(block)) // #nosec G107 -- of this test
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

// until is a past that ended just now, so that an instant query has its newest samples.
func until(now time.Time, length, every time.Duration, all ...series) past {
	return past{now.Add(-length).Truncate(time.Millisecond), length, every, all}
}

// newest is the time of the last sample.
func (p past) newest() prometheus.Times {
	return prometheus.Times{From: p.begin.Add(p.length), Step: time.Second, Count: 1}
}

// send writes the past as soon as the server accepts it.
func (p past) send(t *testing.T, url string) {
	t.Helper()
	NewWithT(t).Eventually(func() error { return p.write(url) }, 30*time.Second, 250*time.Millisecond).Should(Succeed())
}

// with starts a server and gives it a past. It returns a client of it when the query has this
// many counters at the time of the newest sample. connect makes the client, nil a plain one.
func (s server) with(t *testing.T, p past, connect func(url string) *prometheus.Client, query string, counters int) *prometheus.Client {
	t.Helper()
	if connect == nil {
		connect = func(url string) *prometheus.Client { return client(t, url, every) }
	}
	url, write := s.receiver(t)
	p.send(t, write)
	c := connect(url)
	NewWithT(t).Eventually(func(g Gomega) {
		over, err := c.CountsOver(t.Context(), "shop", query, p.newest())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(over[0].Counters).To(HaveLen(counters))
	}, 60*time.Second, 250*time.Millisecond).Should(Succeed())
	return c
}
