package prometheus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"belay.dev/belay/analysis"
)

// QueryError is an answer that did not come, or cannot be used.
type QueryError struct {
	Reason  analysis.Reason
	Message string
}

func (e *QueryError) Error() string { return string(e.Reason) + ": " + e.Message }

func failed(reason analysis.Reason, format string, args ...any) *QueryError {
	message := fmt.Sprintf(format, args...)
	if len(message) > 400 {
		message = message[:400]
	}
	return &QueryError{Reason: reason, Message: message}
}

// receipt is what is kept of an HTTP answer beside its content.
type receipt struct {
	sha256 string
	bytes  int
	date   time.Time
}

type receiptKey struct{}

// bounded reads an answer whole before anything decodes it, up to limits, and
// turns everything but a plain answer into a QueryError. It sits outside
// http.Transport, so it counts decompressed bytes: a small compressed body
// cannot become a large one behind it.
type bounded struct {
	next      http.RoundTripper
	maxBytes  int64
	maxSeries int
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(request)
	if err != nil {
		return nil, transportError(request.Context(), err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.ContentLength > b.maxBytes {
		return nil, failed(analysis.TooLarge, "the answer has %d bytes, %d are allowed", response.ContentLength, b.maxBytes)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, b.maxBytes+1))
	if err != nil {
		return nil, transportError(request.Context(), fmt.Errorf("read the answer: %w", err))
	}
	if int64(len(body)) > b.maxBytes {
		return nil, failed(analysis.TooLarge, "the answer has more than %d bytes", b.maxBytes)
	}
	if err := statusError(response.StatusCode, body); err != nil {
		return nil, err
	}
	// Counted before decoding, because decoding many tiny series takes thirty
	// times their size.
	if n := bytes.Count(body, []byte(`"metric"`)); n > b.maxSeries*rowsPerPod {
		return nil, failed(analysis.TooManySeries, "the answer has %d series, %d are allowed", n, b.maxSeries*rowsPerPod)
	}
	if r, ok := request.Context().Value(receiptKey{}).(*receipt); ok {
		sum := sha256.Sum256(body)
		r.sha256, r.bytes = "sha256:"+hex.EncodeToString(sum[:]), len(body)
		r.date, _ = http.ParseTime(response.Header.Get("Date"))
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

func statusError(code int, body []byte) error {
	said := body[:min(len(body), 200)]
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusMethodNotAllowed || code == http.StatusNotImplemented:
		// The client asks again with GET.
		return nil
	case code >= 300 && code < 400:
		return failed(analysis.Redirected, "the source answered %d: redirects are not followed", code)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return failed(analysis.Auth, "the source answered %d: check the MetricSource's credentials", code)
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		return failed(analysis.Overload, "the source answered %d", code)
	case code == http.StatusBadRequest || code == http.StatusUnprocessableEntity:
		return failed(analysis.BadQuery, "the source answered %d: %q", code, said)
	case code >= 500:
		return failed(analysis.HTTP5xx, "the source answered %d: %q", code, said)
	default:
		return failed(analysis.Malformed, "the source answered %d: %q", code, said)
	}
}

// transportError tells apart what kept an answer from coming.
func transportError(ctx context.Context, err error) *QueryError {
	var known *QueryError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &known):
		return known
	case ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		return failed(analysis.Timeout, "no answer within the query timeout")
	case errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &record):
		return failed(analysis.TLSFailure, "%q", err.Error())
	case errors.Is(err, io.ErrUnexpectedEOF):
		return failed(analysis.Malformed, "the answer ended early")
	default:
		return failed(analysis.Unreachable, "%q", err.Error())
	}
}
