package runs

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// TestFinalizers: a run in progress has Belay's, one that has ended has not, and others' stay.
func TestFinalizers(t *testing.T) {
	const own, other = v1alpha1.RunFinalizer, "example.com/keep"
	for name, c := range map[string]struct {
		has     []string
		ended   bool
		deleted bool
		want    []string
	}{
		"in progress":                   {has: []string{own}, want: []string{own}},
		"made by an older Belay":        {want: []string{own}},
		"beside another":                {has: []string{other}, want: []string{other, own}},
		"in progress, deleted":          {has: []string{own, other}, deleted: true, want: []string{own, other}},
		"in progress, deleted, without": {has: []string{other}, deleted: true, want: []string{other}},
		"ended":                         {has: []string{other, own}, ended: true, want: []string{other}},
		"ended, without":                {ended: true},
		"ended and deleted":             {has: []string{own}, ended: true, deleted: true},
	} {
		run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Finalizers: c.has}}
		run.Labels = Labels(run)
		if c.ended {
			run.Status.Outcome = v1alpha1.OutcomePromoted
			run.Labels = Labels(run)
		}
		if c.deleted {
			run.DeletionTimestamp = &metav1.Time{}
		}
		got := Finalizers(run)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if !slices.Equal(run.Finalizers, c.has) {
			t.Errorf("%s: changes the run: %v", name, run.Finalizers)
		}
		if kept := slices.Contains(c.has, own); Kept(run) != kept {
			t.Errorf("%s: kept %t", name, !kept)
		}
		for _, collector := range []string{metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents} {
			collected := run.DeepCopy()
			collected.Finalizers = append(collected.Finalizers, collector)
			if Kept(collected) {
				t.Errorf("%s: kept, and %s", name, collector)
			}
		}
		if Marked(run) != slices.Equal(c.has, c.want) {
			t.Errorf("%s: marked %t", name, Marked(run))
		}
	}
}
