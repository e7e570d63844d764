package rollout

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/plan"
)

// DowngradeError says that a newer Belay wrote an object which this one would have to
// decide by. This one does not know what it means, so it decides nothing.
type DowngradeError struct {
	// Object that the newer Belay wrote, as kind, namespace and name.
	Object string
	// By is that Belay's version, empty when the object does not name it.
	By string
	// Rules is the version of its rules, greater than plan.Version.
	Rules int32
}

func (e DowngradeError) Error() string {
	by := "a newer Belay"
	if e.By != "" {
		by = fmt.Sprintf("Belay %s", v1alpha1.Bounded(e.By, 128))
	}
	return fmt.Sprintf("%s was written by %s with version %d of the rules, and this Belay has version %d: a downgrade is refused, nothing is decided, and versions that wait go on waiting; "+
		"install that Belay again, or a newer one (docs/install.md, Downgrade)", e.Object, by, e.Rules, plan.Version)
}

// newerRun looks for newer rules in a run: those that started it, and those of its last
// decision, which another version may have made.
func newerRun(run *v1alpha1.RolloutRun) error {
	e := DowngradeError{Object: "RolloutRun " + run.Namespace + "/" + run.Name, By: run.Spec.Controller.Version, Rules: run.Spec.Controller.Planner}
	for i := range run.Status.Decisions {
		if input := run.Status.Decisions[i].Input; input != nil && input.Planner > e.Rules {
			e.By, e.Rules = "", input.Planner
		}
	}
	if e.Rules > plan.Version {
		return e
	}
	return nil
}

// newerStatus looks for newer rules in the decisions that are not in their run yet.
func newerStatus(rollout *v1alpha1.Rollout) error {
	if rollout.Status.Record == nil {
		return nil
	}
	for _, pending := range rollout.Status.Record.Pending {
		if input := pending.Decision.Input; input != nil && input.Planner > plan.Version {
			return DowngradeError{Object: "the status of Rollout " + rollout.Namespace + "/" + rollout.Name, Rules: input.Planner}
		}
	}
	return nil
}

// pageOfObjects bounds an answer of the API server: a run may have a megabyte.
const pageOfObjects = 50

// RequireNoDowngrade reads all Rollouts and runs in the namespaces, or in all with none
// given, and returns a DowngradeError when a newer Belay wrote one. It is for the start:
// before the controller takes part in anything.
func RequireNoDowngrade(ctx context.Context, from client.Reader, namespaces ...string) error {
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		rollouts, runs := &v1alpha1.RolloutList{}, &v1alpha1.RolloutRunList{}
		for more := true; more; more = rollouts.Continue != "" {
			if err := from.List(ctx, rollouts, client.InNamespace(namespace), client.Limit(pageOfObjects), client.Continue(rollouts.Continue)); err != nil {
				return fmt.Errorf("look for Rollouts that a newer Belay wrote: %w", err)
			}
			for i := range rollouts.Items {
				if err := newerStatus(&rollouts.Items[i]); err != nil {
					return err
				}
			}
		}
		for more := true; more; more = runs.Continue != "" {
			if err := from.List(ctx, runs, client.InNamespace(namespace), client.Limit(pageOfObjects), client.Continue(runs.Continue)); err != nil {
				return fmt.Errorf("look for runs that a newer Belay wrote: %w", err)
			}
			for i := range runs.Items {
				if err := newerRun(&runs.Items[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// refuseDowngrade ends the process. It is asked for after the start when a replica of an
// older version takes the lead again from one of a newer.
func (r *Reconciler) refuseDowngrade(because DowngradeError) {
	if r.Stop != nil {
		r.Stop(because)
	}
}
