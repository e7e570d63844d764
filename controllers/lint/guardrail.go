package lint

import (
	"fmt"
	"regexp"
	"strings"

	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
)

var ofPart = regexp.MustCompile(`^(slo|trigger) ([a-z0-9-]+): `)

// mistakes are what keeps runs from starting with a guardrail that the API server accepts.
func (o *object) mistakes(spec v1alpha1.GuardrailSpec) {
	spec = presets.Fill(spec)
	if mistake := guardrails.Mistake(spec); mistake != "" {
		path := "spec"
		if m := ofPart.FindStringSubmatch(mistake); m != nil {
			path = pathOf(spec, m[1], m[2])
			mistake = strings.TrimPrefix(mistake, m[0])
		}
		o.mistake(path, mistake)
		return
	}
	for i, slo := range spec.SLOs {
		_, err := prometheus.IndicatorQuery(slo.Indicator, anyPods)
		o.unusable(fmt.Sprintf("spec.slos[%d].indicator", i), err)
	}
	for i, invariant := range spec.Invariants {
		_, err := prometheus.InvariantQuery(invariant, anyPods)
		o.unusable(fmt.Sprintf("spec.invariants[%d]", i), err)
	}
	for i, t := range spec.Triggers {
		if t.Saturation != nil {
			_, err := prometheus.LoadQuery(prometheus.LoadOf(*t.Saturation), anyPods)
			o.unusable(fmt.Sprintf("spec.triggers[%d].saturation", i), err)
		}
	}
	if spec.Preflight == nil {
		return
	}
	for i, r := range spec.Preflight.Recorded {
		_, err := prometheus.RecordedQuery(r, v1alpha1.MetricSourceLabels{}, "namespace")
		o.unusable(fmt.Sprintf("spec.preflight.recorded[%d]", i), err)
	}
}

// anyPods stand for the pods of a version.
var anyPods = prometheus.Pods{Namespace: "namespace", ReplicaSets: []string{"replicaset"}, Services: []string{"service"}}

func (o *object) unusable(path string, err error) {
	if err != nil {
		o.mistake(path, err.Error())
	}
}

// mistake adds one whose text has what to write behind its last colon.
func (o *object) mistake(path, said string) {
	write := ""
	if i := strings.LastIndex(said, ": "); i >= 0 {
		said, write = said[:i], said[i+2:]
	}
	o.add(Error, path, said, write)
}

// pathOf is the path of an slo or a trigger by its name.
func pathOf(spec v1alpha1.GuardrailSpec, kind, name string) string {
	if kind == "slo" {
		for i, slo := range spec.SLOs {
			if slo.Name == name {
				return fmt.Sprintf("spec.slos[%d]", i)
			}
		}
	}
	for i, t := range spec.Triggers {
		if t.Name == name {
			return fmt.Sprintf("spec.triggers[%d]", i)
		}
	}
	return "spec"
}
