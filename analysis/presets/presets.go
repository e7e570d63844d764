// Package presets has the metrics of well-known instrumentations and client libraries as
// data, and fills them into guardrails. It reads no source.
package presets

import (
	"slices"

	"belay.dev/belay/api/v1alpha1"
)

// Preset is what one instrumentation exposes, by its vendor's documentation.
type Preset struct {
	Name v1alpha1.Preset
	// About says what it is, for people.
	About string
	// Link is the documentation that the names are from; without https:// a page in docs.
	Link string
	// Total and Bad count requests. Total has no metric when the instrumentation counts none.
	Total, Bad v1alpha1.Series
	// Histogram measures their duration; it is empty when there is none.
	Histogram string
	// Slow are the matchers of the histogram.
	Slow []v1alpha1.Matcher
	// Unit of the histogram's bounds; empty for seconds.
	Unit v1alpha1.DurationUnit
	// By and Destination are who counts, when it is not the pods, and how the destination is
	// named.
	By          v1alpha1.CountedBy
	Destination v1alpha1.Destination
	// Notes say what a user must know or switch on.
	Notes string
}

// Of returns the preset of a name. ok is false for one that this version does not know.
func Of(name v1alpha1.Preset) (p Preset, ok bool) {
	i := slices.IndexFunc(All, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return All[i], true
}

// Fill returns the spec with what the presets of its indicators fill in. What is written
// wins. A filled spec stays as it is when it is filled again. The spec itself is not changed.
func Fill(spec v1alpha1.GuardrailSpec) v1alpha1.GuardrailSpec {
	if !Uses(spec) {
		return spec
	}
	spec.SLOs = slices.Clone(spec.SLOs)
	for i := range spec.SLOs {
		spec.SLOs[i].Indicator = fillIndicator(spec.SLOs[i].Indicator)
	}
	return spec
}

// Uses reports whether a spec names a preset.
func Uses(spec v1alpha1.GuardrailSpec) bool {
	return slices.ContainsFunc(spec.SLOs, func(slo v1alpha1.SLO) bool { return slo.Indicator.Preset != "" })
}

func fillIndicator(of v1alpha1.Indicator) v1alpha1.Indicator {
	preset, ok := Of(of.Preset)
	if !ok {
		return of
	}
	if of.By == "" {
		of.By = preset.By
	}
	if of.By != "" && of.By == preset.By && of.Destination == nil {
		of.Destination = &preset.Destination
	}
	if of.Requests != nil {
		requests := fillRequests(*of.Requests, preset)
		of.Requests = &requests
	}
	if of.Latency != nil {
		latency := fillLatency(*of.Latency, preset)
		of.Latency = &latency
	}
	return of
}

func fillRequests(of v1alpha1.RequestsIndicator, p Preset) v1alpha1.RequestsIndicator {
	if p.Total.Metric == "" && (of.Total.Metric == "" || of.Bad.Metric == "") {
		return of
	}
	if of.Total.Metric == "" {
		of.Total = p.Total
	}
	if of.Bad.Metric == "" {
		of.Bad = p.Bad
	}
	of.Total.Matchers = slices.Concat(of.Total.Matchers, of.Matchers)
	of.Bad.Matchers = slices.Concat(of.Bad.Matchers, of.Matchers)
	of.Matchers = nil
	return of
}

func fillLatency(of v1alpha1.LatencyIndicator, p Preset) v1alpha1.LatencyIndicator {
	// The matchers and the unit are those of the preset's own histogram.
	if of.Histogram != "" || p.Histogram == "" {
		return of
	}
	of.Histogram = p.Histogram
	of.Matchers = slices.Concat(p.Slow, of.Matchers)
	if of.Unit == "" {
		of.Unit = p.Unit
	}
	return of
}
