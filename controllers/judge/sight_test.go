package judge

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// oneMetric makes bad requests those of a code, in the metric of all of them.
func oneMetric(g *v1alpha1.GuardrailSpec) {
	requests := g.SLOs[0].Indicator.Requests
	requests.Bad = v1alpha1.Series{Metric: requests.Total.Metric, Matchers: []v1alpha1.Matcher{{Name: "status_code", Op: "=~", Value: "5.."}}}
}

// healthy polls until a candidate without errors has enough requests to pass.
func (b *bench) healthy(polls int) v1alpha1.TriggerAnalysis {
	b.t.Helper()
	for range polls {
		b.source.serve(2000, 0)
		b.poll()
	}
	b.clock.Step(v1alpha1.VerdictsRenewed)
	b.poll()
	return b.recorded(b.runs[0])
}

// TestASelectorThatCannotMatchIsNoPass: the counters say 0 bad requests of any number, and
// the label of the matcher does not exist.
func TestASelectorThatCannotMatchIsNoPass(t *testing.T) {
	b := newBench(t, 1)
	b.edit(oneMetric)
	b.source.labels = "code handler method"
	without := map[string]string{"0": "2", "1,": "2"}
	b.source.stableSeries, b.source.canarySeries = without, without
	got := b.healthy(6)
	if got.Reason != string(analysis.UnknownLabel) || !strings.Contains(got.Message, `has the label "status_code"`) || !strings.Contains(got.Message, `"code", "handler", "method"`) {
		t.Errorf("got %s %s: %s", got.Outcome, got.Reason, got.Message)
	}
	if got.BlindSince != nil {
		t.Error("a mistake in the guardrail counts as a source without a response")
	}
	// The source is asked again by time, not by poll.
	before := b.source.probes
	b.healthy(int(2 * probeAgain / pollsEvery))
	if asked := b.source.probes - before; asked < 2 || asked > 4 {
		t.Errorf("in a minute and a half asked %d times", asked)
	}
	with := map[string]string{"0": "2", "1,1": "2"}
	b.source.stableSeries, b.source.canarySeries = with, with
	if got := b.healthy(int(probeAgain/pollsEvery) + 1); got.Outcome != v1alpha1.VerdictPass {
		t.Errorf("with the label it is %s %s: %s", got.Outcome, got.Reason, got.Message)
	}
}

// TestALabelThatTheCandidateRenamed: stable's errors count, and the candidate's never
// would.
func TestALabelThatTheCandidateRenamed(t *testing.T) {
	b := newBench(t, 1)
	b.edit(oneMetric)
	b.source.stableSeries, b.source.canarySeries = map[string]string{"0": "2", "1,1": "2"}, map[string]string{"0": "2", "1,": "2"}
	if got := b.healthy(6); got.Reason != string(analysis.UnknownLabel) || !strings.Contains(got.Message, "of the candidate pods") {
		t.Errorf("got %s %s: %s", got.Outcome, got.Reason, got.Message)
	}
}

// TestALabelThatTheCandidateBrings: stable's errors are not known, so the candidate is judged
// by the objective alone: it passes, and rolls back when it is far outside.
func TestALabelThatTheCandidateBrings(t *testing.T) {
	b := newBench(t, 1)
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		oneMetric(g)
		g.Triggers = []v1alpha1.Trigger{
			{Name: "availability", SLO: "availability", Regression: &v1alpha1.RegressionTrigger{WorseThan: "1.5", Burn: "2", FalseAlarm: "0.01"}},
			{Name: "cost", SLO: "availability", BudgetSpent: "0.0001"},
		}
	})
	b.source.stableSeries, b.source.canarySeries = map[string]string{"0": "2", "1,": "2"}, map[string]string{"0": "2", "1,1": "2"}
	const why = `stable not known (its series "requests" lack the label "status_code")`
	if got := b.healthy(6); got.Outcome != v1alpha1.VerdictPass || !strings.Contains(got.Message, why) {
		t.Errorf("without errors: %s %s: %s", got.Outcome, got.Reason, got.Message)
	}
	for range 60 {
		b.source.serve(2000, 3)
		b.poll()
	}
	if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictInconclusive || !strings.Contains(got.Message, "a rollback needs more than 3.6 %") {
		t.Errorf("with 1.5 %%, which stable may have too: %s %s: %s", got.Outcome, got.Reason, got.Message)
	}
	if got := b.verdictOf(b.runs[0], "cost"); got.Reason != string(analysis.BaselineMissing) || !strings.Contains(got.Message, "so the cost is at most this") {
		t.Errorf("what it cost is %s: %s", got.Reason, got.Message)
	}
	for range 60 {
		b.source.serve(2000, 60)
		b.poll()
	}
	got := b.recorded(b.runs[0])
	if got.Reason != string(analysis.RegressionWithoutBaseline) || !strings.Contains(got.Message, "stable cannot be compared with, so the limit is 3.6 %: its bad requests are not known") {
		t.Errorf("with 30 %%: %s %s: %s", got.Outcome, got.Reason, got.Message)
	}
}

