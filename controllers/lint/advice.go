package lint

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/analysis/triggers"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// advise adds what is allowed, but will not do what people expect.
func advise(objects []*object, options Options) {
	bound := map[*object]*v1alpha1.GuardrailSpec{}
	for _, o := range objects {
		if len(o.findings) > 0 {
			continue
		}
		if g := o.guardrail(); g != nil {
			filled := presets.Fill(*g)
			bound[o] = &filled
		}
	}
	for _, o := range objects {
		if g := bound[o]; g != nil {
			o.adviseBudget(*g)
			o.adviseBuckets(*g, options)
			if options.Metrics != nil {
				o.adviseMetrics(*g, *options.Metrics)
			}
		}
		if r := o.rollout(); r != nil && len(o.findings) == 0 {
			o.adviseRollout(*r, objects, bound, options.Rate)
		}
	}
}

// adviseRollout looks at the workload and the guardrails that a Rollout names.
func (o *object) adviseRollout(r v1alpha1.Rollout, objects []*object, bound map[*object]*v1alpha1.GuardrailSpec, rate float64) {
	for _, d := range objects {
		if d.isWorkload() && d.kind == kindOf(r.Spec.WorkloadRef) && d.name == r.Spec.WorkloadRef.Name && d.mayBeIn(o.namespace) && len(d.findings) == 0 {
			if wrong, write := workload.ConfigWarning(workload.Template(&unstructured.Unstructured{Object: d.value})); wrong != "" {
				d.add(Advice, "spec.template", wrong, write)
			}
			if r.Spec.WorkloadRef.Ordered() {
				d.adviseStatefulSet()
				o.advisePods(r.Spec, workload.Replicas(&unstructured.Unstructured{Object: d.value}))
			}
			o.adviseRestarts(r.Spec, d)
		}
	}
	o.adviseBake(r.Spec)
	for i, ref := range r.Spec.Guardrails {
		path := fmt.Sprintf("spec.guardrails[%d]", i)
		at := slices.IndexFunc(objects, func(g *object) bool {
			return g.kind == "Guardrail" && g.name == ref.Name && g.mayBeIn(o.namespace)
		})
		if at < 0 {
			o.add(Advice, path, fmt.Sprintf("Guardrail %.63q is not in these files, so the steps were not checked against it", ref.Name), "lint both together; no run starts before the Guardrail is in the Rollout's namespace")
			continue
		}
		if g := bound[objects[at]]; g != nil {
			o.adviseSteps(r.Spec, *g, ref.Name, rate)
			o.adviseBaselines(r.Spec, *g, ref.Name)
		}
	}
}

// restartedAt is what kubectl rollout restart writes: manifests do not have it.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// kindOf is the kind of the workload that a Rollout names.
func kindOf(ref v1alpha1.WorkloadRef) string {
	if ref.Kind == "" {
		return v1alpha1.KindDeployment
	}
	return ref.Kind
}

// adviseStatefulSet looks for what keeps a StatefulSet from being held, or undoes what holds it.
func (o *object) adviseStatefulSet() {
	const strategy, partition = "spec.updateStrategy.type", "spec.updateStrategy.rollingUpdate.partition"
	if o.scalar(strategy) == string(appsv1.OnDeleteStatefulSetStrategyType) {
		o.add(Advice, strategy, "OnDelete holds nothing, because a pod that is lost comes back in the new version: Belay does not adopt the StatefulSet", "type: RollingUpdate")
	}
	if o.scalar(partition) != nil {
		o.add(Advice, partition, "Belay and its guard write the partition: a tool that applies it again shows it as changed for as long as a version is held", "nothing: leave partition out")
	}
}

// advisePods compares the steps of a StatefulSet with its pods. A weight is rounded up to whole
// ones, and one always keeps the stable version.
func (o *object) advisePods(r v1alpha1.RolloutSpec, replicas int32) {
	if replicas < 2 {
		o.add(Advice, "spec.workloadRef", fmt.Sprintf("StatefulSet %.63s declares replicas: %d: no run starts before there are 2, because one pod would take all requests at once", r.WorkloadRef.Name, replicas), "replicas: 2 or more in the StatefulSet, unless something else scales it")
		return
	}
	before := int32(0)
	for i, s := range r.Steps {
		pods := max(1, min((s.Weight*replicas+99)/100, replicas-1))
		if pods == before {
			write := "one step less"
			if pods < replicas-1 {
				write = fmt.Sprintf("a weight from %d on for one pod more, or one step less", 100*pods/replicas+1)
			}
			o.add(Advice, fmt.Sprintf("spec.steps[%d].weight", i), fmt.Sprintf("weight %d is %d of %d pods, as many as in the step before: a weight is rounded up to whole pods, and one keeps the stable version", s.Weight, pods, replicas), write)
		}
		before = pods
	}
}

