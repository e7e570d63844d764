package rollout

import (
	"slices"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// baseOf is the base revision of a template, by what the Rollout lists now.
func (l *look) baseOf(template map[string]any, revision string) (string, error) {
	return workload.BaseRevision(template, revision, l.rollout.Spec.RestartAnnotations)
}

// rebaseRejected computes the base revisions of rejected versions again, from the templates
// that their runs hold, when it has to be known whether the declared one is a restart of one:
// the list of annotations may have changed since. Of a version that is rejected itself a command
// has to know it: Retry forgets the others with it. Of a version whose run is gone the status
// says it.
func (l *look) rebaseRejected() error {
	s, w := &l.input.Status, &l.input.Workload
	if len(l.rollout.Spec.RestartAnnotations) == 0 || s.Phase.InRun() || s.Stable == nil || w.Declared.Revision == s.Stable.Revision {
		return nil
	}
	if s.IsRejected(w.Declared.Revision) != nil && l.input.Action == nil {
		return nil
	}
	for i := range s.Rejected {
		r := &s.Rejected[i]
		at := slices.IndexFunc(l.runs, func(run v1alpha1.RolloutRun) bool {
			return run.Name == r.Run && run.Spec.Revision == r.Revision && len(run.Spec.Template.Raw) > len(noTemplate)
		})
		if at < 0 {
			continue
		}
		template, err := workload.DecodeTemplate(l.runs[at].Spec.Template.Raw)
		if err != nil {
			return err
		}
		if r.BaseRevision, err = workload.BaseRevision(template, r.Revision, l.rollout.Spec.RestartAnnotations); err != nil {
			return err
		}
	}
	return nil
}
