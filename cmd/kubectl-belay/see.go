package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

func (a *app) status() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show what happens with a Rollout now, and why",
		Long: "Show what happens with a Rollout now, and why: the steps with the time and the requests that they still need, which version serves what share,\n" +
			"the pods of both, each trigger with what was measured and how far it is from firing, the last decisions, and the commands that make sense:\n" +
			"those that you may give to paste, and who may give the others.\n\n" +
			"With -w a terminal is redrawn every two seconds; elsewhere a line is written for each change.",
		Example: `  kubectl belay status checkout
  kubectl belay status checkout -w
  kubectl belay status checkout -o jsonpath={.status.phase}`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRollouts,
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until interrupted")
	o := outputOf(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := a.connect()
		if err != nil {
			return err
		}
		name := first(args)
		if _, ok := o.screen(); !ok {
			if watch {
				return usage(fmt.Errorf("-w has a screen of its own: leave -o out"))
			}
			rollout, err := s.rollout(cmd.Context(), name)
			if err != nil {
				return err
			}
			return a.print(o, rollout)
		}
		seen, asked := trails{}, (*question)(nil)
		return a.repeat(cmd.Context(), watch, func(ctx context.Context) (frame, error) {
			rollout, err := s.rollout(ctx, name)
			if err != nil {
				return frame{}, err
			}
			// Without a NAME the only one is watched on, also when another is made meanwhile.
			name = rollout.Name
			if asked == nil {
				asked = s.ask(ctx, rollout, askedFor)
			}
			in, hidden, err := s.surroundings(ctx, rollout)
			if err != nil {
				return frame{}, err
			}
			screen := view.Rollout(in)
			screen.Actions, screen.Barred = asked.part(rollout, screen.Actions)
			if len(hidden) > 0 {
				screen.Notes = append(screen.Notes, "You may not read "+strings.Join(slices.Compact(hidden), ", ")+": what they say is missing here.")
			}
			seen.add(screen.Triggers)
			return frame{
				text: statusScreen(a.pasted(), screen, in.Now, seen),
				line: fmt.Sprintf("%s  %s/%s  %s  %s", in.Now.UTC().Format("15:04:05Z"), screen.Namespace, screen.Name, screen.Headline, screen.Why),
				key:  screen.Headline + screen.Why,
			}, nil
		})
	}
	return cmd
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (a *app) list() *cobra.Command {
	var watch, all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List Rollouts, worst first",
		Long:  "List Rollouts, worst first: what needs a person, what holds, what moves, what is stable. -o wide adds the trigger and the message.",
		Example: `  kubectl belay list -A
  kubectl belay list -o wide
  kubectl belay list -A -w`,
		Aliases: []string{"ls"},
		Args:    cobra.NoArgs,
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until interrupted")
	cmd.Flags().BoolVarP(&all, "all-namespaces", "A", false, "of all namespaces")
	o := outputOf(cmd, "wide")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := a.connect()
		if err != nil {
			return err
		}
		if all {
			s.namespace = ""
		}
		name, ok := o.screen()
		if !ok {
			if watch {
				return usage(fmt.Errorf("-w has a screen of its own: leave -o out"))
			}
			rollouts, err := s.rollouts(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(o, rollouts)
		}
		return a.repeat(cmd.Context(), watch, func(ctx context.Context) (frame, error) {
			rows, err := s.rows(ctx)
			if err != nil {
				return frame{}, err
			}
			text := listScreen(a.terminal, rows, s.now(), name == "wide", all)
			key := ""
			for _, r := range rows {
				key += r.Namespace + "/" + r.Name + " " + string(r.State) + " " + r.Serving + "\n"
			}
			return frame{text: text, line: s.now().UTC().Format("15:04:05Z") + "\n" + strings.TrimRight(text, "\n"), key: key}, nil
		})
	}
	return cmd
}

func (s *session) rollouts(ctx context.Context) (*v1alpha1.RolloutList, error) {
	list := &v1alpha1.RolloutList{}
	if err := s.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
		return nil, err
	}
	return list, nil
}

// rows of the list. Who pushed is an annotation of the workload; it is left out where those
// must not be listed.
func (s *session) rows(ctx context.Context) ([]view.Row, error) {
	list, err := s.rollouts(ctx)
	if err != nil {
		return nil, err
	}
	by := map[string]string{}
	of := func(kind, namespace, name string) string { return kind + " " + namespace + "/" + name }
	for _, kind := range []string{v1alpha1.KindDeployment, v1alpha1.KindStatefulSet} {
		workloads := &metav1.PartialObjectMetadataList{}
		workloads.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind + "List"))
		if s.List(ctx, workloads, client.InNamespace(s.namespace), client.HasLabels{v1alpha1.LabelRollout}) != nil {
			continue
		}
		for i := range workloads.Items {
			w := &workloads.Items[i]
			by[of(kind, w.Namespace, w.Name)] = w.Annotations[v1alpha1.AnnotationPushedBy]
		}
	}
	var rows []view.Row
	for i := range list.Items {
		r := &list.Items[i]
		in := view.Input{Rollout: r, Now: s.now()}
		if view.Overdue(r, in.Now) {
			// Only its run tells whether metrics judge it, and when they did.
			run := &v1alpha1.RolloutRun{}
			if s.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Status.Run}, run) == nil {
				in.Run = run
			}
		}
		rows = append(rows, view.RowOf(in, by[of(view.KindOf(r), r.Namespace, r.Spec.WorkloadRef.Name)]))
	}
	view.Worst(rows)
	return rows, nil
}
