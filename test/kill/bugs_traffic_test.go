//go:build kill

package kill

const gateway = "./controllers/traffic/gateway"

// trafficBugs are in the gateway adapter.
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
}
