//go:build kill

package kill

const workload = "./controllers/workload"

// handoverBugs are in the writes of a handover and of its way back.
var handoverBugs = []bug{
	{
		name: "owner-untested-in-the-handover", breaks: served,
		file:   "controllers/workload/patch.go",
		old:    "	p.Test(string(present.UID), \"metadata\", \"ownerReferences\", index, \"uid\")\n",
		is:     "	_ = present\n",
		checks: []check{tests(workload, "")},
	},
	{
		name: "size-untested-in-the-handover", breaks: served,
		file:   "controllers/rollout/act_workload.go",
		old:    "(e.Native || workload.Replicas(locked) == e.Replicas)",
		is:     "(e.Native || e.Replicas > 0)",
		checks: []check{tests(loop, "")},
	},
	{
		name: "handover-after-a-refused-lock", breaks: served,
		file:   "controllers/rollout/act_workload.go",
		old:    "		if err := asConflict(locked, r.Client.Patch(",
		is:     "		err := error(nil)\n		if _ = asConflict(locked, r.Client.Patch(",
		checks: []check{tests(loop, "")},
	},
	{
		name: "template-untested-when-unpausing", breaks: unguarded,
		file:   "controllers/workload/handover.go",
		old:    "	p.Test(template, \"spec\", \"template\")\n",
		is:     "",
		checks: []check{tests(workload, "")},
	},
	{
		name: "unpaused-and-still-locked", breaks: served,
		file:   "controllers/workload/handover.go",
		old:    "append(labels, v1alpha1.LabelHandover)...)",
		is:     "labels...)",
		checks: []check{tests(workload, "")},
	},
	{
		name: "set-with-pods-given-back", breaks: unguarded,
		file:   "controllers/workload/handover.go",
		old:    "	if err := requireIdle(set, \"given back\"); err != nil {\n		return nil, err\n	}\n",
		is:     "",
		checks: []check{tests(workload, "")},
	},
	{
		name: "size-overwritten", breaks: served,
		file:   "controllers/workload/handover.go",
		old:    "	p.testOwnerAndSize(set)\n	p.Replace(replicas, \"spec\", \"replicas\")\n	return p.Encode()\n",
		is:     "	p.Replace(replicas, \"spec\", \"replicas\")\n	return p.Encode()\n",
		checks: []check{tests(workload, "")},
	},
}
