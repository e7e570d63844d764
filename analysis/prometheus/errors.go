package prometheus

import (
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
	"strconv"

	"golang.org/x/oauth2"

	"belay.dev/belay/analysis"
)

// QueryError is an answer that did not come, or cannot be used. Its message is
// printable ASCII and holds at most 256 quoted bytes of what the source said.
type QueryError struct {
	Reason  analysis.Reason
	Message string
}

func (e *QueryError) Error() string { return string(e.Reason) + ": " + e.Message }

func failed(reason analysis.Reason, format string, args ...any) *QueryError {
	return &QueryError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// maxQuoted is how much of a source's text is shown, in bytes, quotes included.
const maxQuoted = 256

// quote makes a source's text safe to store and to print.
func quote(text string) string {
	for n := min(len(text), maxQuoted-2); ; {
		quoted := strconv.QuoteToASCII(text[:n])
		if len(quoted) <= maxQuoted {
			return quoted
		}
		// Escapes made it longer; the quotient is below n.
		n = n * maxQuoted / len(quoted)
	}
}

// statusError is the reason of an HTTP status; nil for one that has an answer.
func statusError(method string, code int, said string) error {
	switch {
	case code >= 200 && code < 300:
		return nil
	case method == http.MethodPost && (code == http.StatusMethodNotAllowed || code == http.StatusNotImplemented):
		// The client asks again with GET.
		return nil
	case code >= 300 && code < 400:
		return failed(analysis.Redirected, "the source answered %d: redirects are not followed", code)
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusProxyAuthRequired:
		return failed(analysis.Auth, "the source answered %d: check the MetricSource's credentials", code)
	case code == http.StatusRequestTimeout || code == http.StatusGatewayTimeout:
		return failed(analysis.Timeout, "the source answered %d: %s", code, quote(said))
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable || code == statusCanceled:
		return failed(analysis.Overload, "the source answered %d: %s", code, quote(said))
	case code == http.StatusUnprocessableEntity:
		// Prometheus: "expression cannot be executed", as with too many samples.
		return failed(analysis.Overload, "the source could not execute the query: %s", quote(said))
	case code == http.StatusBadRequest:
		return failed(analysis.BadQuery, "the source refused the query: %s", quote(said))
	case code >= 500:
		return failed(analysis.HTTP5xx, "the source answered %d: %s", code, quote(said))
	default:
		return failed(analysis.Malformed, "the source answered %d: %s", code, quote(said))
	}
}

// statusCanceled is what Prometheus answers for a query that it gave up.
const statusCanceled = 499

// queryError is the reason of an error of the client.
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

// transportError tells apart what kept an answer from coming.
func transportError(ctx context.Context, err error) *QueryError {
	var known *QueryError
	var token *oauth2.RetrieveError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &token):
		return failed(analysis.Auth, "no access token: %s", quote(err.Error()))
	case ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		return failed(analysis.Timeout, "no answer within the query timeout")
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
	// A TLS alert has no type of its own; crypto/tls marks it by the operation.
	var alert *net.OpError
	return errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &record) ||
		errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error")
}

var errEndedEarly = failed(analysis.Truncated, "the answer ended early")

// bodyError is the reason of an answer that began and did not end.
func bodyError(ctx context.Context, err error) *QueryError {
	reason := transportError(ctx, err)
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errEndedEarly
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return failed(analysis.Malformed, "the answer is not compressed as it says: %s", quote(err.Error()))
	case reason.Reason == analysis.Unreachable:
		return failed(analysis.Truncated, "the answer broke off: %s", quote(err.Error()))
	default:
		return reason
	}
}
