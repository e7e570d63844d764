package checks

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// server is an endpoint of checks over HTTP. It keeps what it was asked.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	reply    http.HandlerFunc
}

func newServer(t *testing.T, reply http.HandlerFunc) *server {
	s := &server{reply: reply}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests, s.bodies = append(s.requests, r), append(s.bodies, string(body))
		s.mu.Unlock()
		s.reply(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func webhookTrigger() v1alpha1.Trigger {
	return v1alpha1.Trigger{Name: "load", Check: &v1alpha1.CheckTrigger{Webhook: &v1alpha1.WebhookCheck{Endpoint: "load-test", Path: "/checkout/smoke"},
		Timeout: metav1.Duration{Duration: 10 * time.Second}, Retries: new(int32(1)), Each: v1alpha1.EachStep}}
}

func endpointAt(address string) *v1alpha1.CheckEndpoint {
	return &v1alpha1.CheckEndpoint{ObjectMeta: metav1.ObjectMeta{Name: "load-test"}, Spec: v1alpha1.CheckEndpointSpec{Address: address,
		Auth:    &v1alpha1.MetricSourceAuth{Authorization: &v1alpha1.Authorization{Type: "Bearer", Credentials: v1alpha1.SecretKeyRef{Name: "token", Key: "token"}}},
		Headers: []v1alpha1.Header{{Name: "X-Tenant", Value: "shop"}}, NamespaceSelector: metav1.LabelSelector{MatchLabels: map[string]string{"checks": "yes"}}}}
}

func surroundings(address string) []client.Object {
	return []client.Object{endpointAt(address), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"checks": "yes"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "belay", Name: "token"}, Data: map[string][]byte{"token": []byte("s3cret")}}}
}

// finished reconciles until the run's newest check has an outcome.
func (b *bench) finished() v1alpha1.CheckStatus {
	b.t.Helper()
	var newest v1alpha1.CheckStatus
	b.g.Eventually(func(g Gomega) {
		checks := b.look()
		g.Expect(checks).NotTo(BeEmpty())
		newest = checks[len(checks)-1]
		g.Expect(newest.Outcome).NotTo(BeEmpty())
	}).WithTimeout(20 * time.Second).WithPolling(5 * time.Millisecond).Should(Succeed())
	return newest
}

func TestTheRequestOfACheck(t *testing.T) {
	s := newServer(t, says(200, `{"outcome":"Pass","message":"42 carts bought"}`))
	b := newBench(t, webhookTrigger(), surroundings(s.URL+"/base/")...)
	b.g.Expect(b.look()[0].Endpoint).To(Equal("load-test"), "recorded before it is sent")
	got := b.finished()
	b.g.Expect(got.Outcome).To(Equal(v1alpha1.VerdictPass))
	b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckPassed))
	b.g.Expect(got.Message).To(Equal(`CheckEndpoint "load-test" says Pass: "42 carts bought"`))
	b.g.Expect(b.look()).To(HaveLen(1))
	b.g.Expect(s.asked()).To(Equal(1))
	r := s.requests[0]
	b.g.Expect(r.Method + " " + r.URL.Path).To(Equal("POST /base/checkout/smoke"))
	b.g.Expect(r.Header.Get("Authorization")).To(Equal("Bearer s3cret"))
	b.g.Expect(r.Header.Get("X-Tenant")).To(Equal("shop"))
	b.g.Expect(r.Header.Get("Content-Type")).To(Equal("application/json"))
	key := keyOf(b.run(), &got)
	b.g.Expect(r.Header.Get(keyHeader)).To(Equal(key))
	b.g.Expect(s.bodies[0]).To(MatchJSON(fmt.Sprintf(`{"rollout":"shop","namespace":"shop","run":"shop-abcdef0123-1","guardrail":"shop","trigger":"load","step":0,"weight":10,
		"revision":"abcdef0123","images":["shop:2"],"service":"shop-canary","attempt":1,"idempotencyKey":%q}`, key)))
	b.g.Expect(b.loop.calls.open).To(BeEmpty(), "nothing is kept")
}

