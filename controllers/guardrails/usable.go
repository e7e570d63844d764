package guardrails

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/api/v1alpha1"
)

// first returns the first that blocks.
func first(all ...Blocked) Blocked {
	for _, b := range all {
		if b.Reason != "" {
			return b
		}
	}
	return Blocked{}
}

// unusable blocks runs while a guardrail cannot be judged by. PromQL is checked by a loop of
// its own, which writes the result to the guardrail's status: what a probe of the source
// found there blocks nothing, because a new version may have the series that are missing.
func unusable(g v1alpha1.PinnedGuardrail, generation int64, status v1alpha1.GuardrailStatus) Blocked {
	if mistake := Mistake(g.Spec); mistake != "" {
		return invalid(g, mistake)
	}
	if !usesPromQL(g.Spec) {
		return Blocked{}
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || ready.ObservedGeneration != generation:
		return Blocked{Reason: v1alpha1.ReasonGuardrailUnchecked, Waits: true,
			Message: fmt.Sprintf("%s %q has promQL that has not been checked yet: no run starts before that", g.Kind, g.Name)}
	case ready.Status == metav1.ConditionFalse && ready.Reason == v1alpha1.ReasonInvalidSpec:
		return invalid(g, v1alpha1.Bounded(ready.Message, 700))
	}
	return Blocked{}
}

func invalid(g v1alpha1.PinnedGuardrail, mistake string) Blocked {
	return Blocked{Reason: v1alpha1.ReasonGuardrailInvalid, Message: fmt.Sprintf("%s %q cannot be used: %s", g.Kind, g.Name, mistake)}
}

// Mistake says what makes a filled spec unusable although its form is valid, and what to
// write: a preset that lacks what the indicator needs, or an objective whose budget is too
// large for a trigger. It is empty without a mistake. The API server refuses the latter; this
// is for guardrails that were stored before it did.
func Mistake(spec v1alpha1.GuardrailSpec) string {
	if mistake := cmp.Or(unfilled(spec), allBad(spec)); mistake != "" {
		return mistake
	}
	for _, t := range spec.EffectiveTriggers() {
		slo, ok := spec.SLO(t.SLO)
		if t.SLO == "" || !ok {
			continue
		}
		field, text, limit := "", "", 0.0
		switch {
		case t.Regression != nil:
			field, text, limit = "regression.burn", t.Regression.Burn, 90
		case t.Burn != nil:
			field, text, limit = "burn.rate", t.Burn.Rate, 100
		default:
			continue
		}
		objective, objectiveErr := strconv.ParseFloat(slo.Objective, 64)
		factor, factorErr := strconv.ParseFloat(text, 64)
		switch {
		case objectiveErr != nil || objective <= 0 || objective >= 100:
			return fmt.Sprintf("slo %s: the objective %.16q is not a percentage above 0 and below 100: write one such as \"99.9\"", slo.Name, slo.Objective)
		case factorErr != nil || factor <= 0:
			return fmt.Sprintf("trigger %s: %s %.16q is not a number above 0: write one such as \"2\"", t.Name, field, text)
		case factor*(100-objective) >= limit:
			return fmt.Sprintf("slo %s: the objective %s %% leaves a budget of %.4g %%, and %s %s times that is not below %.0f %%: lower %s of trigger %s, or raise the objective",
				slo.Name, slo.Objective, 100-objective, field, text, limit, field, t.Name)
		}
	}
	return ""
}

