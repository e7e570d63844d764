// Package guardrails decides which guardrails apply to a Rollout, and whether a
// namespace may use a MetricSource. It reads the API server and queries no source.
package guardrails

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis/presets"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/evidence"
)

// Blocked is why no run may start. The reason is one of the API's closed set. The zero
// value blocks nothing.
type Blocked struct {
	Reason  string
	Message string
	// Waits is set when it ends by itself.
	Waits bool
}

// Bind returns the guardrails that apply to a Rollout now, pinned with their hashes,
// and why no run may start when one of them cannot be used. A guardrail that is the
// same as in before keeps its hash, which is not computed again.
func Bind(ctx context.Context, c client.Reader, rollout *v1alpha1.Rollout, before ...v1alpha1.PinnedGuardrail) ([]v1alpha1.PinnedGuardrail, Blocked, error) {
	var bound []v1alpha1.PinnedGuardrail
	var blocked Blocked
	for _, ref := range rollout.Spec.Guardrails {
		g := &v1alpha1.Guardrail{}
		err := c.Get(ctx, types.NamespacedName{Namespace: rollout.Namespace, Name: ref.Name}, g)
		if apierrors.IsNotFound(err) {
			blocked = Blocked{Reason: v1alpha1.ReasonGuardrailNotFound,
				Message: fmt.Sprintf("Guardrail %q does not exist: create it, or remove it from spec.guardrails", ref.Name)}
			continue
		}
		if err != nil {
			return nil, blocked, fmt.Errorf("read Guardrail %q: %w", ref.Name, err)
		}
		if rollout.Spec.Mode == v1alpha1.ModeObserve {
			g.Spec = observing(g.Spec)
		}
		pinned, err := Pin("Guardrail", g.Name, g.UID, g.Spec, before...)
		if err != nil {
			return nil, blocked, err
		}
		bound = append(bound, pinned)
		blocked = first(blocked, unusable(pinned, g.Generation, g.Status))
	}
	cluster, unclear, err := bindCluster(ctx, c, rollout, before...)
	if err != nil {
		return nil, blocked, err
	}
	bound = append(bound, cluster...)
	blocked = first(blocked, unclear, roomFor(bound))
	if blocked.Reason == "" {
		blocked, err = sourcesAllowed(ctx, c, rollout.Namespace, bound)
	}
	return bound, blocked, err
}

// InProgress returns a run's Rollout and the guardrails in force. The Rollout is nil when there
// is nothing to judge: the run has ended or is rolled back, or its Rollout was deleted or has
// another run.
func InProgress(ctx context.Context, c client.Reader, run *v1alpha1.RolloutRun) (*v1alpha1.Rollout, []v1alpha1.PinnedGuardrail, error) {
	if run.Status.Outcome != "" {
		return nil, nil, nil
	}
	rollout := &v1alpha1.Rollout{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.Rollout.Name}, rollout); err != nil {
		return nil, nil, client.IgnoreNotFound(err)
	}
	if rollout.Status.Run != run.Name || rollout.UID != run.Spec.Rollout.UID || !rollout.Status.Judged() {
		return nil, nil, nil
	}
	current, _, err := Bind(ctx, c, rollout, run.Spec.Guardrails...)
	if err != nil {
		return nil, nil, err
	}
	return rollout, InForce(run.Spec.Guardrails, current), nil
}

// HasPreflight reports whether runs wait for a guardrail's pre-flight check: one that only
// observes holds nothing.
func HasPreflight(g v1alpha1.PinnedGuardrail) bool {
	return g.Spec.Preflight != nil && g.Spec.Mode != v1alpha1.ModeObserve
}

// MaxPinned is how many guardrails a run can have, as in the API.
const MaxPinned = 32

// roomFor blocks a run that would have more guardrails or triggers than its record can
// hold.
func roomFor(bound []v1alpha1.PinnedGuardrail) Blocked {
	triggers := 0
	for _, g := range bound {
		triggers += len(g.Spec.Triggers)
	}
	if len(bound) <= MaxPinned && triggers <= v1alpha1.MaxTriggers {
		return Blocked{}
	}
	return Blocked{Reason: v1alpha1.ReasonTooManyTriggers, Message: fmt.Sprintf(
		"%d guardrails with %d triggers apply to this Rollout, a run can have %d guardrails and %d triggers: remove some from spec.guardrails, or narrow the selectors of ClusterGuardrails",
		len(bound), triggers, MaxPinned, v1alpha1.MaxTriggers)}
}

