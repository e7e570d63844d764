package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/invariants"
	"belay.dev/belay/controllers/plan"
)

const (
	digestOne = "sha256:1111"
	digestTwo = "sha256:2222"
)

func container(name, image, digest string) v1alpha1.ContainerImage {
	return v1alpha1.ContainerImage{Container: name, Image: image, Digest: digest}
}

// byImage has an earlier revision rejected with these images, and the declared template those.
func byImage(rejected, declared []v1alpha1.ContainerImage) change {
	return func(in *plan.Input) {
		in.Spec.RejectBy = v1alpha1.RejectByImage
		in.Status.Rejected = []v1alpha1.RejectedRevision{{Revision: another, Message: "5 % errors", At: longAgo, Run: "shop-x-7", Images: rejected}}
		declares(newerRevision)(in)
		in.Workload.Declared.Images = declared
	}
}

// TestImagesThatWereRejected: what stays rejected when the rest of the template differs.
func TestImagesThatWereRejected(t *testing.T) {
	list := func(images ...v1alpha1.ContainerImage) []v1alpha1.ContainerImage { return images }
	one := list(container("shop", "shop:2", ""))
	stableRuns := func(images ...v1alpha1.ContainerImage) change {
		return func(in *plan.Input) { in.Status.Stable.Images = images }
	}
	for name, c := range map[string]struct {
		in   plan.Input
		want bool
	}{
		"the same image": {given(byImage(one, one)), true},
		"the same image, after another rejection": {given(rolledBack, byImage(one, one)), true},
		"another tag":                               {given(byImage(one, list(container("shop", "shop:3", "")))), false},
		"the same image of another container":       {given(byImage(one, list(container("web", "shop:2", "")))), false},
		"one container more":                        {given(byImage(one, append(list(container("proxy", "proxy:1", "")), one...))), false},
		"the containers in another order":           {given(byImage(list(container("a", "a:1", ""), container("b", "b:1", "")), list(container("b", "b:1", ""), container("a", "a:1", "")))), true},
		"the digest that its pods reported":         {given(byImage(list(container("shop", "shop:2", digestOne)), list(container("shop", "shop@"+digestOne, "")))), true},
		"another digest":                            {given(byImage(list(container("shop", "shop:2", digestOne)), list(container("shop", "shop@"+digestTwo, "")))), false},
		"the same tag with another digest":          {given(byImage(list(container("shop", "shop:2@"+digestOne, "")), list(container("shop", "shop:2@"+digestTwo, "")))), false},
		"the same tag, whose digest is not known":   {given(byImage(list(container("shop", "shop:2", digestOne)), list(container("shop", "shop:2", "")))), true},
		"images that were not kept":                 {given(byImage(nil, one)), false},
		"nothing declares images":                   {given(byImage(one, nil)), false},
		"by template":                               {given(byImage(one, one), func(in *plan.Input) { in.Spec.RejectBy = v1alpha1.RejectByTemplate }), false},
		"stable runs them":                          {given(byImage(one, one), stableRuns(one...)), false},
		"stable runs others":                        {given(byImage(one, one), stableRuns(container("shop", "shop:1", ""))), true},
		"stable was adopted with the first of them": {given(byImage(one, one), func(in *plan.Input) { in.Status.Stable.Image = "shop:2" }), false},
		"it was stable before":                      {given(byImage(one, one), previously(newerRevision)), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := plan.Decide(c.in)
			if got := d.Rule == "Rejected"; got != c.want {
				t.Fatalf("%s: %s", d.Rule, d.Why)
			}
			for _, violation := range invariants.Of(c.in, d) {
				t.Errorf("%s: %s", violation.Name, violation.Message)
			}
			r := d.Status.IsRejected(newerRevision)
			if (r != nil) != c.want {
				t.Fatalf("rejected %+v", d.Status.Rejected)
			}
			if c.want && (!strings.Contains(d.Why, "has the images of revision "+another) || !strings.Contains(r.Message, "5 % errors") || r.Run != "shop-x-7") {
				t.Errorf("%s; entry %+v", d.Why, r)
			}
		})
	}
}