// adviseRestarts looks for the annotations that a Rollout lists in the pod template of its
// workload.
func (o *object) adviseRestarts(r v1alpha1.RolloutSpec, d *object) {
	if len(r.RestartAnnotations) > 0 && r.Promotion.Mode == v1alpha1.PromotionNative {
		o.add(Advice, "spec.restartAnnotations", "with promotion mode Native a restart takes the steps like any other version", "promotion: {mode: HandOver}, or leave restartAnnotations out")
	}
	of, _, _ := unstructured.NestedStringMap(d.value, "metadata", "annotations")
	inTemplate, _, _ := unstructured.NestedStringMap(d.value, "spec", "template", "metadata", "annotations")
	for i, key := range r.RestartAnnotations {
		if _, there := inTemplate[key]; there || key == restartedAt {
			continue
		}
		path := fmt.Sprintf("spec.restartAnnotations[%d]", i)
		if _, there := of[key]; there {
			o.add(Advice, path, fmt.Sprintf("%.317q is an annotation of %s %.63s itself, whose change restarts nothing", key, d.kind, d.name), "the key of an annotation in spec.template.metadata.annotations")
			continue
		}
		o.add(Advice, path, fmt.Sprintf("the pod template of %s %.63s has no annotation %.317q", d.kind, d.name, key), "nothing, if a controller adds it later; else the key as it is in spec.template.metadata.annotations")
	}
}

// skipsSteps is whether a restart of a Rollout's stable version goes without steps.
func skipsSteps(r v1alpha1.RolloutSpec) bool {
	return len(r.RestartAnnotations) > 0 && r.Promotion.Mode != v1alpha1.PromotionNative
}

// adviseBake is for a bake that judges a restart for no time.
func (o *object) adviseBake(r v1alpha1.RolloutSpec) {
	if skipsSteps(r) && r.Promotion.Bake.Duration == 0 {
		o.add(Advice, "spec.promotion.bake", "a restart takes no steps, so a bake of 0s lets the first pass of its triggers promote it", "a bake such as 5m, or leave restartAnnotations out")
	}
}

// adviseBaselines looks for triggers that compare with what stable used at a lower weight, which
// a restart has none of.
func (o *object) adviseBaselines(r v1alpha1.RolloutSpec, g v1alpha1.GuardrailSpec, name string) {
	if !skipsSteps(r) || r.Traffic == nil {
		return
	}
	for _, t := range g.EffectiveTriggers() {
		if t.Saturation == nil || t.Saturation.WorseThan == "" || g.Observes(t) {
			continue
		}
		wrong, write := "a restart, which has no weight below 100, is judged by max alone: it is rolled back where stable itself is above that", "a max that stable never exceeds, or leave restartAnnotations out"
		if t.Saturation.Max == "" {
			wrong, write = "a restart has no weight below 100 to compare with stable at, so the trigger never passes for one, and its bake holds", "max in the trigger, or leave restartAnnotations out"
		}
		o.add(Advice, "spec.restartAnnotations", fmt.Sprintf("Guardrail %s, trigger %.63s: %s", name, t.Name, wrong), write)
	}
}

// mayBeIn is whether an object may be meant for a namespace: one that is not written is that
// of the command that applies it.
func (o *object) mayBeIn(namespace string) bool {
	return o.namespace == namespace || o.namespace == "" || namespace == ""
}

