package prometheus

import (
	"context"
	"net/http"
	"net/url"

	"github.com/prometheus/common/config"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// tokens adds an OAuth2 access token to every request. It fetches the token within
// the request's own context; with oauth2.Transport, which prometheus/common uses,
// every query would wait for a token endpoint that hangs.
type tokens struct {
	next     http.RoundTripper
	grant    clientcredentials.Config
	endpoint *http.Client
	// lock is held while token is used or replaced; it is a channel so that waiting
	// for it ends with the request's context.
	lock  chan struct{}
	token *oauth2.Token
}

func newTokens(c config.OAuth2, proxy *url.URL, next http.RoundTripper) *tokens {
	return &tokens{
		next:  next,
		grant: clientcredentials.Config{ClientID: c.ClientID, ClientSecret: string(c.ClientSecret), TokenURL: c.TokenURL, Scopes: c.Scopes},
		endpoint: &http.Client{
			Transport: plainTransport(proxy),
			// A redirect would send the client's secret to another server.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		lock: make(chan struct{}, 1),
	}
}

// RoundTrip implements http.RoundTripper.
func (t *tokens) RoundTrip(request *http.Request) (*http.Response, error) {
	token, err := t.get(request.Context())
	if err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	token.SetAuthHeader(request)
	return t.next.RoundTrip(request)
}

func (t *tokens) get(ctx context.Context) (*oauth2.Token, error) {
	select {
	case t.lock <- struct{}{}:
		defer func() { <-t.lock }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if t.token.Valid() {
		return t.token, nil
	}
	token, err := t.grant.Token(context.WithValue(ctx, oauth2.HTTPClient, t.endpoint))
	if err == nil {
		t.token = token
	}
	return token, err
}
