package prometheus

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// authorized returns a source and what it got as Authorization.
func authorized(t *testing.T) (spec v1alpha1.MetricSourceSpec, got *atomic.Value) {
	t.Helper()
	got = &atomic.Value{}
	return defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Authorization"))
		if r.FormValue("query") != "up" {
			t.Errorf("the query is %q", r.FormValue("query"))
		}
		say(http.StatusOK, vector())(w, r)
	})), got
}

func TestRequestsAreSignedForAWS(t *testing.T) {
	spec, got := authorized(t)
	access, secret := ref("AKIDEXAMPLE"), ref("secret")
	spec.Auth = &v1alpha1.MetricSourceAuth{SigV4: &v1alpha1.SigV4{Region: "eu-central-1", Service: "aps", AccessKey: &access, SecretKey: &secret}}
	c, err := NewClient(spec, echoed)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := ask(t, c); err != nil {
			t.Fatal(err)
		}
		header, _ := got.Load().(string)
		if !strings.HasPrefix(header, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") || !strings.Contains(header, "/eu-central-1/aps/aws4_request") {
			t.Errorf("Authorization is %q", header)
		}
	}
	if _, err := NewClient(spec, noSecrets); err == nil {
		t.Error("a Secret that is missing is let through")
	}
}

// TestGooglesTokensAreSent, got with the key of a service account; a token endpoint that
// refuses is an error of credentials, and the next query tries again.
func TestGooglesTokensAreSent(t *testing.T) {
	spec, got := authorized(t)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	var refuse atomic.Bool
	var asked atomic.Int32
	refuse.Store(true)
	key, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "belay@example.iam.gserviceaccount.com", "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"token_uri": serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if refuse.Load() {
				http.Error(w, `{"error":"invalid_grant"}`, http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}`)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	secret := ref("google")
	spec.Auth = &v1alpha1.MetricSourceAuth{Google: &v1alpha1.GoogleAuth{Credentials: &secret}}
	c, err := NewClient(spec, func(v1alpha1.SecretKeyRef) (string, error) { return string(key), nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, c); reasonOf(err) != analysis.Auth {
		t.Errorf("without a token: %v, want Auth", err)
	}
	refuse.Store(false)
	for range 2 {
		if _, err := ask(t, c); err != nil || got.Load() != "Bearer t0ken" {
			t.Errorf("Authorization is %q, %v", got.Load(), err)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the token was fetched %d times, want once and once in vain", n)
	}
	c, err = NewClient(spec, func(v1alpha1.SecretKeyRef) (string, error) { return `{"type":"external_account"}`, nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, c); reasonOf(err) != analysis.Auth {
		t.Errorf("with a key of another type: %v, want Auth", err)
	}
}
