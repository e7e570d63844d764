package main

import (
	"context"
	"fmt"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

// foundSLO is an objective for what the pods expose.
type foundSLO struct {
	name, objective string
	indicator       string
	// found is what was measured.
	found string
}

// usualThreshold is where a latency is taken to be slow when nobody says.
const usualThreshold = 300 * time.Millisecond

// measure finds the preset whose series exist, with the labels that it needs, and what they
// count on the pods of now.
func (s *surrounds) measure(ctx context.Context, m *metricsFlags, now func() time.Time) error {
	if len(s.replicaSets) == 0 && (!s.ordered() || workload.Replicas(s.object) == 0) {
		s.notes = append(s.notes, fmt.Sprintf("The %s has no pods, so there were no metrics to look for: scale it up, and repeat this once its pods serve.", s.object.GetKind()))
		return nil
	}
	// As the controller does: pods of a new cluster are too young to tell.
	m.usually = v1alpha1.DefaultScrapeInterval
	source, err := m.open(ctx, now)
	if err != nil {
		return err
	}
	s.measured = true
	asked := asking{source: source, now: now, pods: prometheus.Pods{Namespace: s.object.GetNamespace(), ReplicaSets: s.replicaSets, Labels: m.labels}}
	if s.ordered() {
		asked.pods.StatefulSet = s.object.GetName()
	}
	if s.split() {
		asked.pods.Services = []string{s.service.Name}
	}
	var also []string
	for _, preset := range presets.All {
		if preset.By != "" && len(asked.pods.Services) == 0 {
			continue
		}
		requests, err := asked.requests(ctx, preset.Name)
		if err != nil {
			return fmt.Errorf("look for the metrics of preset %s at %s: %w", preset.Name, m.address, err)
		}
		latency, err := asked.latency(ctx, preset)
		if err != nil {
			return fmt.Errorf("look for the histogram of preset %s at %s: %w", preset.Name, m.address, err)
		}
		switch {
		case requests == nil:
		case len(s.slos) > 0:
			also = append(also, string(preset.Name))
		default:
			s.slos = append(s.slos, *requests)
			if latency != nil {
				s.slos = append(s.slos, *latency)
			} else {
				s.notes = append(s.notes, fmt.Sprintf("No bucket of the histogram %s was found: there is no objective for latency.", preset.Histogram))
			}
			s.notes = append(s.notes, fmt.Sprintf("The metrics are those of preset %s: %s.", preset.Name, preset.About))
		}
	}
	if len(also) > 0 {
		s.notes = append(s.notes, fmt.Sprintf("Series of these presets exist too: %v (docs/metrics.md).", also))
	}
	return nil
}

// asking looks for the series of indicators on pods.
type asking struct {
	source *prometheus.Client
	now    func() time.Time
	pods   prometheus.Pods
}

// sight is what the pods have of an indicator; ok is false when its selectors cannot match.
func (a *asking) sight(ctx context.Context, i v1alpha1.Indicator) (seen analysis.Sight, probe prometheus.Probe, ok bool, err error) {
	if probe, err = prometheus.IndicatorProbe(i, a.pods); err != nil {
		return seen, probe, false, err
	}
	sights, err := a.source.Reading(i).Probe(ctx, a.pods.Namespace, probe, a.now)
	if err != nil {
		return seen, probe, false, err
	}
	seen = analysis.Sight{Version: analysis.Stable, Scopes: make([]analysis.ScopeSight, len(probe.Scopes))}
	for n, version := range a.pods.ByVersion(i) {
		one := sights.Of(probe, version)
		if seen.Counts = seen.Add(one.Counts); n == 0 {
			seen.Scopes = one.Scopes
			continue
		}
		for k := range one.Scopes {
			seen.Scopes[k].Series += one.Scopes[k].Series
			for j := range one.Scopes[k].With {
				seen.Scopes[k].With[j] += one.Scopes[k].With[j]
			}
		}
	}
	_, ok = analysis.JudgeSights(probe.Scopes, true, seen)
	return seen, probe, ok, nil
}

// requests is the objective for what a preset counts; nil when the pods have no such series.
func (a *asking) requests(ctx context.Context, preset v1alpha1.Preset) (*foundSLO, error) {
	seen, _, ok, err := a.sight(ctx, filled(v1alpha1.Indicator{Preset: preset, Requests: &v1alpha1.RequestsIndicator{}}))
	if err != nil || !ok {
		return nil, err
	}
	return &foundSLO{
		name: "availability", objective: objectiveFor(seen.Counts, "99.9"), indicator: fmt.Sprintf("{preset: %s, requests: {}}", preset),
		found: badOf(seen.Counts, "bad"),
	}, nil
}

// latency is the objective for a preset's histogram; nil without one, or without its buckets.
// The threshold is the smallest bucket from the usual one on, or else the largest.
func (a *asking) latency(ctx context.Context, preset presets.Preset) (*foundSLO, error) {
	if preset.Histogram == "" {
		return nil, nil
	}
	indicator := v1alpha1.Indicator{Preset: preset.Name, Latency: &v1alpha1.LatencyIndicator{}}
	indicator.Latency.Threshold.Duration = usualThreshold
	seen, probe, _, err := a.sight(ctx, filled(indicator))
	if err != nil || seen.Scopes[0].Series == 0 {
		return nil, err
	}
	bounds, err := a.source.Reading(indicator).Bounds(ctx, a.pods.Namespace, probe, a.now)
	if err != nil || len(bounds) == 0 {
		return nil, err
	}
	threshold := bounds[len(bounds)-1]
	for _, bound := range bounds {
		if d, err := time.ParseDuration(bound); err == nil && d >= usualThreshold {
			threshold = bound
			break
		}
	}
	d, err := time.ParseDuration(threshold)
	if err != nil {
		return nil, fmt.Errorf("read the bucket %s: %w", threshold, err)
	}
	indicator.Latency.Threshold.Duration = d
	if seen, _, _, err = a.sight(ctx, filled(indicator)); err != nil {
		return nil, err
	}
	return &foundSLO{
		name: "latency", objective: objectiveFor(seen.Counts, "99"),
		indicator: fmt.Sprintf("{preset: %s, latency: {threshold: %s}}", preset.Name, threshold),
		found:     badOf(seen.Counts, "slower than "+threshold) + fmt.Sprintf("; buckets near %s: %v", usualThreshold, bounds),
	}, nil
}

func filled(i v1alpha1.Indicator) v1alpha1.Indicator {
	return presets.Fill(v1alpha1.GuardrailSpec{SLOs: []v1alpha1.SLO{{Indicator: i}}}).SLOs[0].Indicator
}

func badOf(c analysis.Counts, bad string) string {
	if c.Total == 0 {
		return "no request was counted since the pods started"
	}
	return fmt.Sprintf("of %.0f requests since the pods started %s were %s", c.Total, view.Percent(c.Bad/c.Total), bad)
}

// objectives from the strictest on.
var objectives = []struct {
	text   string
	budget float64
}{{"99.9", 0.001}, {"99.5", 0.005}, {"99", 0.01}, {"98", 0.02}, {"95", 0.05}, {"90", 0.1}}

// objectiveFor is the strictest objective from one on of which the present version uses at most
// half of the budget; the loosest when it uses more of all.
func objectiveFor(c analysis.Counts, from string) string {
	allowed := false
	for _, o := range objectives {
		allowed = allowed || o.text == from
		if allowed && (c.Total == 0 || c.Bad/c.Total <= o.budget/2) {
			return o.text
		}
	}
	return objectives[len(objectives)-1].text
}
