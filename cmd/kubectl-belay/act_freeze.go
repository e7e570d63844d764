package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

func (a *app) overrideFreeze() *cobra.Command {
	return a.command(&cobra.Command{
		Use:   "override-freeze [NAME]",
		Short: "Let the candidate go on in spite of a freeze",
		Long: "Let the candidate go on although a Freeze or ClusterFreeze holds it, such as the fix of an outage on a weekend. It is judged as ever: its steps, its bake and its triggers stay, and a step that needs an approval still needs it. The record has your name and your reason.\n\n" +
			"The override is for the version that you name, until its run ends: another version that is pushed is held again, and so is this one when it is rolled back and retried. Nothing else is held that would need an override: a rollback, an abort and a return to an earlier version go on in a freeze.",
		Example: `  kubectl belay status checkout                            which freeze holds it, whose, and until when
  kubectl belay override-freeze checkout --revision 7c9f8d6b5f --reason "fixes the failing payments of INC-214"`,
	}, order{
		action: v1alpha1.ActionOverrideFreeze,
		useless: func(r *v1alpha1.Rollout) string {
			o := r.Status.FreezeOverridden()
			switch s := &r.Status; {
			case s.Phase != v1alpha1.PhaseGating && !s.Phase.Armed():
				return fmt.Sprintf("There is nothing to override: no candidate is on trial, the Rollout is %s.", view.StateOf(r))
			case o != nil:
				return fmt.Sprintf("There is nothing to override: it goes on in spite of freezes already, by %s since %s.", view.Author(o.By), o.At.UTC().Format("15:04Z"))
			default:
				return ""
			}
		},
		done: func(r, _ *v1alpha1.Rollout, revision string) (bool, error) {
			o := r.Status.FreezeOverridden()
			done, err := settled(r, revision)
			return done || o != nil && o.Revision == revision, err
		},
		owned: func(string) string { return "a version that it applies meanwhile is held again." },
	})
}
