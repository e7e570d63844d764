package presets

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

func specOf(i ...v1alpha1.Indicator) (spec v1alpha1.GuardrailSpec) {
	for _, one := range i {
		spec.SLOs = append(spec.SLOs, v1alpha1.SLO{Name: "slo", Indicator: one})
	}
	return spec
}

// TestFill: a preset fills in what is missing, what is written wins, matchers are added, and
// a second time nothing changes.
func TestFill(t *testing.T) {
	otel, _ := Of("otel-http")
	own, route := v1alpha1.Series{Metric: "own"}, v1alpha1.Matcher{Name: "http_route", Op: "=", Value: "/pay"}
	threshold := metav1.Duration{Duration: time.Second}
	plus := func(s v1alpha1.Series) v1alpha1.Series {
		s.Matchers = append(append([]v1alpha1.Matcher{}, s.Matchers...), route)
		return s
	}
	for name, tc := range map[string]struct{ of, want v1alpha1.Indicator }{
		"requests": {
			v1alpha1.Indicator{Preset: "otel-http", Requests: &v1alpha1.RequestsIndicator{}},
			v1alpha1.Indicator{Preset: "otel-http", Requests: &v1alpha1.RequestsIndicator{Total: otel.Total, Bad: otel.Bad}},
		},
		"requests with a matcher": {
			v1alpha1.Indicator{Preset: "otel-http", Requests: &v1alpha1.RequestsIndicator{Matchers: []v1alpha1.Matcher{route}}},
			v1alpha1.Indicator{Preset: "otel-http", Requests: &v1alpha1.RequestsIndicator{Total: plus(otel.Total), Bad: plus(otel.Bad)}},
		},
		"requests with an own bad": {
			v1alpha1.Indicator{Preset: "otel-http", Requests: &v1alpha1.RequestsIndicator{Bad: own}},
			v1alpha1.Indicator{Preset: "otel-http", Requests: &v1alpha1.RequestsIndicator{Total: otel.Total, Bad: own}},
		},
		"latency with a matcher": {
			v1alpha1.Indicator{Preset: "otel-http", Latency: &v1alpha1.LatencyIndicator{Threshold: threshold, Matchers: []v1alpha1.Matcher{route}}},
			v1alpha1.Indicator{Preset: "otel-http", Latency: &v1alpha1.LatencyIndicator{Threshold: threshold, Histogram: otel.Histogram, Matchers: []v1alpha1.Matcher{route}}},
		},
		"latency of an own histogram": {
			v1alpha1.Indicator{Preset: "otel-http", Latency: &v1alpha1.LatencyIndicator{Histogram: "own", Unit: v1alpha1.UnitMilliseconds}},
			v1alpha1.Indicator{Preset: "otel-http", Latency: &v1alpha1.LatencyIndicator{Histogram: "own", Unit: v1alpha1.UnitMilliseconds}},
		},
		"an unknown preset": {
			v1alpha1.Indicator{Preset: "later", Requests: &v1alpha1.RequestsIndicator{}},
			v1alpha1.Indicator{Preset: "later", Requests: &v1alpha1.RequestsIndicator{}},
		},
		"no preset": {v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: own}}, v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: own}}},
	} {
		written := specOf(tc.of)
		before := written.DeepCopy()
		got := Fill(written)
		if !reflect.DeepEqual(got, specOf(tc.want)) {
			t.Errorf("%s: %+v, want %+v", name, got.SLOs[0].Indicator, tc.want)
		}
		if !reflect.DeepEqual(&written, before) {
			t.Errorf("%s: the written spec was changed: %+v", name, written)
		}
		if again := Fill(got); !reflect.DeepEqual(again, got) {
			t.Errorf("%s: filled twice: %+v", name, again)
		}
	}
}

// TestFillTheMatchersAndUnitOfAHistogram, which are those of the preset's own one.
func TestFillTheMatchersAndUnitOfAHistogram(t *testing.T) {
	unary, route := v1alpha1.Matcher{Name: "grpc_type", Op: "=", Value: "unary"}, v1alpha1.Matcher{Name: "route", Op: "=", Value: "/pay"}
	p := Preset{Histogram: "duration", Slow: []v1alpha1.Matcher{unary}, Unit: v1alpha1.UnitMilliseconds}
	for name, tc := range map[string]struct{ of, want v1alpha1.LatencyIndicator }{
		"filled in":  {v1alpha1.LatencyIndicator{Matchers: []v1alpha1.Matcher{route}}, v1alpha1.LatencyIndicator{Histogram: "duration", Unit: v1alpha1.UnitMilliseconds, Matchers: []v1alpha1.Matcher{unary, route}}},
		"a unit":     {v1alpha1.LatencyIndicator{Unit: v1alpha1.UnitSeconds}, v1alpha1.LatencyIndicator{Histogram: "duration", Unit: v1alpha1.UnitSeconds, Matchers: []v1alpha1.Matcher{unary}}},
		"an own one": {v1alpha1.LatencyIndicator{Histogram: "own"}, v1alpha1.LatencyIndicator{Histogram: "own"}},
	} {
		if got := fillLatency(tc.of, p); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// TestEveryPresetIsWhole: it has a name of its own, says where its names are from, and measures something.
func TestEveryPresetIsWhole(t *testing.T) {
	seen := map[v1alpha1.Preset]bool{}
	for _, p := range All {
		switch {
		case seen[p.Name]:
			t.Errorf("%s stands there twice", p.Name)
		case p.About == "" || !strings.HasPrefix(p.Link, "https://") && !isPage(p.Link):
			t.Errorf("%s says not what it is and where its names are from", p.Name)
		case p.Total.Metric == "" && p.Histogram == "":
			t.Errorf("%s measures nothing", p.Name)
		case len(p.Total.Matchers) > 4 || len(p.Bad.Matchers) > 4 || len(p.Slow) > 4:
			t.Errorf("%s has many matchers: those of users must find room in the query", p.Name)
		}
		seen[p.Name] = true
	}
}

// isPage reports whether a link is to a page of Belay's own documentation.
func isPage(link string) bool {
	_, err := os.Stat("../../docs/" + link)
	return err == nil
}
