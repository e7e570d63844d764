package sources

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// TestTheScrapeIntervalIsDerived when it is not given, kept while the source is away, and
// counted again now and then.
func TestTheScrapeIntervalIsDerived(t *testing.T) {
	c := clocktesting.NewFakePassiveClock(time.Now().Truncate(time.Second))
	samples, down, refuses, counted := "20", false, false, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", c.Now().UTC().Format(http.TimeFormat))
		switch {
		case down:
			http.Error(w, "down", http.StatusInternalServerError)
		case strings.HasSuffix(r.URL.Path, "buildinfo"):
			_, _ = fmt.Fprint(w, `{"status":"success","data":{"version":"3.14.0"}}`)
		case refuses:
			counted++
			http.Error(w, "too many samples", http.StatusUnprocessableEntity)
		default:
			counted++
			_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%d,%q]}]}}`, c.Now().Unix(), samples)
		}
	}))
	t.Cleanup(s.Close)
	source := sourcestest.At(s.URL, 1000)
	source.Spec.ScrapeInterval = metav1.Duration{}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(source).WithStatusSubresource(source).Build()
	r := &Reconciler{Client: api, Sources: NewClients(nil, "belay", time.Hour), Breaker: NewBreaker(), Events: events.NewFakeRecorder(8), Clock: c, Every: 30 * time.Second}
	key := types.NamespacedName{Name: source.Name}
	for _, step := range []struct {
		what     string
		change   func()
		interval time.Duration
		from     v1alpha1.ScrapeIntervalFrom
		counted  int
	}{
		{"at first", func() {}, 30 * time.Second, v1alpha1.IntervalFromSamples, 1},
		{"soon after", func() { samples = "40" }, 30 * time.Second, v1alpha1.IntervalFromSamples, 1},
		{"while the source is away", func() { down = true; c.SetTime(c.Now().Add(countEvery + time.Second)) }, 30 * time.Second, v1alpha1.IntervalFromSamples, 1},
		{"when it is back", func() { down = false }, 15 * time.Second, v1alpha1.IntervalFromSamples, 2},
		{"without such series", func() { samples = "NaN"; c.SetTime(c.Now().Add(countEvery + time.Second)) }, 15 * time.Second, v1alpha1.IntervalFromDefault, 4},
		{"while it is not derived", func() { refuses = true; c.SetTime(c.Now().Add(countAgain + time.Second)) }, 15 * time.Second, v1alpha1.IntervalFromDefault, 5},
		{"soon after that", func() {}, 15 * time.Second, v1alpha1.IntervalFromDefault, 5},
		{"given", func() {
			source.Spec.ScrapeInterval.Duration = 7 * time.Second
			if err := api.Update(t.Context(), source); err != nil {
				t.Fatal(err)
			}
		}, 7 * time.Second, v1alpha1.IntervalFromSpec, 5},
	} {
		step.change()
		if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: key}); err != nil {
			t.Fatal(err)
		}
		if err := api.Get(t.Context(), key, source); err != nil {
			t.Fatal(err)
		}
		if got := source.Status.ScrapeInterval; got == nil || got.Interval.Duration != step.interval || got.From != step.from || source.Interval() != step.interval || counted != step.counted {
			t.Errorf("%s: %+v after %d counts, want %s from %s after %d", step.what, got, counted, step.interval, step.from, step.counted)
		}
	}
}

// TestAClientFollowsTheDerivedInterval: how old samples may be depends on it.
func TestAClientFollowsTheDerivedInterval(t *testing.T) {
	now := time.Now()
	clients, source := NewClients(nil, "belay", time.Hour), sourcestest.At("http://prometheus.example", 1000)
	source.Spec.ScrapeInterval = metav1.Duration{}
	client := func(interval time.Duration) any {
		source.Status.ScrapeInterval = &v1alpha1.ScrapeIntervalStatus{Interval: metav1.Duration{Duration: interval}}
		c, err := clients.Client(t.Context(), source, now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := client(30 * time.Second)
	if client(30*time.Second) != first {
		t.Error("a client is created again without a reason")
	}
	if client(time.Minute) == first {
		t.Error("the client keeps another interval")
	}
}
