package prometheus

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// limits bound the cost of a response.
type limits struct {
	bytes  int64
	series int
}

// rowsPerPod is how many series a counts query returns for one pod.
const rowsPerPod = 3

// A series of a counts response is a pod's name, of at most 253 bytes, and two
// numbers. bytesAround is for the rest of the response, such as a warning.
const (
	bytesPerRow = 400
	bytesAround = 1 << 20
)

// limitsOf returns the limits of a MetricSource. A response may not have more bytes
// than its series can need.
func limitsOf(l v1alpha1.MetricSourceLimits) limits {
	out := limits{series: int(l.Series)}
	out.bytes = min(l.Bytes, int64(out.rows())*bytesPerRow+bytesAround)
	return out
}

// rows is how many series a response may have.
func (l limits) rows() int { return l.series * rowsPerPod }

// A series is written with two opening braces; the rest of a response has fewer than
// bracesAround.
const (
	bracesPerRow = 2
	bracesAround = 256
)

// bounded turns everything but a response within the limits into a QueryError. It
// wraps http.Transport, so it counts decompressed bytes: a small compressed body
// cannot exceed the limits.
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
			return nil, ofQuery(analysis.TooLarge, "the response has %d bytes, %d are allowed", response.ContentLength, b.limits.bytes)
		}
		response.Body = &boundedBody{ReadCloser: response.Body, ctx: request.Context(), limits: b.limits}
		return response, nil
	}
	said, _ := io.ReadAll(io.LimitReader(response.Body, maxSaid))
	_ = response.Body.Close()
	response.Body = http.NoBody
	if err := statusError(request.Method, response.StatusCode, explanation(said)); err != nil {
		return nil, err
	}
	return response, nil
}

// boundedBody is a body that fails beyond the limits instead of ending there: a
// truncated response must not look like a complete one.
type boundedBody struct {
	io.ReadCloser
	// ctx of the request, to tell a timeout from a body that broke off.
	ctx    context.Context
	limits limits
	read   int64
	braces int
}

// Read implements io.Reader. Its error is io.EOF or a *QueryError.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	b.braces += bytes.Count(p[:n], []byte("{"))
	switch {
	case b.braces > b.limits.rows()*bracesPerRow+bracesAround:
		return 0, ofQuery(analysis.TooManySeries, "the response has more than %d series", b.limits.rows())
	case b.read > b.limits.bytes:
		return 0, ofQuery(analysis.TooLarge, "the response has more than %d bytes", b.limits.bytes)
	case err != nil && err != io.EOF:
		return 0, bodyError(b.ctx, err)
	}
	return n, err
}
