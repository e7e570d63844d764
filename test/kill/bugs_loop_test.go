//go:build kill

package kill

const loop = "./controllers/rollout"

// loopBugs are in the Rollout loop, which observes, records and acts, and in the
// checks that it asks.
var loopBugs = []bug{
	{
		name: "effect-before-the-record", breaks: explained,
		file:   "controllers/rollout/controller.go",
		old:    "	d, err := r.record(ctx, l, t)\n",
		is:     "	for _, e := range t.Effects {\n		_ = r.act(ctx, decided{look: l, recorded: rollout}, e)\n	}\n	d, err := r.record(ctx, l, t)\n",
		checks: []check{tests(loop, "")},
	},
	{
		name: "effects-after-a-conflict", breaks: served,
		file:   "controllers/rollout/act.go",
		old:    "if apierrors.IsConflict(err) || ctx.Err() != nil {",
		is:     "if ctx.Err() != nil {",
		checks: []check{tests(loop, "")},
	},
	{
		name: "refused-effect-ends-the-others", breaks: served,
		file:   "controllers/rollout/act.go",
		old:    "if apierrors.IsConflict(err) || ctx.Err() != nil {",
		is:     "if err != nil {",
		checks: []check{tests(loop, "")},
	},
	{
		name: "stale-status-written", breaks: explained,
		file:   "controllers/rollout/record.go",
		old:    "patch := client.MergeFromWithOptions(l.rollout.DeepCopy(), client.MergeFromWithOptimisticLock{})\n	err := r.Client.Status()",
		is:     "patch := client.MergeFrom(l.rollout.DeepCopy())\n	err := r.Client.Status()",
		checks: []check{tests(loop, "")},
	},
	{
		name: "loop-forgets-when-to-look-again", breaks: independent,
		file:   "controllers/rollout/controller.go",
		old:    "wakeUp(t.Recheck, owed)",
		is:     "wakeUp(owed)",
		checks: []check{tests(loop, "")},
	},
	{
		name: "command-handled-twice", breaks: explained,
		file:   "controllers/rollout/observe.go",
		old:    " || rollout.Status.Handled(token) {",
		is:     " {",
		checks: []check{tests(loop, "")},
	},
	{
		name: "run-in-progress-takes-new-steps", breaks: explained,
		file:   "controllers/rollout/observe.go",
		old:    "	l.input.Spec.Steps = run.Spec.Steps\n",
		is:     "",
		checks: []check{tests(loop, "")},
	},
	{
		name: "run-in-progress-takes-new-traffic", breaks: explained,
		file:   "controllers/rollout/observe.go",
		old:    "	l.input.Spec.Traffic = run.Spec.Traffic\n",
		is:     "",
		checks: []check{tests(loop, "")},
	},
	{
		name: "run-of-another-rollout-taken", breaks: explained,
		file:   "controllers/rollout/act.go",
		old:    "if found.Spec.Rollout.UID != d.recorded.UID {",
		is:     "if found.Spec.Rollout.Name != d.recorded.Name {",
		checks: []check{tests(loop, "")},
	},
	{
		name: "cached-read-in-a-handover", breaks: served,
		file:   "controllers/rollout/observe_workload.go",
		old:    "	live := l.mustReadLive()\n",
		is:     "	live := false\n",
		checks: []check{tests(loop, "")},
	},
	{
		name: "canary-made-after-its-run", breaks: unguarded,
		file:   "controllers/rollout/act_workload.go",
		old:    "	if err := r.stillDecided(ctx, d); err != nil {\n		return err\n	}\n	set, err :=",
		is:     "	set, err :=",
		checks: []check{tests(loop, "")},
	},
	{
		name: "requeue-without-back-off", breaks: independent,
		file:   "controllers/rollout/act_workload.go",
		old:    "case r.Clock.Since(made.Time) < cacheCatchesUp:",
		is:     "case r.Clock.Since(made.Time) >= 0:",
		checks: []check{tests(loop, "TestANameThatIsTaken"), tests(loop, "")},
	},
	{
		name: "refusals-retried-at-once", breaks: independent,
		file:   "controllers/wake/conflict.go",
		old:    "if apierrors.IsConflict(err) {",
		is:     "if err != nil || apierrors.IsConflict(err) {",
		checks: []check{tests("./controllers/wake", "")},
	},
	{
		name: "finalizer-gone-before-the-services", breaks: served,
		file:   "controllers/rollout/act.go",
		old:    "	kept := r.Router.Remove(ctx, d.target)\n",
		is:     "	_ = r.setFinalizer(ctx, d, false)\n	kept := r.Router.Remove(ctx, d.target)\n",
		checks: []check{tests(loop, "")},
	},
	{
		name: "finalizer-left", breaks: served,
		file:   "controllers/rollout/act.go",
		old:    "	return r.setFinalizer(ctx, d, false)\n",
		is:     "	return nil\n",
		checks: []check{tests(loop, "")},
	},
	{
		name: "record-refused-blocks-a-rollback", breaks: independent,
		file:   "controllers/rollout/record.go",
		old:    "if !refused || !t.GoesOn {",
		is:     "if !refused || t.GoesOn {",
		checks: []check{tests(loop, "")},
	},
	{
		name: "unwritten-record-ships", breaks: explained,
		file:   "controllers/rollout/runrecord.go",
		old:    "	case t.GoesOn:\n",
		is:     "	case t.GoesOn || err != nil:\n",
		checks: []check{tests(loop, "")},
	},
	{
		name: "pinned-guardrails-replaced", breaks: explained,
		file:   "controllers/guardrails/guardrails.go",
		old:    "	out := slices.Clone(pinned)\n	for _, now := range current {\n",
		is:     "	out := slices.Clone(current)\n	for _, now := range current[:0] {\n",
		checks: []check{tests("./controllers/guardrails", ""), tests("./controllers/judge", "")},
	},
	{
		name: "old-proof-of-the-guard-stands", breaks: unguarded,
		file:   "controllers/gates/guard.go",
		old:    "if gate.Outcome == plan.Open && g.Clock.Since(known.provenAt) > 2*g.Stands {",
		is:     "if gate.Outcome == plan.Open && known.provenAt.IsZero() {",
		checks: []check{tests("./controllers/gates", "")},
	},
	{
		name: "refused-dry-run-proves-the-guard", breaks: unguarded,
		file:   "controllers/gates/probe.go",
		old:    "		return unproven, k.unanswered(key, err), 0\n",
		is:     "		return proven, k.unanswered(key, err), 0\n",
		checks: []check{tests("./controllers/gates", "")},
	},
}
