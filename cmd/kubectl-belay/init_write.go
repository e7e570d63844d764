package main

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/controllers/view"
	"belay.dev/belay/controllers/workload"
)

// longestName is that of a Rollout, from which names of Services and runs are derived.
const longestName = 52

// manuscript is YAML with comments.
type manuscript struct{ strings.Builder }

func (m *manuscript) line(text string, args ...any) { fmt.Fprintf(m, text+"\n", args...) }

// comment writes a text in lines of about 100 columns.
func (m *manuscript) comment(indent int, text string, args ...any) {
	lead := strings.Repeat(" ", indent) + "# "
	for i, line := range wrap(view.Text(fmt.Sprintf(text, args...), 1000), 98-len(lead)) {
		if i > 0 && strings.HasPrefix(text, "- ") {
			line = "  " + line
		}
		m.WriteString(lead + line + "\n")
	}
}

// manifests are the Rollout and the Guardrail, with what was found and what was assumed.
func (s *surrounds) manifests() string {
	name := strings.TrimRight(s.object.GetName()[:min(len(s.object.GetName()), longestName)], "-")
	if name[0] < 'a' {
		// Names of Services begin with a letter.
		name = "app-" + name[:min(len(name), longestName-len("app-"))]
	}
	m := &manuscript{}
	m.comment(0, "Written by kubectl belay init %s. Nothing was applied.", s.asWritten())
	for _, note := range s.remarks() {
		m.comment(0, "- %s", note)
	}
	s.rollout(m, name)
	m.line("---")
	s.guardrail(m, name)
	return m.String()
}

// remarks are what was found that a person should know first.
func (s *surrounds) remarks() []string {
	out := append([]string{}, s.notes...)
	d := s.object
	if owner := gitOpsOwner(d); owner != "" {
		out = append(out, fmt.Sprintf("%s manages the %s: put these manifests there, and read docs/gitops.md first.", owner, d.GetKind()))
	}
	if s.ordered() {
		out = append(out, ofStatefulSet(d)...)
	} else {
		out = append(out, ofDeployment(d)...)
	}
	containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
	for _, raw := range containers {
		c, _ := raw.(map[string]any)
		if c["readinessProbe"] == nil {
			out = append(out, fmt.Sprintf("Container %v has no readinessProbe: its pods get requests as soon as they run. Give it one.", c["name"]))
		}
	}
	if s.scaler != "" {
		out = append(out, fmt.Sprintf("HorizontalPodAutoscaler %s scales it, and goes on doing so during a run.", s.scaler))
	}
	return out
}

func ofDeployment(d *unstructured.Unstructured) (out []string) {
	if strategy, _, _ := unstructured.NestedString(d.Object, "spec", "strategy", "type"); strategy == "Recreate" {
		out = append(out, "The Deployment's strategy is Recreate: a bypass takes all its pods down before new ones start. RollingUpdate is safer.")
	}
	if workload.Paused(d) {
		out = append(out, "The Deployment is paused: resume it, and do not declare spec.paused, which Belay writes.")
	}
	return out
}

func ofStatefulSet(d *unstructured.Unstructured) (out []string) {
	if strategy, _, _ := unstructured.NestedString(d.Object, "spec", "updateStrategy", "type"); strategy == string(appsv1.OnDeleteStatefulSetStrategyType) {
		out = append(out, "The StatefulSet's update strategy is OnDelete, which holds nothing: Belay does not adopt it before it is RollingUpdate.")
	}
	if workload.Partition(d) != 0 {
		out = append(out, "The StatefulSet has a partition: set it to 0, and do not declare it, because Belay writes it.")
	}
	if workload.Replicas(d) < 2 {
		out = append(out, "The StatefulSet has fewer than 2 replicas: no run starts before it has 2, because one pod would take all requests at once.")
	}
	return out
}

// asWritten is the argument that this was written for.
func (s *surrounds) asWritten() string {
	if s.ordered() {
		return "statefulset/" + s.object.GetName()
	}
	return s.object.GetName()
}

// scalar is a name as YAML: in quotes when it could be read as something else.
func scalar(name string) string {
	if name != "" && name[0] >= 'a' && name[0] <= 'z' && name != "true" && name != "false" && name != "null" && name != "yes" && name != "no" && name != "on" && name != "off" && name != "y" && name != "n" {
		return name
	}
	return fmt.Sprintf("%q", name)
}

