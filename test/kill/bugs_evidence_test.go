//go:build kill

package kill

const evidence = "./controllers/evidence"

// evidenceBugs are in what a run keeps of its decisions.
var evidenceBugs = []bug{
	{
		name: "chain-unbound", breaks: explained,
		file:   "controllers/evidence/record.go",
		old:    "r.Seq, r.Prev, r.SameVerdicts, r.MoreVerdicts = next.Seq+1, next.Hash, false, 0",
		is:     "r.Seq, r.Prev, r.SameVerdicts, r.MoreVerdicts = next.Seq+1, \"\", false, 0",
		checks: []check{tests(evidence, "")},
	},
	{
		name: "changed-record-verifies", breaks: explained,
		file:   "controllers/evidence/chain.go",
		old:    "	if hash != record.Hash {\n",
		is:     "	if hash == \"\" {\n",
		checks: []check{tests(evidence, "")},
	},
	{
		name: "record-rewritten", breaks: explained,
		file:   "controllers/rollout/runrecord.go",
		old:    "status.Decisions = evidence.With(run.Status.Decisions, run.Name, record.Pending)",
		is:     "status.Decisions = evidence.With(nil, run.Name, record.Pending)",
		checks: []check{tests(loop, "")},
	},
	{
		name: "decisions-unbounded", breaks: explained,
		file:   "controllers/evidence/record.go",
		old:    "return end.Seq >= MaxDecisions-places || end.Bytes > MaxBytes-maxRecord-bytes",
		is:     "return false",
		checks: []check{tests(evidence, "")},
	},
	{
		name: "record-without-what-decided", breaks: explained,
		file:   "controllers/plan/recorded.go",
		old:    "in.Status, in.Verdict.Shown = s, nil",
		is:     "in.Status, in.Verdict = s, Verdict{References: in.Verdict.References}",
		checks: []check{tests("./test/sim", "TestEveryRecordReplays")},
	},
	{
		name: "replay-finds-no-difference", breaks: explained,
		file:   "controllers/replay/replay.go",
		old:    "		d.Outcome, d.Finished = Differs, nil\n",
		is:     "		d.Outcome, d.Finished = Same, nil\n",
		checks: []check{tests("./test/sim", "TestAChangedRecordDoesNotReplay")},
	},
	{
		name: "rejected-run-pruned", breaks: unguarded,
		file:   "controllers/evidence/retention.go",
		old:    "if i >= limit && !memory {",
		is:     "if i >= limit {",
		checks: []check{tests(evidence, "")},
	},
}
