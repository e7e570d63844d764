package checks

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
)

func endpointNamed(name string) *v1alpha1.CheckEndpoint {
	return &v1alpha1.CheckEndpoint{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CheckEndpointSpec{Address: "http://127.0.0.1:1"}}
}

func webhookTo(endpoint string) v1alpha1.Trigger {
	return v1alpha1.Trigger{Name: endpoint, Check: &v1alpha1.CheckTrigger{Webhook: &v1alpha1.WebhookCheck{Endpoint: endpoint}, Timeout: metav1.Duration{Duration: time.Minute}, Retries: new(int32(1)), Each: v1alpha1.EachStep}}
}

// hang opens so many requests of one run that do not end by themselves, and returns how many
// got a place.
func (b *bench) hang(namespace, endpoint string, n int) (open int) {
	run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "hangs"}}
	b.t.Cleanup(func() { b.loop.calls.cancelRun(client.ObjectKeyFromObject(run)) })
	for i := range n {
		key := fmt.Sprint(namespace, "-", endpoint, "-", i)
		if b.loop.calls.reserve(key, run, endpoint) != "" {
			continue
		}
		open++
		b.loop.calls.begin(b.t.Context(), key, run, time.Hour, func(ctx context.Context) *outcome {
			<-ctx.Done()
			return inconclusive(v1alpha1.ReasonCheckTimedOut, "hangs")
		})
	}
	return open
}

// TestHangingRequestsOfOthers, of one namespace with several endpoints, or of several
// namespaces to one endpoint, keep no request of this run.
func TestHangingRequestsOfOthers(t *testing.T) {
	for name, hang := range map[string]func(*bench){
		"of a namespace": func(b *bench) {
			open := 0
			for i := range 4 {
				open += b.hang("noisy", fmt.Sprint("hangs-", i), 100)
			}
			b.g.Expect(open).To(Equal(maxCallsOfNamespace))
		},
		"to an endpoint": func(b *bench) {
			open := 0
			for i := range 12 {
				open += b.hang(fmt.Sprint("noisy-", i), "hangs", maxCallsOfNamespace)
			}
			b.g.Expect(open).To(Equal(maxCallsToEndpoint))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, says(200, `{"outcome":"Pass"}`))
			b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
			hang(b)
			b.g.Expect(b.finished().Outcome).To(Equal(v1alpha1.VerdictPass))
		})
	}
}

// TestARequestWithoutAPlace says what it waits for, and starts when there is one.
func TestARequestWithoutAPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		hang func(*bench)
		says string
	}{
		"of its namespace": {func(b *bench) { b.hang("shop", "other", 100) }, `namespace "shop" has 64 requests to CheckEndpoints open, as many as a namespace may have; it starts when one of them ends`},
		"of its endpoint": {func(b *bench) {
			for i := range 4 {
				b.hang(fmt.Sprint("noisy-", i), "load-test", 100)
			}
		}, `CheckEndpoint "load-test" has 256 requests open, as many as an endpoint may have; it starts when one of them ends`},
		"at all": {func(b *bench) {
			for i := range 8 {
				b.hang(fmt.Sprint("noisy-", i), fmt.Sprint("hangs-", i%2), 100)
			}
		}, `512 requests to CheckEndpoints are open, as many as there may be; it starts when one of them ends`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, says(200, `{"outcome":"Pass"}`))
			b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
			tc.hang(b)
			for range 100 {
				got := b.look()[0]
				b.g.Expect(got.Message).To(Equal(tc.says))
				b.g.Expect(got.Reason).To(Equal(v1alpha1.ReasonCheckNotStarted))
				b.g.Expect(got.Outcome).To(BeEmpty(), "it is not the check's fault, however long it lasts")
				b.g.Expect(b.next.RequeueAfter).To(Equal(whenFull))
				b.clock.Step(whenFull)
			}
			b.g.Expect(s.asked()).To(BeZero())
			for _, namespace := range []string{"shop", "noisy-0"} {
				b.loop.calls.cancelRun(types.NamespacedName{Namespace: namespace, Name: "hangs"})
			}
			got := b.look()[0]
			b.g.Expect(got.Endpoint).To(Equal("load-test"))
			b.g.Expect(got.Message).To(BeEmpty())
			b.g.Expect(got.StartedAt.Time).To(BeTemporally("==", b.clock.Now()), "the timeout begins now")
			b.g.Expect(b.finished().Outcome).To(Equal(v1alpha1.VerdictPass))
		})
	}
}

// TestTheChecksOfOneRun are bounded in one round too.
func TestTheChecksOfOneRun(t *testing.T) {
	b := newBench(t, jobTrigger(), endpointNamed("slow"), &corev1.Namespace{ObjectMeta: meta("shop")})
	var triggers []v1alpha1.Trigger
	for i := range maxCallsOfNamespace + 2 {
		trigger := webhookTo("slow")
		trigger.Name = fmt.Sprint("check-", i)
		triggers = append(triggers, trigger)
	}
	b.pin(triggers...)
	started := 0
	for _, c := range b.look() {
		if c.Started() {
			started++
		}
	}
	b.g.Expect(started).To(Equal(maxCallsOfNamespace))
}

// TestARequestThatIsNotRecorded is not sent, and keeps no place.
func TestARequestThatIsNotRecorded(t *testing.T) {
	s := newServer(t, says(200, `{"outcome":"Pass"}`))
	b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
	b.fail(interceptor.Funcs{SubResourceApply: func(context.Context, client.Client, string, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
		return errors.New("the record is refused")
	}})
	b.g.Expect(b.reconcile()).To(MatchError(ContainSubstring("the record is refused")))
	b.g.Expect(b.loop.calls.open).To(BeEmpty())
	b.fail(interceptor.Funcs{})
	b.g.Expect(b.finished().Outcome).To(Equal(v1alpha1.VerdictPass))
	b.g.Expect(s.asked()).To(Equal(1))
}

// TestARequestOfAProcessThatEndedWithoutAPlace waits for one.
func TestARequestOfAProcessThatEndedWithoutAPlace(t *testing.T) {
	s := newServer(t, says(200, `{"outcome":"Pass"}`))
	b := newBench(t, webhookTrigger(), surroundings(s.URL)...)
	b.look()
	b.g.Eventually(s.asked).WithTimeout(10 * time.Second).Should(Equal(1))
	b.restart()
	b.hang("shop", "other", maxCallsOfNamespace)
	got := b.look()[0]
	b.g.Expect(got.Started()).To(BeFalse())
	b.g.Expect(got.Message).To(ContainSubstring("as many as a namespace may have"))
	b.clock.Step(time.Hour)
	b.g.Expect(b.look()[0].Outcome).To(BeEmpty())
	b.loop.calls.cancelRun(types.NamespacedName{Namespace: "shop", Name: "hangs"})
	b.g.Expect(b.finished().Outcome).To(Equal(v1alpha1.VerdictPass))
	b.g.Expect(s.requests[1].Header.Get(keyHeader)).To(Equal(s.requests[0].Header.Get(keyHeader)))
}
