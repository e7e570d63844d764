package freezes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// Held is what the freezes say of a Rollout. The zero value holds nothing.
type Held struct {
	// Reason is ReasonFrozen, or ReasonFreezeUnclear when it is not known whether a freeze
	// holds; empty when none does.
	Reason string
	// Message names the freezes, at most 3 of them.
	Message string
	// Opens is when the freezes that hold now end; zero where that needs a person.
	Opens time.Time
}

// maxNamed is how many freezes a message names.
const maxNamed = 3

// freeze is what a Freeze and a ClusterFreeze have in common.
type freeze struct {
	// name with its kind, such as "Freeze shop/black-friday".
	name string
	spec v1alpha1.FreezeSpec
	// namespaces is empty for a Freeze.
	namespaces *v1alpha1.ClusterFreeze
}

// Bind reads the freezes that are for a Rollout, and says which of them hold now. It has no
// error: what cannot be read holds, because it is not known that it does not. A cluster
// without the kinds has no freeze.
func Bind(ctx context.Context, c client.Reader, rollout *v1alpha1.Rollout, now time.Time) Held {
	all, err := list(ctx, c, rollout.Namespace)
	if err != nil {
		return unclear([]string{"the freezes cannot be read: " + v1alpha1.Bounded(err.Error(), 300)})
	}
	var closed, unknown []string
	var opens time.Time
	var labels map[string]string
	for _, f := range all {
		if f.namespaces != nil && labels == nil {
			if labels, err = labelsOf(ctx, c, rollout.Namespace); err != nil {
				return unclear([]string{"the labels of the namespace cannot be read, which ClusterFreezes select by: " + v1alpha1.Bounded(err.Error(), 300)})
			}
		}
		until, holds, err := f.holds(labels, rollout.Labels, now)
		switch {
		case err != nil:
			unknown = append(unknown, f.said()+": "+v1alpha1.Bounded(err.Error(), 300)+": correct it")
		case holds:
			closed = append(closed, f.said()+", opens "+until.Format(shown))
			if until.After(opens) {
				opens = until
			}
		}
	}
	switch {
	case len(unknown) > 0:
		return unclear(unknown)
	case len(closed) > 0:
		return Held{Reason: v1alpha1.ReasonFrozen, Message: "held by " + named(closed), Opens: opens.UTC()}
	default:
		return Held{}
	}
}

func unclear(what []string) Held {
	return Held{Reason: v1alpha1.ReasonFreezeUnclear, Message: "it is not known whether a freeze holds: " + named(what)}
}

func named(all []string) string {
	if len(all) > maxNamed {
		all = append(slices.Clone(all[:maxNamed]), fmt.Sprintf("and %d more", len(all)-maxNamed))
	}
	return v1alpha1.Bounded(strings.Join(all, "; "), 700)
}

// said is the freeze in a message.
func (f freeze) said() string {
	return fmt.Sprintf("%s (owner: %q; reason: %q)", f.name, v1alpha1.Bounded(f.spec.Owner, 100), v1alpha1.Bounded(f.spec.Reason, 200))
}

// holds reports until when it holds a Rollout with these labels. An error means that it may:
// one part of it cannot be read, and no other part says that it does not.
func (f freeze) holds(namespace, rollout map[string]string, now time.Time) (until time.Time, holds bool, err error) {
	if f.spec.Expires != nil && !now.Before(f.spec.Expires.Time) {
		return until, false, nil
	}
	selected, err := f.selects(namespace, rollout)
	if !selected {
		return until, false, nil
	}
	calendar, unread := Read(f.spec)
	if unread != nil {
		return until, false, errors.Join(err, unread)
	}
	until, holds = calendar.Opens(now)
	if !holds {
		return until, false, nil
	}
	return until, true, err
}

// selects reports whether it is for a Rollout, or, with an error, may be.
func (f freeze) selects(namespace, rollout map[string]string) (bool, error) {
	var every metav1.LabelSelector
	if f.namespaces != nil {
		every = f.namespaces.Spec.NamespaceSelector
	}
	return v1alpha1.SelectsRollout(every, f.spec.RolloutSelector, namespace, rollout)
}

// list reads what may be for the Rollouts of a namespace, by name.
func list(ctx context.Context, c client.Reader, namespace string) ([]freeze, error) {
	var all []freeze
	local := &v1alpha1.FreezeList{}
	if err := c.List(ctx, local, client.InNamespace(namespace)); err != nil && !meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("list the Freezes: %w", err)
	}
	for i := range local.Items {
		all = append(all, freeze{name: "Freeze " + local.Items[i].Namespace + "/" + local.Items[i].Name, spec: local.Items[i].Spec})
	}
	cluster := &v1alpha1.ClusterFreezeList{}
	if err := c.List(ctx, cluster); err != nil && !meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("list the ClusterFreezes: %w", err)
	}
	for i := range cluster.Items {
		all = append(all, freeze{name: "ClusterFreeze " + cluster.Items[i].Name, spec: cluster.Items[i].Spec.FreezeSpec, namespaces: &cluster.Items[i]})
	}
	slices.SortFunc(all, func(a, b freeze) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}

func labelsOf(ctx context.Context, c client.Reader, namespace string) (map[string]string, error) {
	ns := &corev1.Namespace{}
	if err := c.Get(ctx, types.NamespacedName{Name: namespace}, ns); err != nil {
		return nil, err
	}
	if ns.Labels == nil {
		return map[string]string{}, nil
	}
	return ns.Labels, nil
}

// Kinds are an empty object of each kind, with what tells a RESTMapper which it is.
func Kinds() []client.Object {
	version := v1alpha1.GroupVersion.String()
	return []client.Object{
		&v1alpha1.Freeze{TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: "Freeze"}},
		&v1alpha1.ClusterFreeze{TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: "ClusterFreeze"}},
	}
}