// TestEveryRequestIsBadByNoLabel: a negative matcher on a label that does not exist selects
// every request of both versions. That convicts nobody, also by a burn rate.
func TestEveryRequestIsBadByNoLabel(t *testing.T) {
	for label, want := range map[string]analysis.Reason{"1,": analysis.UnknownLabel, "1,1": analysis.BurnRateExceeded} {
		b := newBench(t, 1)
		b.edit(func(g *v1alpha1.GuardrailSpec) {
			oneMetric(g)
			g.SLOs[0].Indicator.Requests.Bad.Matchers[0].Op = "!~"
			g.Triggers = []v1alpha1.Trigger{{Name: "availability", SLO: "availability", WarmUp: &metav1.Duration{}, Burn: &v1alpha1.BurnTrigger{Rate: "14.4", Long: metav1.Duration{Duration: time.Minute}, Short: metav1.Duration{Duration: 10 * time.Second}}}}
		})
		b.source.stableSeries, b.source.canarySeries = map[string]string{"0": "2", label: "2"}, map[string]string{"0": "2", label: "2"}
		for range 12 {
			b.source.serve(2000, 200)
			b.poll()
		}
		if got := b.recorded(b.runs[0]); got.Reason != string(want) {
			t.Errorf("with series of %q: %s %s: %s", label, got.Outcome, got.Reason, got.Message)
		}
	}
}

// TestNeverSeenIsNotZero, unless the guardrail says so.
func TestNeverSeenIsNotZero(t *testing.T) {
	for name, tc := range map[string]struct {
		missing        v1alpha1.MissingSeries
		stable, canary string
		want           analysis.Reason
	}{
		"never seen":            {"", "0", "0", analysis.NeverSeen},
		"never seen is zero":    {v1alpha1.MissingZero, "0", "0", analysis.Healthy},
		"seen on stable":        {"", "1", "0", analysis.Healthy},
		"seen on the candidate": {"", "0", "1", analysis.Healthy},
	} {
		b := newBench(t, 1)
		b.edit(func(g *v1alpha1.GuardrailSpec) { g.SLOs[0].Indicator.Requests.MissingBad = tc.missing })
		b.source.stableSeries, b.source.canarySeries = map[string]string{"0": "2", "1": tc.stable}, map[string]string{"0": "2", "1": tc.canary}
		if got := b.healthy(6); got.Reason != string(tc.want) {
			t.Errorf("%s: %s %s: %s", name, got.Outcome, got.Reason, got.Message)
		}
	}
}

// TestSelectorsAreProbedOnceInARun that has nothing wrong with it, and again by another
// process.
func TestSelectorsAreProbedOnceInARun(t *testing.T) {
	b := newBench(t, 2)
	for range 3 {
		if got := b.healthy(20); got.Outcome != v1alpha1.VerdictPass {
			t.Fatalf("got %s: %s", got.Reason, got.Message)
		}
	}
	if b.source.probes != 2 {
		t.Errorf("two runs were probed %d times", b.source.probes)
	}
	b.restart()
	if got := b.healthy(6); got.Outcome != v1alpha1.VerdictPass || b.source.probes != 4 {
		t.Errorf("another process probed %d times: %s", b.source.probes-2, got.Message)
	}
}

// TestWithoutAnAnswerAboutSelectorsNothingPasses, and a regression is found all the same.
func TestWithoutAnAnswerAboutSelectorsNothingPasses(t *testing.T) {
	b := newBench(t, 1)
	b.source.stableSeries = map[string]string{"not a scope": "1"}
	if got := b.healthy(6); got.Outcome == v1alpha1.VerdictPass || got.Reason != string(analysis.Malformed) {
		t.Errorf("got %s %s: %s", got.Outcome, got.Reason, got.Message)
	}
	for range 12 {
		b.source.serve(2000, 100)
		b.poll()
	}
	if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictFail {
		t.Errorf("half of the requests fail, and the verdict is %s: %s", got.Reason, got.Message)
	}
}

// TestACandidateWithoutSeriesIsProbedAgain when it has some: it may have other labels.
func TestACandidateWithoutSeriesIsProbedAgain(t *testing.T) {
	s := &sighting{}
	now := time.Unix(1_800_000_000, 0)
	s.asked = now
	v := (&evaluation{sights: map[string]*sighting{"q": s}, now: now}).withSelectors("q", analysis.Verdict{Reason: analysis.Healthy}, nil)
	if v.Reason != analysis.Pending {
		t.Errorf("before the first answer: %s", v.Reason)
	}
	b := newBench(t, 1)
	b.edit(oneMetric)
	b.source.stableSeries, b.source.canarySeries = map[string]string{"0": "2", "1,1": "2"}, nil
	if got := b.healthy(3); got.Reason != string(analysis.Pending) || !strings.Contains(got.Message, "the candidate has no series yet in which") {
		t.Errorf("without series of the candidate: %s %s", got.Reason, got.Message)
	}
	b.source.canarySeries = map[string]string{"0": "2", "1,1": "2"}
	if got := b.healthy(int(probeAgain / pollsEvery)); got.Outcome != v1alpha1.VerdictPass {
		t.Errorf("with them: %s %s", got.Reason, got.Message)
	}
}
