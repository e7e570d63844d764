package prometheus

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/config"

	"belay.dev/belay/api/v1alpha1"
)

// Transport is what carries the requests to a CheckEndpoint: TLS, credentials and a proxy
// as it says, by the same rules as those of a MetricSource. It does not connect.
func Transport(spec v1alpha1.CheckEndpointSpec, secret SecretKey) (http.RoundTripper, error) {
	return transportOf(v1alpha1.MetricSourceSpec{Address: spec.Address, Auth: spec.Auth, TLS: spec.TLS, Headers: spec.Headers, Proxy: spec.Proxy}, secret)
}

// transportOf builds what carries requests: TLS and credentials as the
// MetricSource says, without proxies of the environment.
func transportOf(spec v1alpha1.MetricSourceSpec, secret SecretKey) (http.RoundTripper, error) {
	c, err := httpConfigOf(spec, secret)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := config.NewTLSConfig(&c.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("set up TLS: %w", err)
	}
	proxy, err := proxyOf(spec.Proxy, secret)
	if err != nil {
		return nil, err
	}
	transport := plainTransport(proxy)
	transport.TLSClientConfig = tlsConfig
	var next http.RoundTripper = transport
	if c.HTTPHeaders != nil {
		next = config.NewHeadersRoundTripper(c.HTTPHeaders, next)
	}
	switch {
	case c.BasicAuth != nil:
		next = config.NewBasicAuthRoundTripper(inline(c.BasicAuth.Username), inline(string(c.BasicAuth.Password)), next)
	case c.Authorization != nil:
		next = config.NewAuthorizationCredentialsRoundTripper(c.Authorization.Type, inline(string(c.Authorization.Credentials)), next)
	case spec.Auth != nil && spec.Auth.SigV4 != nil:
		next, err = signed(*spec.Auth.SigV4, lookIn(secret), next)
	case spec.Auth != nil && spec.Auth.Google != nil:
		next, err = withGoogleTokens(*spec.Auth.Google, lookIn(secret), proxy, next)
	case c.OAuth2 != nil:
		next = newTokens(*c.OAuth2, proxy, next)
	}
	return config.NewUserAgentRoundTripper("belay", next), err
}

func inline(text string) config.SecretReader { return config.NewInlineSecret(text) }

// plainTransport bounds what a peer can cost before there is a body; how long
// it may take is bounded by each request's context. proxy may be nil.
func plainTransport(proxy *url.URL) *http.Transport {
	through := func(*http.Request) (*url.URL, error) { return proxy, nil }
	return &http.Transport{
		Proxy:             through,
		ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second,
	}
}

// proxyOf is the URL of the proxy with its credentials; nil for none.
func proxyOf(p *v1alpha1.MetricSourceProxy, secret SecretKey) (*url.URL, error) {
	if p == nil {
		return nil, nil
	}
	proxy, err := url.Parse(p.URL)
	if err != nil {
		return nil, fmt.Errorf("read the proxy's URL: %w", err)
	}
	if p.Basic != nil {
		password, err := lookIn(secret)(p.Basic.Password)
		if err != nil {
			return nil, err
		}
		proxy.User = url.UserPassword(p.Basic.Username, string(password))
	}
	return proxy, nil
}

func headerOf(h v1alpha1.Header, look lookup) (config.Header, error) {
	if h.ValueFrom == nil {
		return config.Header{Values: []string{h.Value}}, nil
	}
	value, err := look(*h.ValueFrom)
	if err == nil && strings.ContainsAny(string(value), "\r\n\x00") {
		err = fmt.Errorf("the value for header %q in Secret %q is not one line of text: remove its line breaks", h.Name, h.ValueFrom.Name)
	}
	return config.Header{Secrets: []config.Secret{value}}, err
}

// httpConfigOf maps a MetricSource to prometheus/common's client configuration,
// which validates it. Secrets are put in inline, so that nothing is read from
// Belay's own files.
func httpConfigOf(spec v1alpha1.MetricSourceSpec, secret SecretKey) (config.HTTPClientConfig, error) {
	var c config.HTTPClientConfig
	c.TLSConfig.MinVersion = config.TLSVersions["TLS12"]
	look := lookIn(secret)
	if spec.Auth != nil {
		if err := authenticate(&c, *spec.Auth, look); err != nil {
			return c, err
		}
	}
	if spec.TLS != nil {
		if err := secure(&c.TLSConfig, *spec.TLS, look); err != nil {
			return c, err
		}
	}
	if len(spec.Headers) > 0 {
		c.HTTPHeaders = &config.Headers{Headers: map[string]config.Header{}}
		for _, h := range spec.Headers {
			own, err := headerOf(h, look)
			if err != nil {
				return c, err
			}
			c.HTTPHeaders.Headers[h.Name] = own
		}
	}
	if _, err := url.Parse(spec.Address); err != nil {
		return c, fmt.Errorf("read the address: %w", err)
	}
	return c, c.Validate()
}

type lookup func(v1alpha1.SecretKeyRef) (config.Secret, error)

func lookIn(secret SecretKey) lookup {
	return func(ref v1alpha1.SecretKeyRef) (config.Secret, error) {
		value, err := secret(ref)
		if err != nil {
			return "", fmt.Errorf("read key %q of Secret %q: %w", ref.Key, ref.Name, err)
		}
		return config.Secret(value), nil
	}
}

func authenticate(c *config.HTTPClientConfig, auth v1alpha1.MetricSourceAuth, look lookup) error {
	switch {
	case auth.Basic != nil:
		password, err := look(auth.Basic.Password)
		c.BasicAuth = &config.BasicAuth{Username: auth.Basic.Username, Password: password}
		return err
	case auth.Authorization != nil:
		credentials, err := look(auth.Authorization.Credentials)
		c.Authorization = &config.Authorization{Type: auth.Authorization.Type, Credentials: credentials}
		return err
	case auth.OAuth2 != nil:
		secret, err := look(auth.OAuth2.ClientSecret)
		c.OAuth2 = &config.OAuth2{
			ClientID: auth.OAuth2.ClientID, ClientSecret: secret,
			TokenURL: auth.OAuth2.TokenURL, Scopes: auth.OAuth2.Scopes,
		}
		return err
	}
	return nil
}

func secure(c *config.TLSConfig, t v1alpha1.MetricSourceTLS, look lookup) error {
	c.ServerName = t.ServerName
	if t.CA != nil {
		ca, err := look(*t.CA)
		if err != nil {
			return err
		}
		c.CA = string(ca)
	}
	if t.Cert == nil || t.Key == nil {
		return nil
	}
	cert, err := look(*t.Cert)
	if err != nil {
		return err
	}
	key, err := look(*t.Key)
	c.Cert, c.Key = string(cert), key
	return err
}
