package prometheus

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/oauth2"

	"belay.dev/belay/analysis"
)

// QueryError says why a query has no usable response. Its message is printable ASCII
// and quotes at most 256 bytes of the source's text.
type QueryError struct {
	Reason  analysis.Reason
	Message string
	// OfQuery is set when the source says that this query is the cause, by a status of 4xx
	// or a response beyond the limits.
	OfQuery bool
	// LacksBucket is set when a histogram has no bucket with the threshold as its bound.
	LacksBucket bool
}

// MayBeSize reports whether a query for fewer pods may get a response.
func (e *QueryError) MayBeSize() bool {
	return e.OfQuery || e.Reason == analysis.Timeout || e.Reason == analysis.Overload
}

func (e *QueryError) Error() string { return string(e.Reason) + ": " + e.Message }

func failed(reason analysis.Reason, format string, args ...any) *QueryError {
	return &QueryError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// ofQuery is failed for an error whose cause is the query.
func ofQuery(reason analysis.Reason, format string, args ...any) *QueryError {
	e := failed(reason, format, args...)
	e.OfQuery = true
	return e
}

// maxQuoted is how many bytes of a source's text are shown, including the quotes.
const maxQuoted = 256

// quote bounds and quotes a source's text, so that it is safe to store and to print.
func quote(text string) string {
	for n := min(len(text), maxQuoted-2); ; {
		quoted := strconv.QuoteToASCII(ends(text, n))
		if len(quoted) <= maxQuoted {
			return quoted
		}
		// Escapes made it longer than maxQuoted, so the new n is smaller.
		n = n * maxQuoted / len(quoted)
	}
}

// ends are the n bytes of a text that say most: what it is about, and how it ends, because an
// error ends with its cause.
func ends(text string, n int) string {
	const gap = " ... "
	kept := n - len(gap)
	if len(text) <= n || kept <= 0 {
		return text[:n]
	}
	return text[:kept/2] + gap + text[len(text)-(kept-kept/2):]
}

// maxSaid is how much of the body of an error is read, in bytes: VictoriaMetrics repeats the
// query, escaped, before it says what is wrong with it.
const maxSaid = 64 << 10

// explanation is what the body of an error says: the field error when it is a response of the
// API, otherwise all of it.
func explanation(body []byte) string {
	if e, _ := decode(bytes.NewReader(body), (*jsontext.Decoder).SkipValue); e.message != "" {
		return e.message
	}
	return string(body)
}

// unknownFunction matches what Prometheus (promql/parser), Thanos and Mimir (which use it) and
// VictoriaMetrics (app/vmselect/promql/eval.go) say about a function that they do not have.
var unknownFunction = regexp.MustCompile(`unknown function with name|unsupported function "|unknown func "`)

// noTenant is what Mimir and Cortex answer to a request without the header X-Scope-OrgID
// (github.com/grafana/dskit/user/id.go).
const noTenant = "no org id"

// statusError is the error of an HTTP status; nil for one whose body is to be read.
func statusError(method string, code int, said string) error {
	switch {
	case code >= 200 && code < 300:
		return nil
	case method == http.MethodPost && (code == http.StatusMethodNotAllowed || code == http.StatusNotImplemented):
		// The client repeats the query with GET.
		return nil
	case code >= 300 && code < 400:
		return failed(analysis.Redirected, "the source returned HTTP status %d: redirects are not followed", code)
	case code == http.StatusUnauthorized && strings.TrimSpace(said) == noTenant:
		return failed(analysis.Auth, "the source returned HTTP status %d because the query names no tenant: set X-Scope-OrgID in spec.headers of the MetricSource", code)
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusProxyAuthRequired:
		return failed(analysis.Auth, "the source returned HTTP status %d: check the MetricSource's credentials", code)
	case code == http.StatusRequestTimeout || code == http.StatusGatewayTimeout:
		return failed(analysis.Timeout, "the source returned HTTP status %d: %s", code, quote(said))
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable || code == statusCanceled:
		return failed(analysis.Overload, "the source returned HTTP status %d: %s", code, quote(said))
	case (code == http.StatusBadRequest || code == http.StatusUnprocessableEntity) && unknownFunction.MatchString(said):
		return ofQuery(analysis.BadQuery, "the source does not have a function of the query (if it is one of native histograms, remove \"histograms: Native\" from the indicator): %s", quote(said))
	case code == http.StatusUnprocessableEntity:
		// Prometheus: "expression cannot be executed", as with too many samples.
		return ofQuery(analysis.Overload, "the source could not execute the query: %s", quote(said))
	case code == http.StatusBadRequest:
		return ofQuery(analysis.BadQuery, "the source refused the query: %s", quote(said))
	case code == http.StatusRequestEntityTooLarge || code == http.StatusRequestURITooLong:
		return ofQuery(analysis.TooLarge, "the query or its response is too long for the source, which returned HTTP status %d: %s", code, quote(said))
	case code >= 500:
		return failed(analysis.HTTP5xx, "the source returned HTTP status %d: %s", code, quote(said))
	default:
		return failed(analysis.Malformed, "the source returned HTTP status %d: %s", code, quote(said))
	}
}

// statusCanceled is the status that Prometheus returns for a query that it gave up.
const statusCanceled = 499

// queryError turns an error of the HTTP client into a QueryError.
func queryError(ctx context.Context, err error) *QueryError {
	var known *QueryError
	var wrapped *url.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &wrapped):
		return transportError(ctx, wrapped.Err)
	default:
		return transportError(ctx, err)
	}
}

// transportError finds the reason why no response came.
func transportError(ctx context.Context, err error) *QueryError {
	var known *QueryError
	var token *oauth2.RetrieveError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &token):
		return failed(analysis.Auth, "could not get an access token: %s", quote(err.Error()))
	case ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		return failed(analysis.Timeout, "no response within the query timeout")
	case isTLS(err):
		return failed(analysis.TLSFailure, "%s", quote(err.Error()))
	default:
		return failed(analysis.Unreachable, "%s", quote(err.Error()))
	}
}

func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	// A TLS alert has no type of its own; crypto/tls sets the operation.
	var alert *net.OpError
	return errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &record) ||
		errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error")
}

var errEndedEarly = failed(analysis.Truncated, "the response ended early")

// bodyError finds the reason why a response did not end as it should.
func bodyError(ctx context.Context, err error) *QueryError {
	reason := transportError(ctx, err)
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errEndedEarly
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return failed(analysis.Malformed, "the response cannot be decompressed: %s", quote(err.Error()))
	case reason.Reason == analysis.Unreachable:
		return failed(analysis.Truncated, "the response was cut off: %s", quote(err.Error()))
	default:
		return reason
	}
}
