package workload

import "testing"

// TestRunSetsOf: whose a set is, by its owner, its labels and what was decided.
func TestRunSetsOf(t *testing.T) {
	canary := func(change func(*Set)) Set {
		s := Set{Name: "shop-b", Rollout: "shop", Run: "shop-b-1", ControllerKind: "RolloutRun", ControllerName: "shop-b-1", ControllerUID: "run"}
		change(&s)
		return s
	}
	none := func(*Set) {}
	deployments := func(s *Set) { s.ControllerKind, s.ControllerName, s.ControllerUID = "Deployment", "shop", "deployment" }
	unlabelled := func(s *Set) { s.Rollout, s.Run = "", "" }
	in := RunOwner{Rollout: "shop", RolloutUID: "rollout", Deployment: "deployment", Run: "shop-b-1", FenceOf: func(*Set) int64 { return 7 }}
	with := func(change func(*RunOwner)) RunOwner { o := in; change(&o); return o }
	decided := func(o *RunOwner) { o.HandOverDecided = true }
	for name, c := range map[string]struct {
		set  Set
		of   RunOwner
		want string
	}{
		"the run's own":                         {canary(none), in, "canary"},
		"without its labels":                    {canary(unlabelled), in, "canary"},
		"nobody's yet":                          {canary(func(s *Set) { s.ControllerKind, s.ControllerName, s.ControllerUID = "", "", "" }), in, "canary"},
		"the Deployment's, by a handover":       {canary(deployments), with(decided), "handed"},
		"the Deployment's, unasked":             {canary(deployments), in, "adopted"},
		"the Deployment's, in spite of a fence": {canary(deployments), with(func(o *RunOwner) { decided(o); o.FencedAt = 7 }), "adopted"},
		"the Rollout's":                         {canary(func(s *Set) { s.ControllerKind, s.ControllerName, s.ControllerUID = "Rollout", "shop", "rollout" }), in, "former"},
		"of a run that has ended":               {canary(none), with(func(o *RunOwner) { o.Run = "" }), "leftover"},
		"of a run that has ended, unlabelled":   {canary(unlabelled), with(func(o *RunOwner) { o.Run = "" }), "leftover"},
		"of another Rollout's run":              {canary(func(s *Set) { s.Rollout = "cart" }), with(func(o *RunOwner) { o.Run = "" }), ""},
		"on its way":                            {canary(func(s *Set) { s.Deleting = true }), with(func(o *RunOwner) { o.Run = "" }), ""},
	} {
		found, got := RunSetsOf([]Set{c.set}, c.of), ""
		switch {
		case found.Handed:
			got = "handed"
		case found.Former:
			got = "former"
		case found.Canary != nil:
			got = "canary"
		case found.Adopted != "":
			got = "adopted"
		case found.Leftover != "":
			got = "leftover"
		}
		if got != c.want {
			t.Errorf("%s: it is %q, not %q", name, got, c.want)
		}
	}
}
