//go:build kill

package kill

const gateway = "./controllers/traffic/gateway"

// trafficBugs are in the routers, and in the number of pods where that is the weight.
var trafficBugs = []bug{
	{
		name: "stale-route-overwritten", breaks: served,
		file:   "controllers/traffic/gateway/patch.go",
		old:    "	operations = append([]operation{{Op: \"test\", Path: \"/metadata/resourceVersion\", Value: object.GetResourceVersion()}}, operations...)\n",
		is:     "",
		checks: []check{tests(gateway, "TestContract")},
	},
	{
		name: "backends-of-others-dropped", breaks: served,
		file:   "controllers/traffic/gateway/split.go",
		old:    "			refs = append(refs, ref.with(ref.text(\"name\"), int64(math.Round(weight))))\n",
		is:     "",
		checks: []check{tests(gateway, "TestContract"), tests(gateway, "")},
	},
	{
		name: "route-written-without-the-epoch", breaks: independent,
		file:   "controllers/traffic/gateway/router.go",
		old:    "strconv.FormatInt(t.Epoch, 10)}",
		is:     "strconv.FormatInt(1, 10)}",
		checks: []check{tests(gateway, "TestContract")},
	},
	{
		name: "old-generation-acknowledges", breaks: served,
		file:   "controllers/traffic/gateway/acknowledge.go",
		old:    "case condition.ObservedGeneration < r.object.GetGeneration():",
		is:     "case condition.ObservedGeneration < 1:",
		checks: []check{tests(gateway, "TestContract"), tests(gateway, "")},
	},
	{
		name: "one-gateway-acknowledges-for-all", breaks: served,
		file:   "controllers/traffic/gateway/acknowledge.go",
		old:    "	for _, parent := range r.parents {\n",
		is:     "	for _, parent := range r.parents[:min(1, len(r.parents))] {\n",
		checks: []check{tests(gateway, "")},
	},
	{
		name: "released-route-keeps-the-weights", breaks: served,
		file:   "controllers/traffic/gateway/split.go",
		old:    "s == shared || s == torn {",
		is:     "s == torn {",
		checks: []check{tests(gateway, "TestContract"), tests(gateway, "")},
	},
	{
		name: "canary-pods-beyond-the-step-stay", breaks: served,
		file:   "controllers/plan/replicas.go",
		old:    "f.in.Canary.Desired > f.canaryNeed(f.targetWeight())",
		is:     "f.in.Canary.Desired > f.in.Workload.Replicas",
		checks: []check{story("pods-scaled-down"), rules},
	},
	{
		name: "canary-pods-reckoned-without-themselves", breaks: served,
		file:   "controllers/plan/facts.go",
		old:    "		whole -= part\n",
		is:     "		whole = 50\n",
		checks: []check{rules},
	},
	{
		name: "pods-without-a-version-counted-as-stable", breaks: served,
		file:   "controllers/traffic/replicas/router.go",
		old:    "		case \"\":\n",
		is:     "",
		checks: []check{tests("./controllers/traffic/replicas", "")},
	},
}