// adviseSteps compares each step with the requests that a guardrail needs for a pass.
func (o *object) adviseSteps(r v1alpha1.RolloutSpec, g v1alpha1.GuardrailSpec, name string, rate float64) {
	counts, users := false, false
	for _, t := range g.EffectiveTriggers() {
		judges := t.SLO != "" && !g.Observes(t)
		counts, users = counts || judges, users || judges && !g.Compares(t)
	}
	if !counts || r.Mode == v1alpha1.ModeObserve {
		return
	}
	for i, step := range r.Steps {
		path := fmt.Sprintf("spec.steps[%d]", i)
		share, of, gives := step.Weight, "", "a weight of"
		switch {
		case step.Mirror > 0:
			share, of, gives = step.Mirror, "copies of ", "mirror:"
		case r.PreviewsCandidate(i), step.Match != nil && step.Weight == 0, !users && r.ComparesNothing(i):
			// No requests are needed, or nobody knows how many testers send.
			continue
		case step.Weight == 0:
			o.add(Advice, path, fmt.Sprintf("no request reaches the candidate at weight 0, and Guardrail %s counts requests: the step holds until stepDeadline, %s", name, short(r.StepDeadline.Duration)),
				"a weight of at least 1, mirror, or traffic.preview: Enabled; or leave the step out")
			continue
		}
		perSecond := rate * float64(share) / 100
		gets := perSecond * step.Hold.Seconds()
		if rate <= 0 || gets >= float64(g.MinimumSamples) {
			continue
		}
		takes := roundUp(float64(g.MinimumSamples) / perSecond)
		said := fmt.Sprintf("step %d of %d (%s%d %% for %s) gives the candidate about %.0f requests at %g/s, and a pass of Guardrail %s needs %d (minimumSamples): the step takes about %s",
			i+1, len(r.Steps), of, share, short(step.Hold.Duration), gets, rate, name, g.MinimumSamples, short(takes))
		if takes > r.StepDeadline.Duration {
			said += ", which is longer than stepDeadline " + short(r.StepDeadline.Duration)
		}
		o.add(Advice, path, said, fmt.Sprintf("hold: %s, or %s %.0f for %s", short(takes), gives, math.Min(100, math.Ceil(100*float64(g.MinimumSamples)/rate/math.Max(step.Hold.Seconds(), 1))), short(step.Hold.Duration)))
	}
	if rate <= 0 {
		return
	}
	for _, t := range g.EffectiveTriggers() {
		if t.Regression == nil || t.Regression.Exclude == "" {
			continue
		}
		// A healthy candidate is taken to have no bad requests: it needs the fewest.
		if short, said := triggers.PowerOf(g, t, r, rate, 0).Judge(); short != "" {
			wrong, write := splitAdvice(said)
			o.add(Advice, "spec.steps", fmt.Sprintf("Guardrail %s, trigger %s: %s", name, t.Name, wrong), write)
		}
	}
}

func roundUp(seconds float64) time.Duration {
	d := time.Duration(seconds * float64(time.Second))
	unit := time.Second
	if d > 2*time.Minute {
		unit = 10 * time.Second
	}
	return (d + unit - 1).Truncate(unit)
}

// short is a duration as the API takes it, without what is zero: 5m, 1h30m.
func short(d time.Duration) string {
	out := ""
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / u.unit; n > 0 {
			out += strconv.Itoa(int(n)) + u.name
			d %= u.unit
		}
	}
	if out == "" {
		return "0s"
	}
	return out
}

// adviseBudget compares what triggers allow to be spent of the same error budget.
func (o *object) adviseBudget(g v1alpha1.GuardrailSpec) {
	for i, t := range g.Triggers {
		slo, ok := g.SLO(t.SLO)
		if !ok {
			continue
		}
		if t.Burn != nil {
			o.adviseBurn(g, slo, t, fmt.Sprintf("spec.triggers[%d].burn", i))
		}
		if limit := number(t.BudgetSpent); limit > 0 && g.Preflight != nil && limit > number(g.Preflight.BudgetRemaining) {
			o.add(Advice, fmt.Sprintf("spec.triggers[%d].budgetSpent", i),
				fmt.Sprintf("a run may spend %s %% of the budget of %s, and starts when %s %% are left (preflight.budgetRemaining): it can spend more than there is", t.BudgetSpent, slo.Name, g.Preflight.BudgetRemaining),
				fmt.Sprintf("preflight.budgetRemaining: %q or more, or a lower budgetSpent", t.BudgetSpent))
		}
	}
}

func (o *object) adviseBurn(g v1alpha1.GuardrailSpec, slo v1alpha1.SLO, t v1alpha1.Trigger, path string) {
	// Google SRE Workbook, chapter 5: rate times window, as a part of the period.
	spends := 100 * number(t.Burn.Rate) * t.Burn.Long.Seconds() / slo.PeriodDuration().Seconds()
	if spends >= 100 {
		o.add(Advice, path, fmt.Sprintf("%s times the budget's rate over %s is %.0f %% of the whole budget of %s: it fires when nothing is left", t.Burn.Rate, short(t.Burn.Long.Duration), spends, slo.Name),
			"a shorter long, or a lower rate")
		return
	}
	for _, other := range g.Triggers {
		if limit := number(other.BudgetSpent); other.SLO == t.SLO && limit > 0 && spends > limit {
			o.add(Advice, path, fmt.Sprintf("%s times the budget's rate over %s spends %.3g %% of the budget of %s, and trigger %s fires at %s %%: this one never fires first", t.Burn.Rate, short(t.Burn.Long.Duration), spends, slo.Name, other.Name, other.BudgetSpent),
				"a shorter long, a lower rate, or leave it out")
		}
	}
}

func number(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return n
}
