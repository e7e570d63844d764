package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// codeOfOutcome is the exit code that a script gets for the end of a version.
var codeOfOutcome = map[v1alpha1.Outcome]int{
	v1alpha1.OutcomePromoted: exitOK, v1alpha1.OutcomeRolledBack: exitRolledBack, v1alpha1.OutcomeSuperseded: exitSuperseded,
	v1alpha1.OutcomeCancelled: exitCancelled, v1alpha1.OutcomeBypassed: exitBypassed,
}

func (a *app) wait() *cobra.Command {
	var revision, image string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait [NAME]",
		Short: "Wait until a version is promoted, or ends otherwise",
		Long: "Wait until a version has ended in any way. Without --revision and --image it is the one that the workload declares now,\n" +
			"so that kubectl apply followed by kubectl belay wait has no race.\n\n" + exitCodes,
		Example: `  kubectl apply -f checkout.yaml && kubectl belay wait checkout --timeout 1h
  kubectl belay wait checkout --image registry.example.com/checkout:1.5`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRollouts,
	}
	cmd.Flags().StringVar(&revision, "revision", "", "the revision to wait for")
	cmd.Flags().StringVar(&image, "image", "", "wait for the version with this image, also before it is declared")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Hour, "how long to wait at most")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if revision != "" && image != "" {
			return usage(errors.New("--revision and --image name the same thing: leave one out"))
		}
		s, rollout, err := a.open(cmd.Context(), args)
		if err != nil {
			return err
		}
		if revision == "" && image == "" {
			_, version, err := s.declared(cmd.Context(), rollout)
			if err != nil {
				return err
			}
			revision = version.Revision
		}
		return a.await(cmd.Context(), s, rollout, awaited{revision: revision, image: image, from: a.now()}, timeout)
	}
	return cmd
}

// awaited is the version that somebody waits for.
type awaited struct {
	// revision is empty until a version with the image is declared.
	revision, image string
	from            time.Time
	// serves makes it enough that the version gets all requests, before its bake is over.
	serves bool
}

func (a *app) await(ctx context.Context, s *session, rollout *v1alpha1.Rollout, v awaited, timeout time.Duration) error {
	what := "revision " + v.revision
	if v.image != "" {
		what = "image " + view.Text(v.image, 200)
	}
	fmt.Fprintf(a.streams.Out, "Waiting for %s of Rollout %s, at most %s. Now: %s\n", what, rollout.Name, view.Short(timeout), inShort(view.Rollout(view.Input{Rollout: rollout, Now: a.now()}).Why))
	return a.follow(ctx, s, rollout, timeout, func(r *v1alpha1.Rollout) (bool, error) {
		_, declared, err := s.declared(ctx, r)
		if err != nil && !apierrors.IsForbidden(err) {
			return false, nil
		}
		if v.revision == "" {
			if !slices.ContainsFunc(declared.Images, func(i v1alpha1.ContainerImage) bool { return i.Image == v.image }) {
				return false, nil
			}
			v.revision = declared.Revision
		}
		end := view.Await(r, v.revision, declared.Revision, v.from)
		step := r.Status.Step
		if v.serves && !end.Over && r.Status.Phase == v1alpha1.PhaseBaking && r.Status.Candidate.Revision == v.revision && step != nil && step.Weight.Observed == 100 {
			return true, nil
		}
		if !end.Over {
			return false, nil
		}
		if code := codeOfOutcome[end.Outcome]; code != exitOK {
			return false, exit{code, fmt.Sprintf("%s: %s", end.Outcome, end.Said)}
		}
		fmt.Fprintf(a.streams.Out, "%s: %s.\n", end.Outcome, end.Said)
		return true, nil
	})
}
