//go:build kill

package kill

const source = "./analysis/prometheus"

// analysisBugs are in what is asked of a metric source, and in what is made of its
// answers.
var analysisBugs = []bug{
	{
		name: "nan-counts", breaks: unknown,
		file:   "analysis/prometheus/collector.go",
		old:    "return v >= -noise && !math.IsInf(v, 1)",
		is:     "return !(v < -noise)",
		checks: []check{tests(source, "")},
	},
	{
		name: "nan-is-judged", breaks: unknown,
		file:   "analysis/ledger.go",
		old:    "return math.IsNaN(v) || math.IsInf(v, 0) || v < 0 }",
		is:     "return v < 0 || v < -math.MaxFloat64 }",
		checks: []check{tests("./analysis", "")},
	},
	{
		name: "empty-answer-passes", breaks: unknown,
		file:   "analysis/quality.go",
		old:    "	case len(p.Canary) == 0:\n",
		is:     "	case len(p.Canary) == 0:\n		return Verdict{}, true\n	case q.ReadyPods < 0:\n",
		checks: []check{tests("./analysis", "")},
	},
	{
		name: "old-samples-count", breaks: unknown,
		file:   "analysis/quality.go",
		old:    "if p.EvaluatedAt.Sub(c.SampledAt) <= limit {",
		is:     "if !c.SampledAt.IsZero() {",
		checks: []check{tests("./analysis", "")},
	},
	{
		name: "last-row-wins", breaks: unknown,
		file:   "analysis/prometheus/collector.go",
		old:    "	case c.seen[i]&k != 0:\n",
		is:     "	case c.seen[i]&k != 0 && r.invalid:\n",
		checks: []check{tests(source, "")},
	},
	{
		name: "last-target-wins", breaks: unknown,
		file:   "analysis/prometheus/targets.go",
		old:    "	pod.Counts = pod.Add(target.Counts)\n",
		is:     "	pod.Counts = target.Counts\n",
		checks: []check{tests("./controllers/judge", "")},
	},
	{
		name: "warning-ignored", breaks: unknown,
		file:   "analysis/prometheus/range.go",
		old:    "	if !r.warned {\n",
		is:     "	if !r.warned || r.warning != \"\" {\n",
		checks: []check{tests(source, "")},
	},
	{
		name: "partial-answer-counts", breaks: unknown,
		file:   "analysis/prometheus/decode.go",
		old:    "		e.warn(\"isPartial\")\n",
		is:     "",
		checks: []check{tests(source, "")},
	},
	{
		name: "late-answer-counts", breaks: unknown,
		file:   "controllers/judge/judge.go",
		old:    "case out.At.Before(t.stageFrom) && out.Err == nil:",
		is:     "case out.At.IsZero() && out.Err == nil:",
		checks: []check{tests("./controllers/judge", "")},
	},
	{
		name: "found-failure-forgotten", breaks: unknown,
		file:   "controllers/judge/judge.go",
		old:    "(result.late || before.Outcome == v1alpha1.VerdictFail)",
		is:     "result.late",
		checks: []check{tests("./controllers/judge", "")},
	},
	{
		name: "unexercised-invariant-passes", breaks: unknown,
		file:   "analysis/invariant.go",
		old:    "case exercised < readyPods || exercised == 0 || readyPods == 0:",
		is:     "case readyPods == 0:",
		checks: []check{tests("./analysis", "")},
	},
	{
		name: "outage-of-a-source-blinds-one-by-one", breaks: unknown,
		file:   "controllers/sources/breaker.go",
		old:    "return blind >= outageRuns && 2*blind >= runs }",
		is:     "return blind > runs }",
		checks: []check{tests("./controllers/sources", "TestBreaker|TestAnOutage")},
	},
}
