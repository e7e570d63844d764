package backtest

import (
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
)

// TestWhatAPodCountsBeforeItIsReadyIsNotJudged: a candidate that fails every request of its
// first five minutes, which are probes, has no fault once it is ready.
func TestWhatAPodCountsBeforeItIsReadyIsNotJudged(t *testing.T) {
	starting := func(since time.Duration) float64 {
		if since > 0 && since < 5*time.Minute {
			return 1
		}
		return healthy(since)
	}
	isReady := &v1alpha1.Series{Metric: "kube_pod_status_ready", Matchers: []v1alpha1.Matcher{{Name: "condition", Value: "true"}}}
	for name, tc := range map[string]struct {
		ready *v1alpha1.Series
		from  time.Duration
		fired int
	}{
		"readiness is not known": {nil, 5 * time.Minute, 1},
		"ready after the errors": {isReady, 5 * time.Minute, 0},
		"ready before them":      {isReady, time.Minute, 1},
	} {
		p := newPast(t, pods(starting)...)
		p.readyFrom = tc.from
		spec := releases(Window{noon, 20 * time.Minute})
		spec.Ready = tc.ready
		var last Progress
		got, err := Run(t.Context(), p.client(t), spec, func(p Progress) { last = p })
		if err != nil || got.Fired != tc.fired || got.Unjudged != 0 || last.Judged != last.Of {
			t.Errorf("%s: %v, %+v\n%s", name, err, last, got.Text(10))
		}
		if unknown := strings.Contains(got.Text(10), "readiness is not in the data"); unknown != (tc.ready == nil) {
			t.Errorf("%s: the report says that readiness is not known: %t", name, unknown)
		}
	}
	spec := releases(Window{noon, 20 * time.Minute})
	for metric, want := range map[string]string{"not a name": "readiness", "kube_pod_status_ready": `condition="true"`} {
		spec.Ready = &v1alpha1.Series{Metric: metric}
		if _, err := Run(t.Context(), newPast(t, pods(healthy)...).client(t), spec, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a gauge that cannot be used: %v, want %q", err, want)
		}
	}
}

func TestReadinessIsThatOfItsTime(t *testing.T) {
	r := readiness{}
	for minute, value := range []float64{0, 0, 1, 1, 0, 1} {
		at := noon.Add(time.Duration(minute) * time.Minute)
		answer := prometheus.Response{At: at.Add(9 * time.Second), Counters: []prometheus.Counter{
			{Pod: "starts", Counts: analysis.Counts{Total: value}, SampledAt: at}, {Pod: "ran", Counts: analysis.Counts{Total: 1}, SampledAt: at}}}
		if err := r.note(answer); err != nil {
			t.Fatal(err)
		}
	}
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	for name, tc := range map[string]struct {
		pod            string
		at             time.Time
		ready, unready time.Time
	}{
		"before it starts":      {"starts", minute(-1), time.Time{}, time.Time{}},
		"starting":              {"starts", minute(1), time.Time{}, minute(0)},
		"ready":                 {"starts", minute(3), minute(2), time.Time{}},
		"not any more":          {"starts", minute(4), time.Time{}, minute(4)},
		"again":                 {"starts", minute(9), minute(5), time.Time{}},
		"since before the past": {"ran", minute(3), time.Time{}, time.Time{}},
		"not known":             {"other", minute(3), time.Time{}, time.Time{}},
	} {
		pod := analysis.PodCounter{Pod: tc.pod}
		r.mark(&pod, tc.pod, tc.at)
		if !pod.ReadyAt.Equal(tc.ready) || !pod.UnreadyAt.Equal(tc.unready) {
			t.Errorf("%s: ready since %s, unready since %s", name, pod.ReadyAt, pod.UnreadyAt)
		}
	}
	if n := ready([]analysis.PodCounter{{}, {UnreadyAt: noon}, {ReadyAt: noon}}); n != 2 {
		t.Errorf("%d pods are ready, want 2", n)
	}
}