func (s *surrounds) rollout(m *manuscript, name string) {
	m.line("apiVersion: belay.dev/v1alpha1\nkind: Rollout\nmetadata:\n  name: %s\n  namespace: %s\nspec:", scalar(name), scalar(s.object.GetNamespace()))
	m.line("  workloadRef: {kind: %s, name: %s}", s.object.GetKind(), scalar(s.object.GetName()))
	split := s.split()
	switch {
	case s.ordered():
		m.comment(2, "A StatefulSet has no traffic: its own pods get the new version, the last ordinals first, and the number of those that have it is the weight.")
	case split:
		m.comment(2, "Found: the Service selects its pods, and the routes name the Service in a backendRef.")
		if others := slices.DeleteFunc(slices.Clone(s.services), func(name string) bool { return name == s.service.Name }); len(others) > 0 {
			m.comment(2, "Services that select its pods too: %s. Callers that use one of them are not shared out by weight.", strings.Join(others, ", "))
		}
		m.line("  traffic:\n    service: %s\n    routes:", scalar(s.service.Name))
		for _, r := range s.routes {
			m.line("    - {kind: %s, name: %s}", r.Kind, scalar(r.Name))
		}
		m.comment(4, "Callers inside the cluster that use the Service and not a route reach both versions during a run, by their share of the pods. Stable: only the version that serves.")
		m.line("    directCallers: Any")
	case s.service != nil:
		m.comment(2, "Found: Service %s selects its pods, and no HTTPRoute or GRPCRoute names it. So there is no traffic: requests are shared by the number of pods.", s.service.Name)
	default:
		m.comment(2, "Found no Service with a selector for its pods. So there is no traffic: work is shared by the number of pods.")
	}
	m.comment(2, "Assumed: change weights and holds to how many requests there are. A step passes only with enough of them (minimumSamples of the Guardrail).")
	m.line("  steps:")
	for _, step := range s.steps() {
		m.line("  - {weight: %d, hold: %s}", step.weight, s.lasts(step.hold))
	}
	m.line("  guardrails:\n  - {kind: Guardrail, name: %s}\n  promotion:", scalar(name))
	if s.ordered() {
		m.comment(4, "How long all pods but one run the new version before the last one gets it. A rollback replaces the pods one after the other.")
	} else {
		m.comment(4, "How long both versions stay at full size before the new one is stable: there must be room for twice the pods, or write mode: Native.")
	}
	m.line("    bake: %s", s.lasts("10m"))
	m.comment(2, "Without a decision for this long: Hold waits for a person, Rollback goes back.")
	m.line("  stepDeadline: 1h\n  onDeadline: Hold")
}

// lasts is how long a step or the bake is to last: as somebody said, or else usually.
func (s *surrounds) lasts(usually string) string {
	if s.hold != "" {
		return s.hold
	}
	return usually
}

type plannedStep struct {
	weight int
	hold   string
}

// split is whether a route shares out the requests.
func (s *surrounds) split() bool { return !s.ordered() && s.service != nil && len(s.routes) > 0 }

// steps of a release. Without a split a weight is rounded up to whole pods, and for a Deployment at
// most 50.
func (s *surrounds) steps() []plannedStep {
	switch replicas := int(workload.Replicas(s.object)); {
	case s.ordered() && replicas >= 4:
		return []plannedStep{{100 / replicas, "10m"}, {50, "10m"}}
	case s.ordered() && replicas == 3:
		return []plannedStep{{33, "10m"}, {66, "10m"}}
	case s.split():
		return []plannedStep{{5, "5m"}, {25, "10m"}, {50, "10m"}, {100, "10m"}}
	case replicas >= 8:
		return []plannedStep{{5, "5m"}, {25, "10m"}, {50, "10m"}}
	case replicas >= 3:
		return []plannedStep{{25, "10m"}, {50, "10m"}}
	default:
		return []plannedStep{{50, "10m"}}
	}
}

func (s *surrounds) guardrail(m *manuscript, name string) {
	m.line("apiVersion: belay.dev/v1alpha1\nkind: Guardrail\nmetadata:\n  name: %s\n  namespace: %s\nspec:", scalar(name), scalar(s.object.GetNamespace()))
	switch {
	case len(s.slos) > 0 && !s.sourced:
		m.comment(2, "Assumed: no MetricSource of this name was seen. The platform team creates it (docs/reference/metricsource.md).")
		m.line("  source: %s", scalar(s.source))
	case len(s.slos) > 0:
		m.line("  source: %s", scalar(s.source))
	case s.measured:
		m.comment(2, "None of the known metrics was found on its pods: docs/metrics.md says what to write for others. Until then only the pods are judged. For instance:")
	default:
		m.comment(2, "Metrics were not looked for: --prometheus URL does. Until then only the pods are judged. For instance:")
	}
	if len(s.slos) == 0 {
		m.line("  # source: %s\n  # slos:\n  # - {name: availability, objective: \"99.9\", indicator: {preset: otel-http, requests: {}}}", scalar(s.source))
	} else {
		m.comment(2, "Assumed: the objectives. Put in those that you have agreed on.")
		m.line("  slos:")
	}
	for _, slo := range s.slos {
		m.comment(2, "Found: %s.", slo.found)
		m.line("  - {name: %s, objective: %q, indicator: %s}", slo.name, slo.objective, slo.indicator)
	}
	m.line("  triggers:")
	if len(s.slos) > 0 && !s.enforce {
		m.comment(2, "Observe: judged and recorded, and nothing is held or rolled back by it. Take it out once kubectl belay backtest and the first releases show no false alarm.")
	}
	for _, slo := range s.slos {
		mode := ", mode: Observe"
		if s.enforce {
			mode = ""
		}
		m.line("  - {name: %[1]s, slo: %[1]s%[2]s, regression: {}}", slo.name, mode)
	}
	m.comment(2, "Needs no metrics: containers of the candidate that restart, and pods that do not become ready in time. It rolls back.")
	m.line("  - {name: pods, pods: {maxRestarts: 1, readyWithin: 5m}}")
}
