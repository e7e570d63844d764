package prometheus

import (
	"context"
	"net/http"

	"github.com/prometheus/common/config"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// tokens puts an OAuth2 access token on every request. It fetches one within
// the request's own context; oauth2.Transport, and what prometheus/common makes
// of it, would let every query wait for a token endpoint that hangs.
type tokens struct {
	next     http.RoundTripper
	grant    clientcredentials.Config
	endpoint *http.Client
	// turn is held while token is used or replaced.
	turn  chan struct{}
	token *oauth2.Token
}

func newTokens(c config.OAuth2, next http.RoundTripper) *tokens {
	return &tokens{
		next:  next,
		grant: clientcredentials.Config{ClientID: c.ClientID, ClientSecret: string(c.ClientSecret), TokenURL: c.TokenURL, Scopes: c.Scopes},
		endpoint: &http.Client{
			Transport: plainTransport(),
			// A redirect would take the client's secret elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		turn: make(chan struct{}, 1),
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
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
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