// TestAVersionRejectedByItsImages gets no run, is marked, and runs after a retry.
func TestAVersionRejectedByItsImages(t *testing.T) {
	one := []v1alpha1.ContainerImage{container("shop", "shop:2", "")}
	retry := func(in *plan.Input) {
		in.Action = &plan.Action{Action: v1alpha1.ActionRetry, Token: "t9", Revision: newerRevision, By: "ann"}
	}
	w := newWorld(t, byImage(one, one)).goes("Rejected", "MarksWorkload", "RolledBack")
	if m := w.in.Workload.Marks; m.Rejected != newerRevision {
		t.Errorf("marked %+v", m)
	}
	w.happens(retry).goes("RetryRequested").happens(func(in *plan.Input) { in.Action = nil }).goes("MarksWorkload", "RunStarts")
	if left := w.in.Status.Rejected; len(left) > 0 {
		t.Errorf("a retry leaves %+v, which rejects the images again", left)
	}
	before := newWorld(t, gating, byImage(one, one)).goes("Superseded")
	before.ends(v1alpha1.PhaseRolledBack, stableRevision)
}

// TestARejectionKeepsItsImages as the candidate's pods reported them.
func TestARejectionKeepsItsImages(t *testing.T) {
	in := given(rollingBack(&recently), noCanary, noSplit, func(in *plan.Input) {
		in.Status.Candidate.Images = []v1alpha1.ContainerImage{container("shop", "shop:b", digestOne)}
		in.Now = in.Now.Add(time.Minute)
	})
	d := plan.Decide(in)
	if r := d.Status.IsRejected(candidateRevision); d.Rule != "RollbackDone" || r == nil || len(r.Images) != 1 || r.Images[0].Digest != digestOne {
		t.Errorf("%s: rejected %+v", d.Rule, d.Status.Rejected)
	}
}

// TestOneImageTakesOnePlaceAmongTheRejected: templates that differ with each push, as charts
// with a random annotation make them, push no other version out of the list.
func TestOneImageTakesOnePlaceAmongTheRejected(t *testing.T) {
	one := []v1alpha1.ContainerImage{container("shop", "shop:2", "")}
	in := given(byImage(one, one))
	in.Status.Rejected[0].Run = plan.RunName(in.Name, another, 7)
	in.Status.Rejected = append(in.Status.Rejected, v1alpha1.RejectedRevision{Revision: candidateRevision, Message: "10 % errors", At: longAgo, Run: plan.RunName(in.Name, candidateRevision, 3)})
	for i := range 30 {
		in.Workload.Declared.Revision = fmt.Sprintf("%010d", i)
		d := plan.Decide(in)
		if d.Rule != "Rejected" || d.Status.IsRejected(in.Workload.Declared.Revision) == nil {
			t.Fatalf("push %d: %s: %s", i, d.Rule, d.Why)
		}
		if !strings.Contains(d.Why, "has the images of revision "+another) || strings.Count(d.Why, "which was rejected") != 1 || !strings.Contains(d.Why, "5 % errors") {
			t.Fatalf("push %d: %s", i, d.Why)
		}
		in.Status = d.Status
	}
	if left := in.Status.Rejected; len(left) != 3 || in.Status.IsRejected(candidateRevision) == nil || in.Status.IsRejected(another) == nil {
		t.Errorf("rejected %+v", left)
	}
}

// TestRejectedImagesLeaveRoomForTheInput: a record has 16 KiB for it. A Rollout with many
// rejected versions of a few containers can still be replayed.
func TestRejectedImagesLeaveRoomForTheInput(t *testing.T) {
	in := given(gating)
	for i := range 20 {
		r := v1alpha1.RejectedRevision{Revision: fmt.Sprintf("%010d", i), Trigger: "Guardrail/errors/rate", Message: "12 of 240 requests failed (5 %), and 1 % may", At: longAgo, Run: fmt.Sprintf("shop-%010d-%d", i, i)}
		for _, name := range []string{"shop", "proxy", "logs", "metrics"} {
			r.Images = append(r.Images, container(name, "registry.example.com/team/"+name+":2026.11.27-0123456", "sha256:"+strings.Repeat("a", 64)))
		}
		in.Status.Rejected = append(in.Status.Rejected, r)
	}
	canonical, err := in.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if len(canonical) > 16<<10 {
		t.Errorf("the input has %d bytes", len(canonical))
	}
	in.Spec.RejectBy = v1alpha1.RejectByImage
	if canonical, err = in.Canonical(); err != nil || !strings.Contains(string(canonical), "2026.11.27-0123456") {
		t.Errorf("images that decide are not kept, error %v", err)
	}
}
