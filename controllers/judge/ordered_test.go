package judge

import (
	"fmt"
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/sources"
)

// sourcesOfOrdered are the ways in which a source may have the series of pods of one name.
var sourcesOfOrdered = map[string]scrapes{
	"pods are discovered": {instance: ofAddress, marked: true},
	"pods are discovered, with labels of their version, and keep their addresses": {instance: ofName, marked: true,
		extra: func(version string) map[string]string { return map[string]string{"controller_revision_hash": version} }},
	"targets are DNS names": {instance: ofName},
	"pods push":             {instance: ofAddress},
	"pods push, with labels of their version, and keep their names": {instance: ofName,
		extra: func(version string) map[string]string { return map[string]string{"controller_revision_hash": version} }},
}

func ofAddress(name string, nth int) string {
	return fmt.Sprintf("10.0.%d.%s:8080", nth, name[len(name)-1:])
}

func ofName(name string, _ int) string { return name + ".web:8080" }

// TestAReplacedPodCountsForItsOwnVersion: web-2 of stable, which fails half of its requests, is
// replaced by one of the candidate with the same name, which fails none.
func TestAReplacedPodCountsForItsOwnVersion(t *testing.T) {
	for name, how := range sourcesOfOrdered {
		t.Run(name, func(t *testing.T) {
			b := newOrderedBench(t, how,
				stablePod("web-0"), stablePod("web-1"),
				life{name: "web-2", version: stableHash, from: -300, until: 62, bad: 5, old: 90}, life{name: "web-2", version: canaryHash, from: 63})
			b.play(400)
			// Of the candidate, what was scraped from 72 to 397; of stable, from 2 to 397, and of
			// web-2 until 57.
			canary, stable := b.counts()
			if want := (analysis.Counts{Total: 2*3950 + 550, Bad: 275}); stable != want {
				t.Errorf("stable served %v, want %v", stable, want)
			}
			if canary.Bad != 0 || canary.Total > 3250 || canary.Total < 400 || !how.blurs() && canary.Total != 3250 {
				t.Errorf("the candidate served %v", canary)
			}
			if got := b.recorded(b.runs[0]); got.Outcome != v1alpha1.VerdictPass {
				t.Errorf("a good candidate is %s: %s", got.Outcome, got.Message)
			}
		})
	}
}

// TestABadPodIsNotStable: web-2 of the candidate fails a third of its requests, and the stable
// pod whose name it has failed none.
func TestABadPodIsNotStable(t *testing.T) {
	for _, name := range []string{"pods are discovered", "targets are DNS names"} {
		t.Run(name, func(t *testing.T) {
			b := newOrderedBench(t, sourcesOfOrdered[name], stablePod("web-0"), stablePod("web-1"),
				life{name: "web-2", version: stableHash, from: -300, until: 62}, life{name: "web-2", version: canaryHash, from: 63, bad: 3})
			b.play(300)
			got := b.recorded(b.runs[0])
			canary, stable := b.counts()
			if got.Outcome != v1alpha1.VerdictFail || stable.Bad != 0 || canary.Bad == 0 {
				t.Errorf("%s: %s; counted %v and %v", got.Outcome, got.Message, canary, stable)
			}
		})
	}
}

func stablePod(name string) life { return life{name: name, version: stableHash, from: -300} }

// TestANameThatComesBack: after a rollback web-2 runs stable again, under the name that its
// former self and the candidate's pod had. What each has served is counted once, and for its
// own version, also when another process goes on in between.
func TestANameThatComesBack(t *testing.T) {
	for name, how := range sourcesOfOrdered {
		for _, restarts := range []bool{false, true} {
			if restarts && how.blurs() {
				continue
			}
			t.Run(fmt.Sprintf("%s, restarts %v", name, restarts), func(t *testing.T) {
				b := newOrderedBench(t, how, stablePod("web-0"), stablePod("web-1"),
					life{name: "web-2", version: stableHash, from: -300, until: 62},
					life{name: "web-2", version: canaryHash, from: 63, until: 122, bad: 10},
					life{name: "web-2", version: stableHash, from: 123})
				for second := 10; second <= 300; second += 29 {
					if restarts && second > 10 {
						b.restartOrdered()
					}
					b.play(second)
				}
				b.play(300)
				canary, stable := b.counts()
				if canary.Bad != canary.Total || stable.Bad != 0 {
					t.Errorf("counted %v and %v: the candidate fails all requests, stable none", canary, stable)
				}
				// Of the candidate, from its first scrape at 72 to its last one at 117; of stable the
				// time between, in which nothing tells the two apart where their labels do not.
				if canary.Total > 450 || !how.blurs() && canary.Total != 450 {
					t.Errorf("the candidate served %v requests, want 450", canary.Total)
				}
				const whole = 2*2950 + 550 + 1650
				if stable.Total > whole || !how.blurs() && stable.Total != whole {
					t.Errorf("stable served %v requests, want %v", stable.Total, float64(whole))
				}
			})
		}
	}
}

// blurs reports whether the series of two pods of one name are one target for as long as both
// are there.
func (how scrapes) blurs() bool { return how.extra != nil }

