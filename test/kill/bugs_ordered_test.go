//go:build kill

package kill

// orderedBugs are in what is decided about StatefulSets.
var orderedBugs = []bug{
	{
		// Once all pods run the candidate, Kubernetes makes every pod in it: no partition leads
		// back.
		name: "bake-takes-the-last-pod", breaks: independent,
		file:   "controllers/plan/ordered.go",
		old:    "pods := min((int64(weight)*n+99)/100, n-1)",
		is:     "pods := min((int64(weight)*n+99)/100, n)",
		checks: []check{story("ordered-rollback-in-bake"), rules},
	},
	{
		name: "rollback-keeps-the-partition", breaks: unguarded,
		file:   "controllers/plan/ordered_rollback.go",
		old:    "		{\"RollbackHoldsPods\", stillUnheld, holdForRollback},\n",
		is:     "",
		checks: []check{story("ordered-rollback-in-step"), rules},
	},
	{
		name: "pods-replaced-all-at-once", breaks: served,
		file:   "controllers/plan/ordered.go",
		old:    "			if more <= 0 {\n				continue\n			}\n",
		is:     "",
		checks: []check{story("ordered-rollback-in-bake"), rules},
	},
}
