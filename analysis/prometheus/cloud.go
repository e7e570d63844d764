package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/sigv4"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// late makes a round tripper when the first request needs it, because a cloud's
// credentials are found by asking the cloud. It tries again with the next request when
// that failed.
type late struct {
	make func(ctx context.Context) (http.RoundTripper, error)
	// lock is held while made is read or set; it is a channel so that waiting for it ends
	// with the request's context.
	lock chan struct{}
	made http.RoundTripper
}

func newLate(make func(ctx context.Context) (http.RoundTripper, error)) *late {
	return &late{make: make, lock: newLock()}
}

func newLock() chan struct{} { return make(chan struct{}, 1) }

// RoundTrip implements http.RoundTripper.
func (l *late) RoundTrip(request *http.Request) (*http.Response, error) {
	next, err := l.get(request.Context())
	if err != nil {
		return nil, err
	}
	return next.RoundTrip(request)
}

func (l *late) get(ctx context.Context) (http.RoundTripper, error) {
	select {
	case l.lock <- struct{}{}:
		defer func() { <-l.lock }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.made != nil {
		return l.made, nil
	}
	made, err := l.make(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, failed(analysis.Auth, "could not get the cloud's credentials: %s", quote(err.Error()))
	}
	l.made = made
	return made, nil
}

// signed signs requests by AWS Signature Version 4.
func signed(s v1alpha1.SigV4, look lookup, next http.RoundTripper) (http.RoundTripper, error) {
	c := sigv4.SigV4Config{Region: s.Region, ServiceName: s.Service, RoleARN: s.RoleARN}
	if s.AccessKey != nil && s.SecretKey != nil {
		access, err := look(*s.AccessKey)
		if err != nil {
			return nil, err
		}
		if c.SecretKey, err = look(*s.SecretKey); err != nil {
			return nil, err
		}
		c.AccessKey = string(access)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("set up sigV4: %w", err)
	}
	return newLate(func(ctx context.Context) (http.RoundTripper, error) {
		return sigv4.NewSigV4RoundTripper(&c, next, sigv4.WithContext(ctx))
	}), nil
}

// monitoringRead is the scope for queries (Google Cloud documentation, "Authorization
// scopes").
const monitoringRead = "https://www.googleapis.com/auth/monitoring.read"

// tokenWithin bounds a request for a token of Google.
const tokenWithin = 10 * time.Second

// withGoogleTokens adds an access token of Google to every request.
func withGoogleTokens(g v1alpha1.GoogleAuth, look lookup, proxy *url.URL, next http.RoundTripper) (http.RoundTripper, error) {
	var key config.Secret
	if g.Credentials != nil {
		var err error
		if key, err = look(*g.Credentials); err != nil {
			return nil, err
		}
	}
	endpoint := &http.Client{Transport: plainTransport(proxy), Timeout: tokenWithin}
	return newLate(func(ctx context.Context) (http.RoundTripper, error) {
		// Tokens are renewed after this request has ended.
		own := context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, endpoint)
		credentials, err := googleCredentials(own, key)
		if err != nil {
			return nil, err
		}
		return &oauth2.Transport{Source: credentials.TokenSource, Base: next}, nil
	}), nil
}

func googleCredentials(ctx context.Context, key config.Secret) (*google.Credentials, error) {
	if key == "" {
		return google.FindDefaultCredentials(ctx, monitoringRead)
	}
	return google.CredentialsFromJSONWithType(ctx, []byte(key), google.ServiceAccount, monitoringRead)
}