// TestWithoutAStablePodTheSourceIsNotBlind: when every pod is the candidate's, no series of
// stable is missing.
func TestWithoutAStablePodTheSourceIsNotBlind(t *testing.T) {
	b := newOrderedBench(t, sourcesOfOrdered["pods are discovered"],
		life{name: "web-0", version: stableHash, from: -300, until: 52}, life{name: "web-0", version: canaryHash, from: 53},
		life{name: "web-1", version: stableHash, from: -300, until: 32}, life{name: "web-1", version: canaryHash, from: 33})
	b.inPhase(v1alpha1.PhaseBaking)
	b.play(300)
	got := b.recorded(b.runs[0])
	if got.Outcome != v1alpha1.VerdictPass || got.Stable.Total == 0 || got.BlindSince != nil {
		t.Errorf("%s: %s, after %v of stable", got.Outcome, got.Message, got.Stable)
	}
	if blind := b.blind(); blind[0] != 0 {
		t.Errorf("%d runs of %d count as blind", blind[0], blind[1])
	}
}

// TestALateLabelOfAnotherPod: the candidate's series lack the label by which bad requests are
// told, and the pods whose names its own have pushed it: that proves no selector.
func TestALateLabelOfAnotherPod(t *testing.T) {
	for name, how := range map[string]scrapes{"discovered": {instance: ofAddress, marked: true}, "pushed": {instance: ofAddress}} {
		how.code = func(version string) string {
			return map[string]string{stableHash: "code", canaryHash: "status"}[version]
		}
		t.Run(name, func(t *testing.T) {
			b := newOrderedBench(t, how, stablePod("web-0"), stablePod("web-1"),
				life{name: "web-2", version: stableHash, from: -300, until: 62}, life{name: "web-2", version: canaryHash, from: 63, bad: 3})
			b.countByCode()
			b.play(550)
			got := b.recorded(b.runs[0])
			if got.Outcome == v1alpha1.VerdictPass || got.Reason != string(analysis.UnknownLabel) {
				t.Errorf("%s %s: %s", got.Outcome, got.Reason, got.Message)
			}
		})
	}
}

// TestARangeThatReachesAnotherPod: expressions that look back, and rates, say nothing about a pod
// until their range is younger than it.
func TestARangeThatReachesAnotherPod(t *testing.T) {
	for range2, from := range map[string]int{"": 75, "60s": 135} {
		t.Run("range "+range2, func(t *testing.T) {
			b := newOrderedBench(t, scrapes{instance: ofName}, stablePod("web-0"), stablePod("web-1"),
				life{name: "web-2", version: stableHash, from: -300, until: 62, bad: 10}, life{name: "web-2", version: canaryHash, from: 63})
			b.edit(func(g *v1alpha1.GuardrailSpec) {
				g.SLOs[0].Indicator = v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "requests", Bad: "errors"}}
				if range2 != "" {
					g.SLOs[0].Indicator.PromQL = &v1alpha1.PromQLIndicator{Total: "max_over_time(requests[" + range2 + "])", Bad: "max_over_time(errors[" + range2 + "])"}
				}
			})
			b.play(from - 5)
			if canary, _ := b.counts(); canary.Total != 0 {
				t.Errorf("before: counted %v", canary)
			}
			b.play(from + 100)
			canary, _ := b.counts()
			if canary.Bad != 0 || canary.Total < 900 {
				t.Errorf("after: counted %v", canary)
			}
		})
	}
}

// TestALoadOfAReplacedPod is known when its rate has nothing of the pod before.
func TestALoadOfAReplacedPod(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	tr := &evaluation{run: &v1alpha1.RolloutRun{}, pods: map[string]podState{"web-2": {side: sideCanary, ready: true, createdAt: now.Add(-time.Minute)}}}
	answer := result{Result: sources.Result{Pods: []prometheus.Counter{{Pod: "web-2", Counts: analysis.Counts{Total: 7}, SampledAt: now}}}}
	for name, tc := range map[string]struct {
		kind   string
		window time.Duration
		want   float64
	}{
		"a Deployment's": {"", time.Minute, 7},
		"a gauge":        {v1alpha1.KindStatefulSet, 0, 7},
		"a long rate":    {v1alpha1.KindStatefulSet, time.Minute, 0},
		"a shorter rate": {v1alpha1.KindStatefulSet, 50 * time.Second, 7},
		"just too long":  {v1alpha1.KindStatefulSet, 55 * time.Second, 0},
	} {
		tr.run.Spec.WorkloadKind = tc.kind
		if l := tr.loads(answer, false, tc.window); len(l.Canary) != 1 || l.Canary[0].Value != tc.want {
			t.Errorf("%s: %+v", name, l.Canary)
		}
	}
}

// TestARunOfAStatefulSetCountsByPodAlone, and says so.
func TestARunOfAStatefulSetCountsByPodAlone(t *testing.T) {
	b := newOrderedBench(t, sourcesOfOrdered["pods are discovered"], stablePod("web-0"))
	b.edit(func(g *v1alpha1.GuardrailSpec) {
		i := &g.SLOs[0].Indicator
		i.By, i.Destination = v1alpha1.CountedByWorkload, &v1alpha1.Destination{Label: "to", Value: "$(replicaSet)", NamespaceLabel: "namespace"}
	})
	b.play(30)
	got := b.recorded(b.runs[0])
	if got.Outcome != v1alpha1.VerdictInconclusive || got.Reason != string(analysis.NotRouted) || got.Message != prometheus.ErrByPodAlone.Error() || got.BlindSince != nil {
		t.Errorf("%s %s: %s", got.Outcome, got.Reason, got.Message)
	}
}
