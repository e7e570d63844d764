package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

func ref(name string) v1alpha1.SecretKeyRef { return v1alpha1.SecretKeyRef{Name: name, Key: "key"} }

// echoed is a secret whose value is its Secret's name.
func echoed(r v1alpha1.SecretKeyRef) (string, error) { return r.Name, nil }

func TestCredentialsAndHeadersAreSent(t *testing.T) {
	cases := map[string]struct {
		auth *v1alpha1.MetricSourceAuth
		want string
	}{
		"none":  {nil, ""},
		"basic": {&v1alpha1.MetricSourceAuth{Basic: &v1alpha1.BasicAuth{Username: "me", Password: ref("pass")}}, "Basic bWU6cGFzcw=="},
		"bearer": {&v1alpha1.MetricSourceAuth{
			Authorization: &v1alpha1.Authorization{Type: "Bearer", Credentials: ref("token")},
		}, "Bearer token"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got http.Header
			spec := defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
				got = r.Header
				say(http.StatusOK, vector())(w, r)
			}))
			spec.Auth = c.auth
			spec.Headers = []v1alpha1.Header{{Name: "X-Scope-OrgID", Value: "shop"}}
			client, err := NewClient(spec, echoed)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ask(t, client); err != nil {
				t.Fatal(err)
			}
			if got.Get("Authorization") != c.want || got.Get("X-Scope-OrgID") != "shop" || got.Get("User-Agent") != "belay" {
				t.Errorf("headers = %v, want Authorization %q", got, c.want)
			}
		})
	}
}

func TestNewClientRefuses(t *testing.T) {
	cases := map[string]struct {
		spec    func(*v1alpha1.MetricSourceSpec)
		secret  SecretKey
		wantErr string
	}{
		"a Secret that is missing": {func(s *v1alpha1.MetricSourceSpec) {
			s.Auth = &v1alpha1.MetricSourceAuth{Basic: &v1alpha1.BasicAuth{Username: "me", Password: ref("gone")}}
		}, noSecrets, `read key "key" of Secret "gone"`},
		"a CA that is none": {func(s *v1alpha1.MetricSourceSpec) {
			ca := ref("no certificate")
			s.TLS = &v1alpha1.MetricSourceTLS{CA: &ca}
		}, echoed, "set up TLS"},
		"a certificate that is none": {func(s *v1alpha1.MetricSourceSpec) {
			cert, key := ref("cert"), ref("key")
			s.TLS = &v1alpha1.MetricSourceTLS{Cert: &cert, Key: &key}
		}, echoed, "set up TLS"},
		"a header that belongs to the client": {func(s *v1alpha1.MetricSourceSpec) {
			s.Headers = []v1alpha1.Header{{Name: "Authorization", Value: "x"}}
		}, echoed, "Authorization"},
		"an address that is no URL": {func(s *v1alpha1.MetricSourceSpec) { s.Address = "http://%zz" }, echoed, "read the address"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			spec := defaults("http://localhost")
			c.spec(&spec)
			if _, err := NewClient(spec, c.secret); err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("NewClient() error = %v, want one saying %q", err, c.wantErr)
			}
		})
	}
}

// withTokens is a source that wants tokens of the endpoint given.
func withTokens(t *testing.T, endpoint http.HandlerFunc) (*Client, *atomic.Int32) {
	t.Helper()
	fetched := &atomic.Int32{}
	spec := impatient(defaults(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer granted" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		say(http.StatusOK, vector())(w, r)
	})))
	spec.Auth = &v1alpha1.MetricSourceAuth{OAuth2: &v1alpha1.OAuth2{
		ClientID: "belay", ClientSecret: ref("s3cret"), Scopes: []string{"read"},
		TokenURL: serve(t, func(w http.ResponseWriter, r *http.Request) {
			fetched.Add(1)
			endpoint(w, r)
		}),
	}}
	c, err := NewClient(spec, echoed)
	if err != nil {
		t.Fatal(err)
	}
	return c, fetched
}

func grant(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "read" || user != "belay" || password != "s3cret" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"access_token":"granted","token_type":"Bearer","expires_in":3600}`))
}

func TestATokenIsFetchedOnce(t *testing.T) {
	c, fetched := withTokens(t, grant)
	for range 3 {
		if _, err := ask(t, c); err != nil {
			t.Fatal(err)
		}
	}
	if n := fetched.Load(); n != 1 {
		t.Errorf("%d tokens were fetched for 3 queries, want 1", n)
	}
}

func TestATokenEndpointThatHangsDelaysNoQueryPastItsDeadline(t *testing.T) {
	var stuck atomic.Bool
	stuck.Store(true)
	c, _ := withTokens(t, func(w http.ResponseWriter, r *http.Request) {
		if stuck.Load() {
			hang(r)
			return
		}
		grant(w, r)
	})
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() {
			_, err := ask(t, c)
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; reasonOf(err) != analysis.Timeout {
			t.Errorf("error = %v, want Timeout", err)
		}
	}
	stuck.Store(false)
	if _, err := ask(t, c); err != nil {
		t.Errorf("after the endpoint has recovered: %v", err)
	}
}

func TestATokenEndpointThatRefusesIsAuth(t *testing.T) {
	var stolen atomic.Int32
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { stolen.Add(1) })
	cases := map[string]http.HandlerFunc{
		"refuses": say(http.StatusUnauthorized, strings.Repeat("marker ", 1000)),
		"fails":   say(http.StatusInternalServerError, strings.Repeat("marker ", 1000)),
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
		},
	}
	for name, endpoint := range cases {
		t.Run(name, func(t *testing.T) {
			c, _ := withTokens(t, endpoint)
			_, err := ask(t, c)
			if reasonOf(err) != analysis.Auth {
				t.Errorf("error = %v, want Auth", err)
			}
			if n := strings.Count(fmt.Sprint(err), "marker"); n*len("marker") > maxQuoted {
				t.Errorf("the error quotes %d bytes of the answer: %v", n*len("marker"), err)
			}
		})
	}
	if stolen.Load() > 0 {
		t.Error("the client's secret followed a redirect")
	}
}

func TestACanceledQueryEnds(t *testing.T) {
	entered := make(chan struct{})
	c := connect(t, defaults(serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		hang(r)
	})))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := c.Counts(ctx, "", "up", 1, stopped); reasonOf(err).Outcome() != analysis.Error {
		t.Errorf("error = %v, want an Error", err)
	}
}
