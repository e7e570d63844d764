package prometheus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// limits bound what an answer may cost.
type limits struct {
	bytes  int64
	series int
}

// rowsPerPod is how many rows a counts query returns for one pod.
const rowsPerPod = 3

// A row of a counts answer is a pod's name, of at most 253 bytes, and two
// numbers. What is around the rows, such as a warning, gets bytesAround.
const (
	bytesPerRow = 400
	bytesAround = 1 << 20
)

// limitsOf a MetricSource. Decoding takes six times the bytes of an answer, so
// an answer does not get more of them than its rows can need.
func limitsOf(l v1alpha1.MetricSourceLimits) limits {
	out := limits{series: int(l.Series)}
	out.bytes = min(l.Bytes, int64(out.rows())*bytesPerRow+bytesAround)
	return out
}

// rows of an answer.
func (l limits) rows() int { return l.series * rowsPerPod }

// A row of a counts answer is written in 11 JSON marks (see marks); what is
// around the rows in fewer than marksAround.
const (
	marksPerRow = 16
	marksAround = 256
)

// bounded turns everything but an answer within the limits into a QueryError.
// It sits outside http.Transport, so it counts decompressed bytes: a small
// compressed body cannot become a large one behind it.
type bounded struct {
	next   http.RoundTripper
	limits limits
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(request)
	if err != nil {
		return nil, transportError(request.Context(), err)
	}
	if response.StatusCode/100 == 2 {
		if response.ContentLength > b.limits.bytes {
			_ = response.Body.Close()
			return nil, failed(analysis.TooLarge, "the answer has %d bytes, %d are allowed", response.ContentLength, b.limits.bytes)
		}
		response.Body = &boundedBody{ReadCloser: response.Body, ctx: request.Context(), limits: b.limits}
		return response, nil
	}
	said, _ := io.ReadAll(io.LimitReader(response.Body, maxQuoted))
	_ = response.Body.Close()
	response.Body = http.NoBody
	if err := statusError(request.Method, response.StatusCode, string(said)); err != nil {
		return nil, err
	}
	return response, nil
}

// boundedBody is a body that fails past the limits instead of ending there: a
// part of an answer must not look like the whole.
type boundedBody struct {
	io.ReadCloser
	// ctx of the request, to tell a timeout from a body that broke off.
	ctx    context.Context
	limits limits
	read   int64
	marks  marks
}

// Read implements io.Reader. Its error is io.EOF or a *QueryError.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	b.marks.scan(p[:n])
	switch {
	case b.read > b.limits.bytes:
		return 0, failed(analysis.TooLarge, "the answer has more than %d bytes", b.limits.bytes)
	case b.marks.n > b.limits.rows()*marksPerRow+marksAround:
		return 0, failed(analysis.TooManySeries, "the answer has more series, or labels, than %d rows need", b.limits.rows())
	case err != nil && err != io.EOF:
		return 0, bodyError(b.ctx, err)
	}
	return n, err
}

// marks counts what makes JSON costly to decode: decoding many tiny values takes
// thirty times their size. Each value but the first has one of { [ , : before it.
type marks struct {
	n                 int
	inString, escaped bool
}

func (m *marks) scan(p []byte) {
	for _, c := range p {
		switch {
		case m.escaped:
			m.escaped = false
		case m.inString && c == '\\':
			m.escaped = true
		case c == '"':
			m.inString = !m.inString
		case !m.inString && (c == '{' || c == '[' || c == ',' || c == ':'):
			m.n++
		}
	}
}

// receipt is what is kept of an HTTP answer beside its content.
type receipt struct {
	sha256 string
	date   time.Time
}

type receiptKey struct{}

// reader is an api.Client that reads an answer once: the one it embeds, whose
// URLs it uses, copies it again and again while its buffer grows.
type reader struct {
	api.Client
	http *http.Client
}

// Do implements api.Client. A part of its error is a *QueryError.
func (r *reader) Do(ctx context.Context, request *http.Request) (*http.Response, []byte, error) {
	response, err := r.http.Do(request.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	if kept, ok := ctx.Value(receiptKey{}).(*receipt); ok {
		sum := sha256.Sum256(body)
		kept.sha256 = "sha256:" + hex.EncodeToString(sum[:])
		kept.date, _ = http.ParseTime(response.Header.Get("Date"))
	}
	return response, body, statusOfBody(response.StatusCode, body)
}

// statusOfBody refuses an answer that says neither success nor error: the API
// client takes everything but "error" for a success. What is no JSON is left to
// that client's own error.
func statusOfBody(code int, body []byte) error {
	var said struct {
		Status string `json:"status"`
	}
	err := json.Unmarshal(body, &said)
	if err == nil && code/100 == 2 && said.Status != "success" && said.Status != "error" {
		return failed(analysis.Malformed, "the answer's status is %s", quote(said.Status))
	}
	return nil
}
