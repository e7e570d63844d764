package judge

import (
	"context"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/backtest"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources/sourcestest"
)

// diary is a source of the past: what a run's source had at each poll.
type diary struct{ polls []prometheus.Response }

// note writes down what the source has now.
func (d *diary) note(b *bench) {
	b.source.mu.Lock()
	defer b.source.mu.Unlock()
	now := b.clock.Now()
	d.polls = append(d.polls, prometheus.Response{At: now, Counters: []prometheus.Counter{
		{Pod: b.source.stablePod, Counts: b.source.stable, SampledAt: now}, {Pod: "shop-abcdef0123-bbbbb", Counts: b.source.canary, SampledAt: now},
	}})
}

func (d *diary) CountsOver(_ context.Context, _, _ string, times prometheus.Times) ([]prometheus.Response, error) {
	var out []prometheus.Response
	for i := range times.Count {
		at := slices.IndexFunc(d.polls, func(p prometheus.Response) bool { return p.At.Equal(times.At(i)) })
		if at < 0 {
			return nil, &prometheus.QueryError{Reason: analysis.BadQuery, Message: "no poll at " + times.At(i).String()}
		}
		out = append(out, d.polls[at])
	}
	return out, nil
}

// A backtest over what a run's source had fails when the run does, by the same trigger, for
// the same reason and with the same message.
func TestABacktestJudgesAsARunDoes(t *testing.T) {
	regression := &v1alpha1.RegressionTrigger{WorseThan: "1.5", Burn: "2", FalseAlarm: "0.01", ExcludeConfidence: "95"}
	burn := &v1alpha1.BurnTrigger{Rate: "14.4", Long: metav1.Duration{Duration: 5 * time.Minute}, Short: metav1.Duration{Duration: time.Minute}}
	all := []v1alpha1.Trigger{
		{Name: "availability", SLO: "availability", Regression: regression}, {Name: "burn", SLO: "availability", Burn: burn},
		{Name: "spent", SLO: "availability", BudgetSpent: "0.05"}, {Name: "latency", SLO: "latency", Regression: regression},
	}
	for name, bad := range map[string]func(poll int) float64{
		"healthy":          func(int) float64 { return 0 },
		"later":            func(n int) float64 { return map[bool]float64{true: 3}[n > 40] },
		"every now and on": func(n int) float64 { return map[bool]float64{true: 4}[n%6 == 0] },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1)
			var spec v1alpha1.GuardrailSpec
			b.edit(func(g *v1alpha1.GuardrailSpec) {
				latency := g.SLOs[0]
				latency.Name, latency.Objective, latency.Indicator = "latency", "99", sourcestest.Requests("slow")
				g.SLOs = append(g.SLOs, latency)
				g.Triggers = all
				spec = *g
			})
			start, past := b.clock.Now(), &diary{}
			for n := range 80 {
				b.source.serve(500, bad(n))
				b.poll()
				past.note(b)
			}
			got, err := backtest.Run(t.Context(), past, backtest.Spec{
				Guardrail: spec, Namespace: b.runs[0].Namespace, ScrapeInterval: pollsEvery,
				Arms:    backtest.Arms{Candidate: []string{"shop-abcdef0123"}, Stable: []string{"shop-stable"}},
				Stages:  []backtest.Stage{{Weight: 10}},
				Windows: []backtest.Window{{Start: start.Add(time.Millisecond), Duration: 80*pollsEvery - time.Millisecond}},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, trigger := range all {
				live := b.verdictOf(b.runs[0], trigger.Name)
				at := slices.IndexFunc(got.Fires, func(f backtest.Fire) bool { return f.Trigger == trigger.Name })
				switch {
				case live.Outcome != v1alpha1.VerdictFail && at < 0:
				case live.Outcome != v1alpha1.VerdictFail || at < 0:
					t.Errorf("%s: the run says %s (%s), the backtest has %d fires:\n%s", trigger.Name, live.Outcome, live.Message, len(got.Fires), got.Text(10))
				case got.Fires[at].Reason != live.Reason || got.Fires[at].Message != live.Message || !got.Fires[at].At.Equal(live.FirstFailAt.Time):
					t.Errorf("%s: the run failed at %s: %s\nthe backtest at %s: %s", trigger.Name, live.FirstFailAt, live.Message, got.Fires[at].At, got.Fires[at].Message)
				}
			}
			if fires := len(got.Fires); (fires == 0) != (name == "healthy") {
				t.Errorf("%d triggers fire", fires)
			}
		})
	}
}
