package prometheus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// authority issues certificates for these tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	return authority{sign(t, template, template, key, key), key}
}

func sign(t *testing.T, template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// issue makes a certificate for a name or an address, good until the time given.
func (a authority) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{name},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return tls.Certificate{Certificate: [][]byte{sign(t, template, a.certificate, key, a.key).Raw}, PrivateKey: key}
}

func (a authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}))
}

// serveTLS returns the address of a source with the TLS configuration given.
func serveTLS(t *testing.T, c *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(say(http.StatusOK, vector(counters("a", 1000, 0, 4))))
	server.TLS = c
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// trusting is a client that trusts the authority and expects a server's name.
func trusting(t *testing.T, address string, a authority, serverName string) *Client {
	t.Helper()
	spec := defaults(address)
	ca := ref("ca")
	spec.TLS = &v1alpha1.MetricSourceTLS{CA: &ca, ServerName: serverName}
	c, err := NewClient(spec, func(v1alpha1.SecretKeyRef) (string, error) { return a.pem(), nil })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	pool := x509.NewCertPool()
	pool.AddCert(ours.certificate)
	good := ours.issue(t, "source.test", later)
	with := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }

	t.Run("trusted", func(t *testing.T) {
		if v := verdict(ask(t, trusting(t, serveTLS(t, with(good)), ours, "source.test"))); v.Outcome() != analysis.Pass {
			t.Errorf("%s %s, want Pass", v.Outcome(), v.Message)
		}
	})
	cases := map[string]*tls.Config{
		"another authority":        with(theirs.issue(t, "source.test", later)),
		"expired":                  with(ours.issue(t, "source.test", before)),
		"not yet valid":            with(ours.issue(t, "source.test", later.Add(96*time.Hour))),
		"another host":             with(ours.issue(t, strings.Repeat(marker+".", 30)+"test", later)),
		"wants a certificate":      {Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool},
		"a version that is broken": {Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			attack(t, trusting(t, serveTLS(t, c), ours, "source.test"), analysis.TLSFailure)
		})
	}
	t.Run("the system's roots do not know it", func(t *testing.T) {
		attack(t, connect(t, defaults(serveTLS(t, with(good)))), analysis.TLSFailure)
	})
	t.Run("plain HTTP where TLS was asked for", func(t *testing.T) {
		plain := serve(t, say(http.StatusOK, vector(counters("a", 1000, 0, 4))))
		attack(t, connect(t, defaults("https"+strings.TrimPrefix(plain, "http"))), analysis.TLSFailure)
	})
	t.Run("TLS where plain HTTP was asked for", func(t *testing.T) {
		attack(t, connect(t, defaults("http"+strings.TrimPrefix(serveTLS(t, with(good)), "https"))), analysis.BadQuery)
	})
}