// bindCluster returns the ClusterGuardrails whose selectors match. When a selector
// cannot be read, it is not known whether it matches, and no run may start.
func bindCluster(ctx context.Context, c client.Reader, rollout *v1alpha1.Rollout, before ...v1alpha1.PinnedGuardrail) ([]v1alpha1.PinnedGuardrail, Blocked, error) {
	var unclear Blocked
	list := &v1alpha1.ClusterGuardrailList{}
	if err := c.List(ctx, list); err != nil {
		return nil, unclear, fmt.Errorf("list ClusterGuardrails: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, unclear, nil
	}
	namespace := &corev1.Namespace{}
	if err := c.Get(ctx, types.NamespacedName{Name: rollout.Namespace}, namespace); err != nil {
		return nil, unclear, fmt.Errorf("read the namespace's labels: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.ClusterGuardrail) int { return strings.Compare(a.Name, b.Name) })
	var bound []v1alpha1.PinnedGuardrail
	for i := range list.Items {
		g := &list.Items[i]
		applies, err := v1alpha1.SelectsRollout(g.Spec.NamespaceSelector, g.Spec.RolloutSelector, namespace.Labels, rollout.Labels)
		if err == nil && !applies {
			continue
		}
		if err != nil {
			// It may apply or not. If it were applied by mistake, it could roll back a run
			// that it is not for. So a run in progress keeps its pinned guardrails, and no
			// new run starts.
			unclear = Blocked{Reason: v1alpha1.ReasonSelectorUnreadable, Message: fmt.Sprintf(
				"it is not known whether ClusterGuardrail %q applies to this Rollout: %s; correct the selector", g.Name, v1alpha1.Bounded(err.Error(), 400))}
			continue
		}
		pinned, err := Pin("ClusterGuardrail", g.Name, g.UID, g.Spec.GuardrailSpec, before...)
		if err != nil {
			return nil, unclear, err
		}
		bound = append(bound, pinned)
		unclear = first(unclear, unusable(pinned, g.Generation, g.Status))
	}
	return bound, unclear, nil
}

// Pin returns a guardrail as it becomes part of a run: with its hash, with the default
// triggers and the mode of each trigger written out and presets filled in, so that the
// record has everything that decides. One that nobody has changed since before keeps its
// hash, and what an earlier version of Belay has filled in.
func Pin(kind, name string, uid types.UID, spec v1alpha1.GuardrailSpec, before ...v1alpha1.PinnedGuardrail) (v1alpha1.PinnedGuardrail, error) {
	spec.Triggers = slices.Clone(spec.EffectiveTriggers())
	for i, t := range spec.Triggers {
		spec.Triggers[i].Mode = spec.ModeOf(t)
	}
	now := v1alpha1.PinnedGuardrail{Kind: kind, Name: name, UID: uid, Spec: presets.Fill(spec)}
	pinned := slices.IndexFunc(before, func(p v1alpha1.PinnedGuardrail) bool { return p.Kind == kind && p.UID == uid && p.Name == name })
	// Every look at a run comes here, so nothing is hashed where nothing has changed.
	if pinned >= 0 && equality.Semantic.DeepEqual(before[pinned].Spec, now.Spec) {
		return before[pinned], nil
	}
	if presets.Uses(spec) {
		written, err := evidence.HashOf(spec)
		if err != nil {
			return v1alpha1.PinnedGuardrail{}, err
		}
		if pinned >= 0 && before[pinned].WrittenHash == written {
			return before[pinned], nil
		}
		now.WrittenHash = written
	}
	hash, err := evidence.HashOf(now.Spec)
	now.Hash = hash
	return now, err
}

// observing is a guardrail in a Rollout whose mode is Observe: no trigger of it enforces.
func observing(spec v1alpha1.GuardrailSpec) v1alpha1.GuardrailSpec {
	spec.Mode = v1alpha1.ModeObserve
	spec.Triggers = slices.Clone(spec.Triggers)
	for i := range spec.Triggers {
		spec.Triggers[i].Mode = v1alpha1.ModeObserve
	}
	return spec
}

// InForce returns the pinned guardrails of a run and also those that were changed or
// added since: a change can add checks to a run in progress, but not remove any. Where
// only modes were changed, the pinned one goes on, with its evidence, and each trigger of
// it enforces that does so in one of the two.
func InForce(pinned, current []v1alpha1.PinnedGuardrail) []v1alpha1.PinnedGuardrail {
	out := slices.Clone(pinned)
	for _, now := range current {
		same := slices.ContainsFunc(pinned, func(p v1alpha1.PinnedGuardrail) bool {
			return p.Kind == now.Kind && p.Name == now.Name && p.Hash == now.Hash
		})
		if same {
			continue
		}
		if i := slices.IndexFunc(out, func(p v1alpha1.PinnedGuardrail) bool { return differsInMode(p, now) }); i >= 0 {
			out[i].Spec = enforcingAsEither(out[i].Spec, now.Spec)
			continue
		}
		if slices.ContainsFunc(pinned, func(p v1alpha1.PinnedGuardrail) bool { return p.Kind == now.Kind && p.Name == now.Name }) {
			now.Name += "@" + strings.TrimPrefix(now.Hash, "sha256:")[:8]
		}
		out = append(out, now)
	}
	return out
}

// differsInMode reports whether two are the same guardrail but for modes.
func differsInMode(a, b v1alpha1.PinnedGuardrail) bool {
	return a.Kind == b.Kind && a.Name == b.Name && equality.Semantic.DeepEqual(observing(a.Spec), observing(b.Spec))
}

// enforcingAsEither is the first of two specs that differ only in modes, with the stricter
// mode of each trigger.
func enforcingAsEither(a, b v1alpha1.GuardrailSpec) v1alpha1.GuardrailSpec {
	a.Triggers = slices.Clone(a.Triggers)
	for i, t := range a.Triggers {
		if a.Observes(t) && !b.Observes(b.Triggers[i]) {
			a.Triggers[i].Mode = v1alpha1.ModeEnforce
		}
	}
	return a
}
