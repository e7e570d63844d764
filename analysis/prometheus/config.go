package prometheus

import (
	"fmt"
	"net/url"

	"github.com/prometheus/common/config"

	"belay.dev/belay/api/v1alpha1"
)

// httpConfigOf maps a MetricSource to prometheus/common's client configuration.
// Secrets are put in inline, so that nothing is read from Belay's own files.
func httpConfigOf(spec v1alpha1.MetricSourceSpec, secret SecretKey) (config.HTTPClientConfig, error) {
	c := config.HTTPClientConfig{FollowRedirects: false, EnableHTTP2: true}
	c.TLSConfig.MinVersion = config.TLSVersions["TLS12"]
	look := func(ref v1alpha1.SecretKeyRef) (config.Secret, error) {
		value, err := secret(ref)
		if err != nil {
			return "", fmt.Errorf("read key %q of Secret %q: %w", ref.Key, ref.Name, err)
		}
		return config.Secret(value), nil
	}
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
			c.HTTPHeaders.Headers[h.Name] = config.Header{Values: []string{h.Value}}
		}
	}
	if _, err := url.Parse(spec.Address); err != nil {
		return c, fmt.Errorf("read the address: %w", err)
	}
	return c, c.Validate()
}

type lookup func(v1alpha1.SecretKeyRef) (config.Secret, error)

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