func TestResponsesOfEndpoints(t *testing.T) {
	const pass, fail, unknown = v1alpha1.VerdictPass, v1alpha1.VerdictFail, v1alpha1.VerdictInconclusive
	padded := func(bytes int) string {
		body := `{"outcome":"Pass","message":""}`
		return body + strings.Repeat(" ", bytes-len(body))
	}
	for name, tc := range map[string]struct {
		reply   http.HandlerFunc
		outcome v1alpha1.VerdictOutcome
		reason  string
		says    string
	}{
		"Pass":                  {says(200, `{"outcome":"Pass"}`), pass, v1alpha1.ReasonCheckPassed, `CheckEndpoint "load-test" says Pass`},
		"Fail":                  {says(200, `{"outcome":"Fail","message":"p99\n1.2 s"}`), fail, v1alpha1.ReasonCheckFailed, `says Fail: "p99\n1.2 s"`},
		"Inconclusive":          {says(200, `{"outcome":"Inconclusive","message":"no users"}`), unknown, v1alpha1.ReasonCheckInconclusive, `says Inconclusive: "no users"`},
		"Error is none of them": {says(200, `{"outcome":"Error"}`), unknown, v1alpha1.ReasonCheckNoAnswer, `outcome "Error", which is not Pass, Fail or Inconclusive`},
		"pass is none of them":  {says(200, `{"outcome":"pass"}`), unknown, v1alpha1.ReasonCheckNoAnswer, `outcome "pass"`},
		"no outcome":            {says(200, `{}`), unknown, v1alpha1.ReasonCheckNoAnswer, `outcome ""`},
		"no JSON":               {says(200, `OK`), unknown, v1alpha1.ReasonCheckNoAnswer, "not the JSON of an outcome"},
		"two values":            {says(200, `{"outcome":"Pass"}{"outcome":"Fail"}`), unknown, v1alpha1.ReasonCheckNoAnswer, "not the JSON of an outcome"},
		"empty":                 {says(200, ``), unknown, v1alpha1.ReasonCheckNoAnswer, "not the JSON of an outcome"},
		"as large as may be":    {says(200, padded(64<<10)), pass, v1alpha1.ReasonCheckPassed, "says Pass"},
		"too large":             {says(200, padded(64<<10+1)), unknown, v1alpha1.ReasonCheckNoAnswer, "more than 65536 bytes"},
		"a long message":        {says(200, `{"outcome":"Fail","message":"`+strings.Repeat("é", 4000)+`"}`), fail, v1alpha1.ReasonCheckFailed, `é..."`},
		"500 is no Fail":        {says(500, `{"outcome":"Fail","message":"secret"}`), unknown, v1alpha1.ReasonCheckNoAnswer, "responded with status 500, not 200"},
		"202 is no Pass":        {says(202, `{"outcome":"Pass"}`), unknown, v1alpha1.ReasonCheckNoAnswer, "status 202"},
		"a body that breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"outcome":"Pass"}`)
		}, unknown, v1alpha1.ReasonCheckNoAnswer, "broke off"},
		"a broken connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unknown, v1alpha1.ReasonCheckNoAnswer, "could not be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tc.reply)
			b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
			got := b.finished()
			b.g.Expect(got.Outcome).To(Equal(tc.outcome), got.Message)
			b.g.Expect(got.Reason).To(Equal(tc.reason))
			b.g.Expect(got.Message).To(ContainSubstring(tc.says))
			b.g.Expect(got.Message).NotTo(ContainSubstring("secret"))
			b.g.Expect(len(got.Message)).To(BeNumerically("<=", 256))
		})
	}
}

// TestARedirectIsNotFollowed: it would reach an address that the platform team did not give.
func TestARedirectIsNotFollowed(t *testing.T) {
	other := newServer(t, says(200, `{"outcome":"Pass"}`))
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
	b.g.Expect(b.finished().Message).To(ContainSubstring("status 307"))
	b.g.Expect(other.asked()).To(BeZero())
}

func TestAnEndpointThatDoesNotRespond(t *testing.T) {
	hanging := make(chan struct{})
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-hanging:
		}
	})
	t.Cleanup(func() { close(hanging) })
	trigger := webhookTrigger()
	trigger.Check.Timeout.Duration = 200 * time.Millisecond
	b := newBench(t, trigger, surroundings(s.URL)...)
	got := b.finished()
	b.g.Expect(got.Outcome).To(Equal(v1alpha1.VerdictInconclusive))
	b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckTimedOut))
	b.g.Expect(got.Message).To(Equal(`CheckEndpoint "load-test" has not responded within 200ms`))
}