// unfilled says what a preset of a filled spec could not fill in, and what to write; empty
// when nothing is missing.
func unfilled(spec v1alpha1.GuardrailSpec) string {
	for _, slo := range spec.SLOs {
		i := slo.Indicator
		noRequests := i.Requests != nil && (i.Requests.Total.Metric == "" || i.Requests.Bad.Metric == "")
		noLatency := i.Latency != nil && i.Latency.Histogram == ""
		_, known := presets.Of(i.Preset)
		switch {
		case !noRequests && !noLatency:
			if mistake := unnamed(i); mistake != "" {
				return "slo " + slo.Name + ": " + mistake
			}
		case !known:
			return fmt.Sprintf("slo %s: the preset %.40q is not one that this version of Belay knows: write the metrics in the indicator, or upgrade Belay", slo.Name, string(i.Preset))
		case noRequests:
			return fmt.Sprintf("slo %s: the preset %s counts no requests: write requests.total and requests.bad", slo.Name, i.Preset)
		default:
			return fmt.Sprintf("slo %s: the preset %s has no histogram of durations: write latency.histogram", slo.Name, i.Preset)
		}
	}
	return ""
}

// allBad says which slo counts every request as bad: the API server sees it only where total
// is written, and not filled in.
func allBad(spec v1alpha1.GuardrailSpec) string {
	for _, slo := range spec.SLOs {
		r := slo.Indicator.Requests
		if r == nil || r.Total.Metric != r.Bad.Metric {
			continue
		}
		if !slices.ContainsFunc(r.Bad.Matchers, func(m v1alpha1.Matcher) bool { return !slices.Contains(r.Total.Matchers, m) }) {
			return fmt.Sprintf("slo %s: bad has the metric of total and no matcher that total lacks, so every request would be bad: add a matcher to bad, such as code =~ 5..", slo.Name)
		}
	}
	return ""
}

// unnamed says that nothing tells how an indicator's series name a version, other than by its
// pods; empty when something does.
func unnamed(i v1alpha1.Indicator) string {
	holder := map[v1alpha1.CountedBy]string{v1alpha1.CountedByService: "$(service)", v1alpha1.CountedByWorkload: "$(replicaSet)"}[i.By]
	switch {
	case holder == "":
		return ""
	case i.Destination == nil:
		preset, _ := presets.Of(i.Preset)
		return fmt.Sprintf("the preset %s counts by %s, not by %s: write destination, the label that names it, or remove by", i.Preset, cmp.Or(preset.By, v1alpha1.CountedByPod), i.By)
	case !strings.Contains(i.Destination.Value, holder):
		return fmt.Sprintf("by %s needs %s in destination.value", i.By, holder)
	default:
		return ""
	}
}

func usesPromQL(spec v1alpha1.GuardrailSpec) bool {
	if p := spec.Preflight; p != nil && slices.ContainsFunc(p.Recorded, func(r v1alpha1.RecordedSLO) bool { return r.PromQL != nil }) {
		return true
	}
	return slices.ContainsFunc(spec.SLOs, func(slo v1alpha1.SLO) bool { return slo.Indicator.PromQL != nil })
}

// AppliedTo returns the Rollouts that a ClusterGuardrail applies to. They are not copied:
// read them only. unreadable says which selector cannot be read.
func AppliedTo(ctx context.Context, c client.Reader, g *v1alpha1.ClusterGuardrail) (rollouts []*v1alpha1.Rollout, unreadable string, err error) {
	namespaces, all := &corev1.NamespaceList{}, &v1alpha1.RolloutList{}
	if err := c.List(ctx, namespaces, client.UnsafeDisableDeepCopy); err != nil {
		return nil, "", fmt.Errorf("list the namespaces: %w", err)
	}
	if err := c.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		return nil, "", fmt.Errorf("list the Rollouts: %w", err)
	}
	labels := make(map[string]map[string]string, len(namespaces.Items))
	for i := range namespaces.Items {
		labels[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	for i := range all.Items {
		rollout := &all.Items[i]
		applies, err := v1alpha1.SelectsRollout(g.Spec.NamespaceSelector, g.Spec.RolloutSelector, labels[rollout.Namespace], rollout.Labels)
		if err != nil {
			return nil, v1alpha1.Bounded(err.Error(), 400), nil
		}
		if applies {
			rollouts = append(rollouts, rollout)
		}
	}
	return rollouts, "", nil
}
