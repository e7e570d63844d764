package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/load"
	"belay.dev/belay/hack/stage"
)

// release is one chapter: what is pushed, and how it has to end.
type release struct {
	version string
	faults  []string
	what    string
	outcome v1alpha1.Outcome
	trigger string
	// coupons are used from the bake on: the fault shows only then.
	coupons bool
}

var releases = []release{
	{version: "v2", what: "a good release", outcome: v1alpha1.OutcomePromoted},
	{version: "v3", what: "fails 5 % of its requests", faults: []string{"SHOP_ERROR_RATE=0.05"}, outcome: v1alpha1.OutcomeRolledBack, trigger: "shop/availability"},
	{version: "v4", what: "charges 2 % of its customers twice", faults: []string{"SHOP_DOUBLE_CHARGE_RATE=0.02"}, outcome: v1alpha1.OutcomeRolledBack, trigger: "shop/no-double-charge"},
	{version: "v5", what: "charges coupons twice, and the first coupon is used in the bake", faults: []string{"SHOP_DOUBLE_CHARGE_COUPONS=true"}, outcome: v1alpha1.OutcomeRolledBack, trigger: "shop/no-double-charge", coupons: true},
}

// chapterLimit bounds one release; the longest takes less than a minute.
const chapterLimit = 3 * time.Minute

// demo is the play's state.
type demo struct {
	stage  *stage.Stage
	shop   stage.Shop
	load   *load.Generator
	out    *screen
	rate   int
	images map[string]string
	// belay says whether Belay was on the cluster before; empty while nobody knows.
	belay stage.Presence
	// kubectlBelay is the path of kubectl-belay.
	kubectlBelay string
	ended        []chapter
}

// chapter is a release that has ended.
type chapter struct {
	release
	entry v1alpha1.HistoryEntry
	// zero says how long the rollback took to take the last request away.
	zero string
}

// prepare brings everything up to version v1 serving, guarded.
func (d *demo) prepare(ctx context.Context) error {
	var err error
	if d.belay, err = d.stage.Presence(ctx); err != nil {
		return fmt.Errorf("ask the cluster whether Belay is there: %w", err)
	}
	d.out.say("building kubectl belay, to ask it at the end")
	if d.kubectlBelay, err = d.stage.Build(ctx, "./cmd/kubectl-belay"); err != nil {
		return err
	}
	d.out.say("building and pushing the shop: v1 good, v2 good, v3 with errors, v4 and v5 with double charges")
	binary, err := d.stage.Build(ctx, "./hack/shop")
	if err != nil {
		return err
	}
	for _, r := range append([]release{{version: "v1"}}, releases...) {
		name := "shop:" + r.version
		if _, err := d.stage.Push(ctx, name, binary, append([]string{"SHOP_VERSION=" + r.version}, r.faults...)...); err != nil {
			return err
		}
		d.images[r.version] = d.stage.Addresses.Registry + "/" + name
	}
	if err := d.install(ctx); err != nil {
		return err
	}
	d.out.say("deploying the shop v1: a plain Deployment, Service and HTTPRoute")
	if err := d.shop.Serve(ctx, d.images["v1"]); err != nil {
		return err
	}
	d.out.say("declaring a Guardrail and a Rollout; waiting until dry-runs have shown that the guard works")
	limited, cancel := context.WithTimeout(ctx, chapterLimit)
	defer cancel()
	return d.shop.Guard(limited)
}

// install brings Belay in, unless somebody else did: theirs is used as it is.
func (d *demo) install(ctx context.Context) error {
	if d.belay == stage.Foreign {
		d.out.say("Belay is on this cluster: the demo uses it as it is, and adds a MetricSource belay-stage that it removes at the end")
		return d.stage.OfferSource(ctx)
	}
	d.out.say("building and installing Belay: CRDs, admission policies, roles, two replicas of the controller")
	return d.stage.Install(ctx)
}

// release pushes one version and follows it to its end.
func (d *demo) release(ctx context.Context, r release) error {
	d.out.title(fmt.Sprintf("Release %s: %s", r.version, r.what))
	ctx, cancel := context.WithTimeout(ctx, chapterLimit)
	defer cancel()
	image := d.images[r.version]
	d.out.say("kubectl set image deployment/shop shop=" + image)
	if err := d.shop.Release(ctx, image); err != nil {
		return fmt.Errorf("push %s: %w", r.version, err)
	}
	follower := &follower{demo: d, image: image}
	var entry *v1alpha1.HistoryEntry
	rollout, err := d.shop.Await(ctx, "finish "+r.version, func(rollout *v1alpha1.Rollout) bool {
		follower.look(ctx, rollout)
		d.load.Coupons.Store(r.coupons && rollout.Status.Phase == v1alpha1.PhaseBaking)
		entry = newest(rollout, image)
		return entry != nil && idle(rollout)
	})
	if err != nil {
		return err
	}
	// The last decisions reach the run's record right after the status.
	follower.look(ctx, rollout)
	d.out.clear()
	d.ended = append(d.ended, chapter{release: r, entry: *entry, zero: follower.zero})
	return nil
}

func newest(rollout *v1alpha1.Rollout, image string) *v1alpha1.HistoryEntry {
	for i := range rollout.Status.History {
		if rollout.Status.History[i].Image == image {
			return &rollout.Status.History[i]
		}
	}
	return nil
}

// idle reports that no run is in progress and nothing is left to clear up.
func idle(rollout *v1alpha1.Rollout) bool {
	return rollout.Status.Phase == v1alpha1.PhaseStable || rollout.Status.Phase == v1alpha1.PhaseRolledBack
}

// clear removes what the demo made, and the cluster if the demo started it.
func (d *demo) clear(ctx context.Context) error {
	d.out.title("Cleaning up")
	if d.stage.Own {
		return d.stage.Close(ctx)
	}
	err := d.shop.Remove(ctx)
	if err == nil {
		err = d.clearBelay(ctx)
	}
	return errors.Join(err, d.stage.Close(ctx))
}

// clearBelay removes what the demo brought in of Belay, and no more.
func (d *demo) clearBelay(ctx context.Context) error {
	var err error
	left := "the shop is gone"
	switch d.belay {
	case stage.Absent:
		left, err = "the shop and Belay are gone; the cluster is as it was", d.stage.Uninstall(ctx)
	case stage.Staged:
		left = "the shop is gone; Belay stays, now of this build: an earlier demo or test had installed it"
	case stage.Foreign:
		left, err = "the shop and the MetricSource belay-stage are gone; the Belay that was there stays as it was", d.stage.RemoveSource(ctx)
	}
	if err == nil {
		d.out.say(left)
	}
	return err
}
