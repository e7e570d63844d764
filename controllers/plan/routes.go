package plan

// weightIsNot reports whether the routes give the canary another share, or
// disagree.
func (f *facts) weightIsNot(weight int32) bool {
	return f.in.Route.Mixed || f.observedWeight() != weight
}

// canaryWeighted reports whether the routes give the canary a share, or disagree
// about it.
func canaryWeighted(f *facts) bool { return routesSplit(f) && f.weightIsNot(0) }

func routesSplit(f *facts) bool { return f.in.Route.Split != nil }

func routesUnsplit(f *facts) bool { return !routesSplit(f) }

func unacknowledged(f *facts) bool { return !f.in.Route.Acknowledged }

// releaseBlocked keeps the routes from a Service where every request would fail.
func (f *facts) releaseBlocked() bool {
	r := f.in.Route
	return r.ServiceMissing || r.ServiceEndpoints == 0 && (r.StableEndpoints > 0 || r.CanaryEndpoints > 0)
}

func routesReleasable(f *facts) bool { return routesSplit(f) && !f.releaseBlocked() }

// routesBlocked are split routes that cannot go back to the user's Service yet.
func routesBlocked(f *facts) bool { return routesSplit(f) && f.releaseBlocked() }

// narrowed is a user's Service that selects one version only.
func narrowed(f *facts) bool { return f.in.Route.Narrowed != "" }

// narrowedToNobody is a Service that selects a version with no endpoint, so that
// the routes cannot go back to it.
func narrowedToNobody(f *facts) bool { return routesBlocked(f) && narrowed(f) }

func widenService(f *facts) Decision {
	return f.doing(f.phaseReason(), "Service "+f.in.Spec.Traffic.Service+" selects all of its pods again", NarrowService{})
}

// forgetShare begins the hold, or the bake, anew: what was acknowledged stands no
// more.
func (f *facts) forgetShare(d *Decision) {
	if d.Status.Step != nil {
		d.Status.Step.AcknowledgedAt = nil
	}
	if d.Status.Promotion != nil {
		d.Status.Promotion.FullAt, d.Status.Promotion.Size, d.Status.Promotion.SizeSince = nil, nil, nil
	}
}

// setWeight begins the hold, or the bake, anew: it is the acknowledged weight
// that must stand.
func (f *facts) setWeight(weight int32, why string) Decision {
	d := f.doing(f.phaseReason(), why, SetSplit{weight})
	f.forgetShare(&d)
	return d
}
