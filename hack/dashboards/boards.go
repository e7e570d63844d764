package main

import (
	"slices"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func fleet() *board {
	return newDashboard("belay-fleet", "Belay / Fleet", "All Rollouts: which need a person, which are in a run, and how runs end.").
		WithPanel(number("Rollouts", "", quarter, plain, query{`count(belay_rollout_phase) or vector(0)`, "Rollouts"})).
		WithPanel(number("In a run", "A candidate gets requests, or goes.", quarter, plain,
			query{`count(belay_rollout_phase{phase=~"Stepping|Promoting|Baking|HandingOver|RollingBack"}) or vector(0)`, "in a run"})).
		WithPanel(number("Need a person", "Stalled: rolled back, a deadline, a refused write, …", quarter, redFrom1,
			query{`count(belay_rollout_stalled == 1) or vector(0)`, "stalled"})).
		WithPanel(number("Not guarded", "A push to these would not be held.", quarter, redFrom1,
			query{`count(belay_rollout_condition{condition="Guarded"} == 0) or vector(0)`, "not guarded"})).
		WithPanel(list("Needs a person", "kubectl belay status NAME says what to do.", half, query{`sum by (namespace, rollout, reason) (belay_rollout_stalled == 1)`, ""})).
		WithPanel(list("Waits for", "What each Rollout works on, or waits for.", half, query{`sum by (namespace, rollout, reason) (belay_rollout_waiting)`, ""})).
		WithPanel(graph("Share of the candidates", "As gateways have acknowledged it.", half, "percent", query{`max by (namespace, rollout) (belay_rollout_weight_percent{of="observed"})`, "{{namespace}}/{{rollout}}"}).Min(0).Max(100)).
		WithPanel(graph("Rollouts by phase", "", half, "none", query{`sum by (phase) (belay_rollout_phase)`, "{{phase}}"}).Min(0)).
		WithPanel(graph("Runs that ended", "In the hour before.", half, "none", query{`sum by (outcome) (increase(belay_runs_total[1h]))`, "{{outcome}}"}).Min(0)).
		WithPanel(graph("Duration of runs", "Median of the day before, by outcome.", half, "s",
			query{`histogram_quantile(0.5, sum by (le, outcome) (increase(belay_run_duration_seconds_bucket[1d])))`, "{{outcome}}"}).Min(0)).
		WithPanel(list("Would have rolled back", "Triggers in mode Observe that fired since the controller started, and in how many runs.", whole,
			query{`sum by (namespace, rollout, trigger) (belay_would_roll_back_total)`, ""}))
}

// outcomes are the numbers of verdicts.
var outcomes = map[string]dashboard.ValueMappingResult{
	"1": value("Pass", "green"), "2": value("Inconclusive", "yellow"), "3": value("Error", "orange"), "4": value("Fail", "red"),
}

// verdicts gives each trigger the number of its outcome.
func verdicts(of string) string {
	terms := make([]string, 0, len(outcomes))
	for number, outcome := range outcomes {
		terms = append(terms, number+` * belay_trigger_outcome`+of+`, outcome="`+*outcome.Text+`"}`)
	}
	slices.Sort(terms)
	return `max by (trigger) (` + strings.Join(terms, " or ") + `)`
}

func rollout() *board {
	const of = `{namespace="$namespace", rollout="$rollout"`
	return newDashboard("belay-rollout", "Belay / Rollout", "One Rollout: where its run stands, and what its triggers measure.").
		WithVariable(choice("namespace", "Namespace", "belay_rollout_phase")).
		WithVariable(choice("rollout", "Rollout", `belay_rollout_phase{namespace="$namespace"}`)).
		WithPanel(words("Phase", "", quarter, query{`max by (phase) (belay_rollout_phase` + of + `})`, "{{phase}}"})).
		WithPanel(words("Waits for", "", quarter, query{`max by (reason) (belay_rollout_waiting` + of + `})`, "{{reason}}"})).
		WithPanel(words("Needs a person", "", quarter, query{`max by (reason) (belay_rollout_stalled` + of + `}) == 1`, "{{reason}}"})).
		WithPanel(number("Step", "", quarter, plain,
			query{`max(belay_rollout_step` + of + `, of="now"})`, "step"}, query{`max(belay_rollout_step` + of + `, of="all"})`, "of"})).
		WithPanel(graph("Share of the candidate", "Desired, and what the gateway has acknowledged.", half, "percent", query{`max by (of) (belay_rollout_weight_percent` + of + `})`, "{{of}}"}).Min(0).Max(100)).
		WithPanel(graph("Pods of the candidate", "", half, "none", query{`max by (of) (belay_rollout_canary_pods` + of + `})`, "{{of}}"}).Min(0)).
		WithPanel(timeline("Verdicts", "The newest outcome of each trigger, while a run is in progress.", whole, query{verdicts(of), "{{trigger}}"}, outcomes)).
		WithPanel(graph("Evidence", "Logarithms of e-values: a trigger fires when one reaches its threshold.", half, "none",
			query{`max by (trigger, statistic) (belay_trigger_statistic` + of + `, statistic=~"logRelative|logAbsolute|logThreshold"})`, "{{trigger}} {{statistic}}"})).
		WithPanel(graph("Burn of the error budget", "1 spends the budget in exactly its period.", half, "none",
			query{`max by (trigger, statistic) (belay_trigger_statistic` + of + `, statistic=~"burn|burnLong|burnShort"})`, "{{trigger}} {{statistic}}"}).Min(0)).
		WithPanel(graph("Budget spent by this run", "A part of the period's error budget, and the limit.", half, "percentunit",
			query{`max by (trigger, statistic) (belay_trigger_statistic` + of + `, statistic=~"budgetSpent|limit"})`, "{{trigger}} {{statistic}}"}).Min(0)).
		WithPanel(graph("Saturation", "What saturation triggers compare.", half, "none",
			query{`max by (trigger, statistic) (belay_trigger_statistic` + of + `, statistic=~"canary|stable|bound"})`, "{{trigger}} {{statistic}}"})).
		WithPanel(graph("Time in this run", "Since the run, its step, bake or rollback began, and since its step waits for an approval.", half, "s",
			query{`time() - max by (of) (belay_rollout_since_timestamp_seconds` + of + `})`, "{{of}}"}).Min(0)).
		WithPanel(timeline("Conditions", "", half, query{`max by (condition) (belay_rollout_condition` + of + `})`, "{{condition}}"},
			map[string]dashboard.ValueMappingResult{"0": value("False", "text"), "1": value("True", "blue")}))
}

func itself() *board {
	return newDashboard("belay-itself", "Belay / Itself", "Belay's own health: who leads, what fails, what its sources answer, what it costs.").
		WithVariable(choice("job", "Job", "belay_runs_total")).
		WithPanel(number("Leaders", "1 acts. 0: no rollbacks, see BelayDown.", quarter, redUnless1, query{`sum(leader_election_master_status{name="belay-controller"}) or vector(0)`, "leaders"})).
		WithPanel(number("Sources that are out", "All runs that query them hold.", quarter, redFrom1, query{`count(max by (source) (belay_source_outage) == 1) or vector(0)`, "out"})).
		WithPanel(number("Decisions not in a record", "The most of one Rollout. A few wait for the next write; beyond 20 its record becomes incomplete.", quarter, redFrom(11),
			query{`max(belay_evidence_backlog) or vector(0)`, "decisions"})).
		WithPanel(number("Self-checks that fail", "Increases are held back.", quarter, redFrom1,
			query{`count(belay_rollout_condition{condition="InvariantViolated"} == 1) or vector(0)`, "Rollouts"})).
		WithPanel(graph("Errors of the loops", "", half, "ops", query{`sum by (controller) (rate(controller_runtime_reconcile_errors_total{job="$job"}[$__rate_interval]))`, "{{controller}}"}).Min(0)).
		WithPanel(graph("Time of one look", "99th percentile.", half, "s",
			query{`histogram_quantile(0.99, sum by (le, controller) (rate(controller_runtime_reconcile_time_seconds_bucket{job="$job"}[$__rate_interval])))`, "{{controller}}"}).Min(0)).
		WithPanel(graph("Waiting in the queues", "", half, "none", query{`sum by (name) (workqueue_depth{job="$job"})`, "{{name}}"}).Min(0)).
		WithPanel(graph("Decisions", "By rule: docs/rules.md.", half, "ops", query{`sum by (rule) (rate(belay_decisions_total[$__rate_interval])) > 0`, "{{rule}}"}).Min(0)).
		WithPanel(graph("Queries to metric sources", "By how they ended.", half, "ops", query{`sum by (outcome) (rate(belay_source_queries_total[$__rate_interval]))`, "{{outcome}}"}).Min(0)).
		WithPanel(graph("Records that could not be written", "In the 10 minutes before.", half, "none", query{`sum by (decision) (increase(belay_evidence_failures_total[10m]))`, "{{decision}}"}).Min(0)).
		WithPanel(graph("Self-checks that failed", "In the 10 minutes before.", half, "none", query{`sum by (invariant) (increase(belay_invariant_violations_total[10m])) > 0`, "{{invariant}}"}).Min(0)).
		WithPanel(graph("Requests to the API server", "", half, "reqps", query{`sum by (code) (rate(rest_client_requests_total{job="$job"}[$__rate_interval]))`, "{{code}}"}).Min(0)).
		WithPanel(graph("CPU", "", third, "none", query{`rate(process_cpu_seconds_total{job="$job"}[$__rate_interval])`, "{{pod}}"}).Min(0)).
		WithPanel(graph("Memory", "", third, "bytes", query{`process_resident_memory_bytes{job="$job"}`, "{{pod}}"}).Min(0)).
		WithPanel(graph("Goroutines", "", third, "none", query{`go_goroutines{job="$job"}`, "{{pod}}"}).Min(0))
}
