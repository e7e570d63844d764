package plan

import (
	"fmt"
	"slices"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// A version that was rejected gets no run again by itself.

// rejectedAgain is false for a version that the status already shows as
// rejected.
func rejectedAgain(f *facts) bool {
	shown := f.inPhase(v1alpha1.PhaseRolledBack) && f.declared == f.candidate
	// What waits in Gating has been looked at, or retried: only the list of annotations may have
	// changed since.
	waits := gating(f) && (f.declared != f.candidate || f.rejectedBase() == nil)
	return !waits && !shown && f.declared != f.stable && f.rejection(f.declared) != nil
}

func rejectAgain(f *facts) Decision {
	r := f.rejection(f.declared)
	d := f.stalled(v1alpha1.ReasonRolledBack, "")
	f.takeAsCandidate(&d)
	declared, because := f.besideStable(&f.in.Workload.Declared), v1alpha1.Bounded(r.Message, 400)
	switch {
	case r.Revision == f.declared:
		d.Why = fmt.Sprintf("%s was rejected at %s (run %s: %s) and does not start again by itself; %s serves: push another version, revert, or retry",
			declared, clock(r.At.Time), r.Run, because, imageOf(f.in.Status.Stable))
	case r == f.rejectedBase():
		d.Why = fmt.Sprintf("%s is a restart of revision %s, which was rejected at %s (run %s: %s): only annotations that spec.restartAnnotations lists differ, so it does not start; %s serves: push another version, revert, or retry",
			declared, r.Revision, clock(r.At.Time), r.Run, because, imageOf(f.in.Status.Stable))
		f.rejectToo(&d, r, fmt.Sprintf("it is a restart of revision %s, which was rejected", r.Revision))
	default:
		d.Why = fmt.Sprintf("%s has the images of revision %s, which was rejected at %s (run %s: %s), and spec.rejectBy is Image: it does not start; %s serves: push another image, revert, or retry",
			declared, r.Revision, clock(r.At.Time), r.Run, because, imageOf(f.in.Status.Stable))
		f.rejectToo(&d, r, fmt.Sprintf("it has the images of revision %s, which was rejected", r.Revision))
	}
	d.Status.Phase = v1alpha1.PhaseRolledBack
	d.Recheck = 1
	return d
}

// rejectToo rejects the declared template, too, from here on, whatever becomes of the other's
// entry. It takes the place of those before it that were rejected for the same reason: each push
// may have another template, and no number of them may push what else was rejected out of the
// list.
func (f *facts) rejectToo(d *Decision, r *v1alpha1.RejectedRevision, because string) {
	again, tried := *r.DeepCopy(), r.Revision
	d.Status.Rejected = slices.DeleteFunc(d.Status.Rejected, func(o v1alpha1.RejectedRevision) bool {
		return o.Run == again.Run && o.Revision != tried && f.rejectsDeclared(&o)
	})
	again.Revision, again.BaseRevision = f.declared, f.in.Workload.Declared.BaseRevision
	again.Message = v1alpha1.Bounded(fmt.Sprintf("%s: %s", because, r.Message), 1024)
	remember(d, again)
}

// rejection is the record of a rejected revision; of the declared one also that of a version that
// it is a restart of, and of another with the same images, where spec.rejectBy says so.
func (f *facts) rejection(revision string) *v1alpha1.RejectedRevision {
	r := f.in.Status.IsRejected(revision)
	if r != nil || revision != f.declared || f.wasStable(revision) {
		return r
	}
	if r = f.rejectedBase(); r != nil || f.in.Spec.RejectBy != v1alpha1.RejectByImage {
		return r
	}
	// The oldest first: that is the one which had a run.
	for i := len(f.in.Status.Rejected) - 1; i >= 0; i-- {
		if r := &f.in.Status.Rejected[i]; f.sameRejectedImages(r) {
			return r
		}
	}
	return nil
}

// rejectsDeclared is whether a rejection is about the declared template by its images, or
// because only listed annotations differ.
func (f *facts) rejectsDeclared(r *v1alpha1.RejectedRevision) bool {
	return f.restartOf(r) || f.in.Spec.RejectBy == v1alpha1.RejectByImage && f.sameRejectedImages(r)
}

func (f *facts) sameRejectedImages(r *v1alpha1.RejectedRevision) bool {
	return sameImages(r.Images, f.in.Workload.Declared.Images) && !f.stableHas(r.Images)
}

// wasStable is true for a version that served before: it is a way back.
func (f *facts) wasStable(revision string) bool {
	return revision == f.stable || slices.ContainsFunc(f.in.Status.Previous, func(p v1alpha1.PreviousRevision) bool { return p.Revision == revision })
}

// stableHas is whether stable runs these images: then something else of the rejected template
// was the cause. Of a stable version that Belay adopted only the first image is known.
func (f *facts) stableHas(images []v1alpha1.ContainerImage) bool {
	s := f.in.Status.Stable
	if s != nil && len(s.Images) == 0 {
		return images[0].Image == s.Image
	}
	return s != nil && sameImages(images, s.Images)
}

// sameImages is whether two templates have containers of the same names with the same images.
func sameImages(a, b []v1alpha1.ContainerImage) bool {
	if len(a) == 0 || len(a) != len(b) {
		return false
	}
	for _, one := range a {
		at := slices.IndexFunc(b, func(other v1alpha1.ContainerImage) bool { return other.Container == one.Container })
		if at < 0 || !sameImage(one, b[at]) {
			return false
		}
	}
	return true
}

// sameImage goes by the digests where both are known: a tag may have been moved, and two tags
// may name one image.
func sameImage(a, b v1alpha1.ContainerImage) bool {
	if one, other := digestOf(a), digestOf(b); one != "" && other != "" {
		return one == other
	}
	return a.Image == b.Image
}

// digestOf is what pods reported, or what the template declares.
func digestOf(c v1alpha1.ContainerImage) string {
	if _, declared, ok := strings.Cut(c.Image, "@"); ok {
		return declared
	}
	return c.Digest
}

// forgetRejection is for a version that a person lets run once more; as a restart of another,
// or by its images, it would be rejected again.
func (f *facts) forgetRejection(d *Decision) {
	d.Status.Rejected = withoutRevision(d.Status.Rejected, f.candidate)
	if base := f.candidateBase(); base != "" && base != f.in.Workload.Stable.BaseRevision {
		d.Status.Rejected = slices.DeleteFunc(d.Status.Rejected, func(r v1alpha1.RejectedRevision) bool {
			return r.BaseRevision == base || r.Revision == base
		})
	}
	if f.in.Spec.RejectBy == v1alpha1.RejectByImage {
		d.Status.Rejected = slices.DeleteFunc(d.Status.Rejected, func(r v1alpha1.RejectedRevision) bool {
			return sameImages(r.Images, f.in.Status.Candidate.Images)
		})
	}
}