// TestARequestOfAProcessThatEnded is sent again with the same key, until its deadline.
func TestARequestOfAProcessThatEnded(t *testing.T) {
	hanging := make(chan struct{})
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-hanging:
			says(200, `{"outcome":"Pass"}`)(w, r)
		}
	})
	b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
	b.look()
	b.g.Eventually(s.asked).WithTimeout(10 * time.Second).Should(Equal(1))
	b.look()
	b.g.Expect(s.asked()).To(Equal(1), "one process sends it once")
	b.restart()
	b.look()
	b.g.Eventually(s.asked).WithTimeout(10 * time.Second).Should(Equal(2))
	b.g.Expect(s.requests[1].Header.Get(keyHeader)).To(Equal(s.requests[0].Header.Get(keyHeader)))
	close(hanging)
	b.g.Expect(b.finished().Outcome).To(Equal(v1alpha1.VerdictPass))
	b.g.Expect(b.run().Status.Checks).To(HaveLen(1))
}

func TestARequestThatIsTooLateToSendAgain(t *testing.T) {
	s := newServer(t, says(200, `{"outcome":"Pass"}`))
	b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
	b.finished()
	run := b.run()
	run.Status.Checks[0].Outcome, run.Status.Checks[0].FinishedAt = "", nil
	b.g.Expect(b.client.Status().Update(t.Context(), run)).To(Succeed())
	b.restart()
	b.clock.Step(10 * time.Second)
	b.g.Expect(b.look()[0].Reason).To(Equal(v1alpha1.ReasonCheckTimedOut))
	b.g.Expect(s.asked()).To(Equal(1))
}

// TestTheRequestsOfARunThatEnds are cancelled.
func TestTheRequestsOfARunThatEnds(t *testing.T) {
	cancelled := make(chan struct{})
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(cancelled)
	})
	b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
	b.look()
	b.g.Eventually(s.asked).WithTimeout(10 * time.Second).Should(Equal(1))
	b.editRollout(func(r *v1alpha1.RolloutStatus) { r.Phase = v1alpha1.PhaseRollingBack })
	b.g.Expect(b.look()[0].Outcome).To(BeEmpty())
	b.g.Eventually(cancelled).WithTimeout(10 * time.Second).Should(BeClosed())
	b.g.Expect(b.loop.calls.open).To(BeEmpty())
}

// TestEndpointsThatMayNotBeUsed get no request.
func TestEndpointsThatMayNotBeUsed(t *testing.T) {
	for name, tc := range map[string]struct {
		change func([]client.Object) []client.Object
		says   string
	}{
		"missing":       {func(o []client.Object) []client.Object { return o[1:] }, `CheckEndpoint "load-test" does not exist`},
		"of others":     {func(o []client.Object) []client.Object { o[1].SetLabels(nil); return o }, `does not allow namespace "shop"`},
		"of no Secret":  {func(o []client.Object) []client.Object { return o[:2] }, `cannot be used: "read key \"token\" of Secret \"token\"`},
		"of no address": {func(o []client.Object) []client.Object { o[0] = endpointAt("http://[::1"); return o }, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, says(200, `{"outcome":"Pass"}`))
			b := newBench(t, webhookTrigger(), tc.change(surroundings(s.URL))...)
			got := b.look()[0]
			b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckNotStarted))
			b.g.Expect(got.Message).To(ContainSubstring(tc.says))
			b.g.Expect(b.loop.calls.open).To(BeEmpty(), "it keeps no place")
			b.clock.Step(5 * time.Minute)
			b.g.Expect(b.look()[0].Outcome).To(Equal(v1alpha1.VerdictInconclusive))
			b.g.Expect(s.asked()).To(BeZero())
		})
	}
}

// TestTheEventOfAResponse wakes the run.
func TestTheEventOfAResponse(t *testing.T) {
	s := newServer(t, says(200, `{"outcome":"Pass"}`))
	b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
	b.look()
	b.g.Eventually(b.loop.calls.ended()).WithTimeout(10 * time.Second).Should(Receive(HaveField("Object", HaveField("ObjectMeta.Name", runKey.Name))))
}
