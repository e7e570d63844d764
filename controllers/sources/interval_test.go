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
	samples, down, counted := "20", false, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", c.Now().UTC().Format(http.TimeFormat))
		switch {
		case down:
			http.Error(w, "down", http.StatusInternalServerError)
		case strings.HasSuffix(r.URL.Path, "buildinfo"):
			_, _ = fmt.Fprint(w, `{"status":"success","data":{"version":"3.14.0"}}`)
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
		{"without such series", func() { samples = "NaN"; c.SetTime(c.Now().Add(countEvery + time.Second)) }, 15 * time.Second, v1alpha1.IntervalFromDefault, 3},
		{"given", func() {
			source.Spec.ScrapeInterval.Duration = 7 * time.Second
			if err := api.Update(t.Context(), source); err != nil {
				t.Fatal(err)
			}
		}, 7 * time.Second, v1alpha1.IntervalFromSpec, 3},
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
