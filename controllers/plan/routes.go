package plan

// weightIsNot reports whether the canary has another weight, or the routes
// disagree about it.
func (f *facts) weightIsNot(weight int32) bool {
	if f.replicaWeighted() {
		return f.sizeIsNot(weight)
	}
	return f.in.Route.Mixed || f.observedWeight() != weight
}

// canaryWeighted holds while the canary has a weight, testers or copies, or the
// routes disagree about it.
func canaryWeighted(f *facts) bool {
	return routesSplit(f) && (f.weightIsNot(0) || !f.extraNow().none())
}

func routesSplit(f *facts) bool { return f.in.Route.Split != nil }

// routesUnsplit is false where there are no routes to split.
func routesUnsplit(f *facts) bool { return !routesSplit(f) && !f.replicaWeighted() }

func unacknowledged(f *facts) bool { return !f.in.Route.Acknowledged }

// releaseBlocked holds while requests would fail if the routes pointed at the
// user's Service.
func (f *facts) releaseBlocked() bool {
	r := f.in.Route
	return r.ServiceMissing || r.ServiceEndpoints == 0 && (r.StableEndpoints > 0 || r.CanaryEndpoints > 0)
}

func routesReleasable(f *facts) bool { return routesSplit(f) && !f.releaseBlocked() }

// routesBlocked holds while the routes are split and cannot go back to the
// user's Service.
func routesBlocked(f *facts) bool { return routesSplit(f) && f.releaseBlocked() }

// narrowed holds while the user's Service selects one version only.
func narrowed(f *facts) bool { return f.in.Route.Narrowed != "" }

// narrowedToNobody holds while the routes cannot go back to the user's Service
// because it is narrowed to a version without endpoints.
func narrowedToNobody(f *facts) bool { return routesBlocked(f) && narrowed(f) }

func widenService(f *facts) Decision {
	return f.doing(f.phaseReason(), "letting Service "+f.traffic.Service+" select all of its pods again", NarrowService{})
}

// restartHold makes the hold or the bake begin anew: the acknowledged weight is
// no longer there.
func (f *facts) restartHold(d *Decision) {
	if s := d.Status.Step; s != nil {
		s.AcknowledgedAt, s.Wave = nil, nil
		if baking(f) {
			// The deadline is that of the promotion again, with what it has waited since.
			s.WaitedBefore = 0
		}
	}
	if d.Status.Promotion != nil {
		d.Status.Promotion.FullAt, d.Status.Promotion.Size, d.Status.Promotion.SizeSince = nil, nil, nil
	}
}

// setSplit makes the hold or the bake begin anew: they count from the
// acknowledgement of it.
func (f *facts) setSplit(to SetSplit, why string) Decision {
	d := f.doing(f.phaseReason(), why, to)
	f.restartHold(&d)
	return d
}
