package lint

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const rollout = `apiVersion: belay.dev/v1alpha1
kind: Rollout
metadata:
  name: checkout
  namespace: shop
spec:
  workloadRef: {name: checkout}
  traffic: {service: checkout, routes: [{name: checkout}]}
  steps:
  - {weight: 5, hold: 5m}
  - {weight: 50, hold: 5m}
  guardrails:
  - name: checkout
`

const guardrail = `apiVersion: belay.dev/v1alpha1
kind: Guardrail
metadata:
  name: checkout
  namespace: shop
spec:
  slos:
  - name: availability
    objective: "99.9"
    indicator:
      requests:
        total: {metric: http_requests_total}
        bad:
          metric: http_requests_total
          matchers: [{name: code, op: "=~", value: "5.."}]
  - name: latency
    objective: "99"
    indicator: {latency: {histogram: http_request_duration_seconds, threshold: 300ms}}
  triggers:
  - {name: availability, slo: availability, regression: {}}
  - {name: budget, slo: availability, budgetSpent: "2"}
  - name: burn
    slo: availability
    burn: {rate: "14.4", long: 5m, short: 1m}
`

// deploying is a Deployment that mounts a ConfigMap.
func deploying(name, config string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      containers: [{name: app, image: app:1}]
      volumes: [{name: flags, configMap: {name: ` + config + `}}]
`
}

// saturated is one more trigger of the Guardrail.
func saturated(bounds string) string {
	return "  - {name: queue, saturation: {gauge: {metric: jobs_queued}, " + bounds + "}}\n"
}

// restarting is a Rollout and its Guardrail, with an annotation that is listed beside kubectl's.
func restarting(key, more string) string {
	return rollout + "  restartAnnotations: [kubectl.kubernetes.io/restartedAt, " + key + "]\n" + more + "---\n" + guardrail
}

var linter = New()

// check returns the findings of one file as "line level path: wrong -> write".
func check(t *testing.T, o Options, text string) []string {
	t.Helper()
	report, err := linter.Check([]File{{"file.yaml", []byte(text)}}, o)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range report.Findings {
		out = append(out, fmt.Sprintf("%d %s %s: %s -> %s", f.Line, f.Level, f.Path, f.Wrong, f.Write))
	}
	return out
}

func TestGoodManifestsHaveNoFindings(t *testing.T) {
	if got := check(t, Options{}, rollout+"---\n"+guardrail); len(got) > 0 {
		t.Errorf("findings:\n%s", strings.Join(got, "\n"))
	}
	samples, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(samples) < 6 {
		t.Fatalf("%v, %v", samples, err)
	}
	var files []File
	for _, path := range samples {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{path, text})
	}
	report, err := linter.Check(files, Options{})
	if err != nil || report.Count(Error) > 0 || report.Checked < 6 {
		t.Errorf("the samples: %+v, %v", report, err)
	}
}

// TestFindings: each with its line and what to write.
func TestFindings(t *testing.T) {
	for want, replace := range map[string][2]string{
		`9 error spec.stesp: there is no field "stesp" -> steps`:                                                                                            {"  steps:", "  stesp:"},
		`10 error spec.steps[0].weigth: there is no field "weigth" -> weight`:                                                                               {"{weight: 5,", "{weigth: 5,"},
		`10 error spec.steps[0].weight: weight is missing -> weight: …  # weight is the candidate's share of the requests, in percent`:                      {"{weight: 5,", "{weigth: 5,"},
		`11 error spec.steps[1].weight: weight is 120, and must be less than or equal to 100 -> `:                                                           {"weight: 50", "weight: 120"},
		`9 error spec.steps: step weights must not decrease -> sort the steps by weight`:                                                                    {"weight: 50", "weight: 1"},
		`10 error spec.steps[0].hold: hold is a duration and needs its unit, it is 5 -> hold: 5m, or 5s`:                                                    {"hold: 5m", "hold: 5"},
		`10 error spec.steps[0].hold: hold is a duration and needs its unit, it is "300" -> hold: 300m, or 300s`:                                            {"hold: 5m", `hold: "300"`},
		`10 error spec.steps[0].hold: hold is a duration, and "5 min" is none -> numbers with their units, such as 30s, 5m or 1h30m`:                        {"hold: 5m", `hold: 5 min`},
		`10 error spec.steps[0].weight: weight must be a whole number, it is "5%" -> weight: 5`:                                                             {"weight: 5,", "weight: 5%,"},
		`1 error : a Rollout of Belay has another apiVersion than "" -> apiVersion: belay.dev/v1alpha1`:                                                     {"apiVersion: belay.dev/v1alpha1\n", ""},
		`1 error : a Rollout of Belay has another apiVersion than "v1alpha1" -> apiVersion: belay.dev/v1alpha1`:                                             {"belay.dev/v1alpha1", "v1alpha1"},
		`1 error : a Rollout of Belay has another apiVersion than "belay.io/v1alpha1" -> apiVersion: belay.dev/v1alpha1`:                                    {"belay.dev/v1alpha1", "belay.io/v1alpha1"},
		`7 error spec.workloadRef.kind: kind cannot be "DaemonSet" -> one of "Deployment", "StatefulSet"`:                                                   {"{name: checkout}", "{kind: DaemonSet, name: checkout}"},
		`8 error spec.traffic.preview: preview cannot be true -> one of "Disabled", "Enabled"`:                                                              {"service: checkout", "preview: true, service: checkout"},
		`3 error metadata.name: the object has no name -> metadata: {name: …}`:                                                                              {"  name: checkout\n", "  labels: {}\n"},
		`1 error : belay.dev has no kind "Rolout" -> kind: Rollout`:                                                                                         {"kind: Rollout", "kind: Rolout"},
		`1 error : this version of Belay has no apiVersion "belay.dev/v1" -> apiVersion: belay.dev/v1alpha1`:                                                {"belay.dev/v1alpha1", "belay.dev/v1"},
		`9 error spec.slos[0].objective: objective must be a string, it is 99.9 -> objective: "99.9"`:                                                       {`objective: "99.9"`, "objective: 99.9"},
		`9 error spec.slos[0].objective: objective must be a percentage from 1 to below 100, with at most 6 decimals -> "99.9", not the ratio "0.999"`:      {`objective: "99.9"`, `objective: "0.999"`},
		`15 error spec.slos[0].indicator.requests.bad.matchers[0]: value must be a valid RE2 regular expression (error parsing regexp: missing closing ): `: {`"5.."`, `"5(."`},
	} {
		text := rollout
		if !strings.Contains(rollout, replace[0]) || strings.Contains(want, "slos") {
			text = guardrail
		}
		got := check(t, Options{}, strings.Replace(text, replace[0], replace[1], 1))
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("want %s, got:\n%s", want, strings.Join(got, "\n"))
		}
	}
}

// TestOneFindingForAFieldThatIsWrong: no rule or advice repeats it, and what is suggested passes.
func TestOneFindingForAFieldThatIsWrong(t *testing.T) {
	for _, replace := range [][2]string{{"hold: 5m", "hold: 5"}, {"hold: 5m", `hold: "300"`}, {"weight: 5,", "weight: 5%,"}, {"weight: 5,", "weight: 120,"}, {"weight: 5,", "weight: -1,"}} {
		if got := check(t, Options{Rate: 100}, strings.Replace(rollout, replace[0], replace[1], 1)+"---\n"+guardrail); len(got) != 1 {
			t.Errorf("%s:\n%s", replace[1], strings.Join(got, "\n"))
		}
	}
	if got := check(t, Options{}, strings.Replace(rollout, "belay.dev/", "argoproj.io/", 1)); len(got) > 0 {
		t.Errorf("a Rollout of Argo: %q", got)
	}
}

// TestAFreezeThatCannotBeRead: it would hold every Rollout that it is for.
func TestAFreezeThatCannotBeRead(t *testing.T) {
	freeze := func(recurrence, zone string) string {
		return "apiVersion: belay.dev/v1alpha1\nkind: ClusterFreeze\nmetadata: {name: a}\nspec:\n  owner: sre\n  reason: night\n  windows:\n" +
			"  - {recurrence: " + recurrence + `, start: "2026-01-01T18:00", duration: 14h, timeZone: ` + zone + "}\n"
	}
	for text, want := range map[string]string{
		freeze("FREQ=DAILY", "Europe/Berlin"):         "",
		freeze("FREQ=DAILY", "Europe/Atlantis"):       `8 error spec.windows[0]: timeZone "Europe/Atlantis" is not known -> give an IANA name, such as Europe/Berlin or UTC`,
		freeze("FREQ=DAILY;BYHOUR=25", "UTC"):         "byhour must be between 0 and 23",
		freeze("FREQ=DAILY;COUNT=3", "Europe/Berlin"): "set spec.expires",
	} {
		got := strings.Join(check(t, Options{}, text), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("want %q, got:\n%s", want, got)
		}
	}
}

// TestMistakesThatTheAPIServerAccepts: no run starts with such a guardrail.
func TestMistakesThatTheAPIServerAccepts(t *testing.T) {
	promQL := func(total, bad string) string {
		return strings.Replace(guardrail, "{latency: {histogram: http_request_duration_seconds, threshold: 300ms}}", fmt.Sprintf("{promQL: {total: '%s', bad: '%s'}}", total, bad), 1)
	}
	for name, c := range map[string]struct{ text, want string }{
		"a rate":        {promQL("sum by (pod) (rate(a[5m]))", "b"), "18 error spec.slos[1].indicator: "},
		"no PromQL":     {promQL("sum by (pod) (a", "b"), "18 error spec.slos[1].indicator: "},
		"no metric":     {promQL(`{job="x"}`, "b"), "18 error spec.slos[1].indicator: "},
		"a bare preset": {strings.Replace(guardrail, "{latency: {histogram: http_request_duration_seconds, threshold: 300ms}}", "{preset: grpc-server, latency: {threshold: 300ms}}", 1), ""},
	} {
		got := strings.Join(check(t, Options{}, c.text), "\n")
		if !strings.Contains(got, c.want) || c.want == "" && strings.Contains(got, "error") {
			t.Errorf("%s: want %q, got:\n%s", name, c.want, got)
		}
	}
}

func TestAdvice(t *testing.T) {
	both := rollout + "---\n" + guardrail
	previewed := strings.Replace(both, "service: checkout", "preview: Enabled, service: checkout", 1)
	compared := `apiVersion: belay.dev/v1alpha1
kind: Rollout
metadata: {name: cart, namespace: shop}
spec:
  workloadRef: {name: cart}
  traffic: {service: cart, routes: [{name: cart}], comparer: {service: cart-comparer}}
  guardrails: [{name: cart-answers}]
  steps: [{weight: 0, mirror: 50, hold: 5m}, {weight: 1, hold: 1m}]
---
apiVersion: belay.dev/v1alpha1
kind: Guardrail
metadata: {name: cart-answers, namespace: shop}
spec: {minimumSamples: 500, slos: [{name: same-answers, objective: "99.9", indicator: {preset: comparer, requests: {}}}]}
`
	exposed, err := ParseMetrics(strings.NewReader("# TYPE http_requests_total counter\nhttp_requests_total{status_code=\"200\",method=\"GET\"} 7\n" +
		"# TYPE http_request_duration_seconds histogram\nhttp_request_duration_seconds_bucket{le=\"0.25\"} 1\nhttp_request_duration_seconds_bucket{le=\"0.5\"} 1\nhttp_request_duration_seconds_bucket{le=\"+Inf\"} 1\n" +
		"http_request_duration_seconds_sum 1\nhttp_request_duration_seconds_count 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		o    Options
		want string
	}{
		"too few requests":              {both, Options{Rate: 10}, "10 advice spec.steps[0]: step 1 of 2 (5 % for 5m) gives the candidate about 150 requests at 10/s, and a pass of Guardrail checkout needs 200 (minimumSamples): the step takes about 6m40s -> hold: 6m40s, or a weight of 7 for 5m"},
		"beyond the deadline":           {both, Options{Rate: 1}, "the step takes about 1h6m40s, which is longer than stepDeadline 1h ->"},
		"enough requests":               {both, Options{Rate: 100}, ""},
		"no guardrail":                  {rollout, Options{}, `13 advice spec.guardrails[0]: Guardrail "checkout" is not in these files`},
		"no weight":                     {strings.Replace(both, "weight: 5,", "weight: 0,", 1), Options{}, "10 advice spec.steps[0]: no request reaches the candidate at weight 0, and Guardrail checkout counts requests"},
		"copies":                        {strings.Replace(both, "weight: 5,", "weight: 0, mirror: 5,", 1), Options{Rate: 10}, "10 advice spec.steps[0]: step 1 of 2 (copies of 5 % for 5m) gives the candidate about 150 requests at 10/s, and a pass of Guardrail checkout needs 200 (minimumSamples): the step takes about 6m40s -> hold: 6m40s, or mirror: 7 for 5m"},
		"enough copies":                 {strings.Replace(both, "weight: 5,", "weight: 0, mirror: 5,", 1), Options{Rate: 100}, ""},
		"a preview":                     {strings.Replace(previewed, "weight: 5,", "weight: 0,", 1), Options{Rate: 100}, ""},
		"testers":                       {strings.Replace(both, "weight: 5,", `weight: 0, match: {headers: [{name: x-canary, value: "1"}]},`, 1), Options{Rate: 100}, ""},
		"answers that are compared":     {compared, Options{Rate: 10}, ""},
		"exclude":                       {strings.Replace(both, "regression: {}", `regression: {exclude: "4"}`, 1), Options{Rate: 100}, "9 advice spec.steps: Guardrail checkout, trigger availability: at about 1e+02 requests/s step 1 of 2"},
		"no bucket":                     {guardrail, Options{Buckets: []float64{0.1, 0.25, 1}}, "18 advice spec.slos[1].indicator.latency.threshold: no bucket of http_request_duration_seconds has the upper bound 300ms (0.3): the verdict will be Inconclusive -> threshold: 250ms or 1s, or add the bucket"},
		"a bucket":                      {guardrail, Options{Buckets: []float64{0.1, 0.3}}, ""},
		"what is exposed":               {guardrail, Options{Metrics: exposed}, `15 advice spec.slos[0].indicator.requests.bad.matchers[0]: http_requests_total has no label "code" (it has method, status_code) -> name: status_code`},
		"exposed buckets":               {guardrail, Options{Metrics: exposed}, "threshold: 250ms or 500ms, or add the bucket"},
		"a metric misspelt":             {strings.Replace(guardrail, "total: {metric: http_requests_total}", "total: {metric: http_request_total}", 1), Options{Metrics: exposed}, "12 advice spec.slos[0].indicator.requests.total: the metrics file has no metric http_request_total -> metric: http_requests_total"},
		"a burn that is late":           {strings.Replace(guardrail, "long: 5m", "long: 3h", 1), Options{}, "24 advice spec.triggers[2].burn: 14.4 times the budget's rate over 3h spends 6 % of the budget of availability, and trigger budget fires at 2 %: this one never fires first"},
		"a burn of all":                 {strings.Replace(guardrail, `rate: "14.4", long: 5m`, `rate: "900", long: 24h`, 1), Options{}, "it fires when nothing is left"},
		"configuration":                 {both + "---\n" + deploying("checkout", "flags"), Options{}, "45 advice spec.template: the template names ConfigMap flags, and a change of their content alone is no new version: pods take it unjudged -> give them names that change"},
		"generated names":               {both + "---\n" + deploying("checkout", "flags-5c8k2b4f7m"), Options{}, ""},
		"a restart of nothing":          {restarting("checksum/config", "") + "---\n" + deploying("checkout", "flags-5c8k2b4f7m"), Options{}, `spec.restartAnnotations[1]: the pod template of Deployment checkout has no annotation "checksum/config" -> nothing, if a controller adds it later`},
		"a restart by the Deployment's": {restarting("team", "") + "---\n" + strings.Replace(deploying("checkout", "flags-5c8k2b4f7m"), "{name: checkout}", "{name: checkout, annotations: {team: a}}", 1), Options{}, `spec.restartAnnotations[1]: "team" is an annotation of Deployment checkout itself, whose change restarts nothing`},
		"a restart by the template's":   {restarting("team", "") + "---\n" + strings.Replace(deploying("checkout", "flags-5c8k2b4f7m"), "labels: {app: a}}\n    spec", "labels: {app: a}, annotations: {team: a}}\n    spec", 1), Options{}, ""},
		"a native restart":              {restarting("team", "  promotion: {mode: Native}\n") + "---\n" + deploying("checkout", "flags-5c8k2b4f7m"), Options{}, "spec.restartAnnotations: with promotion mode Native a restart takes the steps like any other version"},
		"a restart without a bake":      {restarting("team", "  promotion: {bake: 0s}\n"), Options{}, "spec.promotion.bake: a restart takes no steps, so a bake of 0s lets the first pass of its triggers promote it -> a bake such as 5m"},
		"a restart beside no baseline":  {restarting("team", "") + saturated(`worseThan: "2"`), Options{}, "spec.restartAnnotations: Guardrail checkout, trigger queue: a restart has no weight below 100 to compare with stable at, so the trigger never passes for one, and its bake holds -> max in the trigger"},
		"a restart beside a max":        {restarting("team", "") + saturated(`worseThan: "2", max: "100"`), Options{}, "trigger queue: a restart, which has no weight below 100, is judged by max alone: it is rolled back where stable itself is above that"},
		"a restart beside max alone":    {restarting("team", "") + saturated(`max: "100"`), Options{}, ""},
		"no restart":                    {rollout + "---\n" + guardrail + saturated(`worseThan: "2"`), Options{}, ""},
		"another Deployment":            {both + "---\n" + deploying("cart", "flags"), Options{}, ""},
		"OnDelete":                      {ordered("replicas: 3, updateStrategy: {type: OnDelete}", "33", "66"), Options{}, "spec.updateStrategy.type: OnDelete holds nothing, because a pod that is lost comes back in the new version: Belay does not adopt the StatefulSet -> type: RollingUpdate"},
		"a declared partition":          {ordered("replicas: 3, updateStrategy: {rollingUpdate: {partition: 0}}", "33", "66"), Options{}, "spec.updateStrategy.rollingUpdate.partition: Belay and its guard write the partition"},
		"one pod":                       {ordered("replicas: 1", "50"), Options{}, "spec.workloadRef: StatefulSet checkout declares replicas: 1: no run starts before there are 2"},
		"steps of the same pods":        {ordered("replicas: 3", "34", "67"), Options{}, "spec.steps[1].weight: weight 67 is 2 of 3 pods, as many as in the step before: a weight is rounded up to whole pods, and one keeps the stable version -> one step less"},
		"a step of no pod more":         {ordered("replicas: 10", "11", "20"), Options{}, "spec.steps[1].weight: weight 20 is 2 of 10 pods, as many as in the step before: a weight is rounded up to whole pods, and one keeps the stable version -> a weight from 21 on for one pod more, or one step less"},
		"steps of whole pods":           {ordered("replicas: 3", "33", "66"), Options{}, ""},
		"a Deployment of that name":     {strings.Replace(ordered("replicas: 1", "33", "66"), "kind: StatefulSet\nmetadata", "kind: Deployment\nmetadata", 1), Options{}, ""},
		"more than is left":             {guardrail + "  preflight: {budgetRemaining: \"1\"}\n", Options{}, "21 advice spec.triggers[1].budgetSpent: a run may spend 2 % of the budget of availability, and starts when 1 % are left"},
	} {
		got := strings.Join(check(t, c.o, c.text), "\n")
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: want %q, got:\n%s", name, c.want, got)
		}
		if strings.Contains(got, " error ") {
			t.Errorf("%s: an error:\n%s", name, got)
		}
	}
}

// ordered is a Rollout of a StatefulSet with the weights of its steps, and what the StatefulSet
// declares beside its template.
func ordered(declares string, weights ...string) string {
	steps := ""
	for _, weight := range weights {
		steps += "{weight: " + weight + "}, "
	}
	return "apiVersion: belay.dev/v1alpha1\nkind: Rollout\nmetadata: {name: checkout, namespace: shop}\nspec:\n  workloadRef: {kind: StatefulSet, name: checkout}\n  steps: [" + steps + "]\n---\n" +
		"apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: checkout}\nspec: {" + declares + ", template: {metadata: {labels: {app: a}}, spec: {containers: [{name: app, image: a}]}}}\n"
}

// TestFilesAsTheyAre: comments, several documents, lists, JSON, other kinds, and what is none.
func TestFilesAsTheyAre(t *testing.T) {
	bad := strings.Replace(rollout, "weight: 50", "weight: 120", 1)
	indented := "  " + strings.TrimSuffix(strings.ReplaceAll(bad, "\n", "\n  "), "  ")
	for name, c := range map[string]struct {
		text            string
		checked, others int
		want            string
	}{
		"after others":  {"# comment\napiVersion: v1\nkind: Pod\n---\n\n---\n" + bad, 1, 1, "17 error spec.steps[1].weight"},
		"a list":        {"apiVersion: v1\nkind: List\nitems:\n- {kind: Pod}\n-\n" + indented, 1, 1, "16 error spec.steps[1].weight"},
		"JSON":          {"{\"apiVersion\": \"belay.dev/v1alpha1\",\n\"kind\": \"MetricSource\", \"metadata\": {\"name\": \"x\"},\n\"spec\": {\"adddress\": \"https://x\"}}", 1, 0, `3 error spec.adddress: there is no field "adddress" -> address`},
		"a template":    {"apiVersion: belay.dev/v1alpha1\nkind: Rollout\nmetadata: {{ .Values.x }}\n", 0, 0, "-> a rendered manifest: helm template"},
		"no YAML":       {"apiVersion: belay.dev/v1alpha1\nkind: [\n", 0, 0, "error : this is no YAML"},
		"twice":         {"apiVersion: belay.dev/v1alpha1\nkind: Rollout\nkind: Rollout\n", 0, 0, `3 error : this is no YAML`},
		"not of Belay":  {"{{- if x }}\nkind: Pod\n{{ end }}\n", 0, 1, ""},
		"a run":         {"apiVersion: belay.dev/v1alpha1\nkind: RolloutRun\n", 0, 1, ""},
		"a scalar":      {"just text\n", 0, 1, ""},
		"nothing":       {"\n---\n# only a comment\n", 0, 0, ""},
		"an alias":      {strings.Replace(strings.Replace(rollout, "- {weight: 5,", "- &s {weight: 120,", 1), "- {weight: 50, hold: 5m}", "- *s", 1), 1, 0, "10 error spec.steps[0].weight"},
		"hostile depth": {strings.Repeat("[", 20000), 0, 1, ""},
	} {
		report, err := linter.Check([]File{{"f", []byte(c.text)}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(check(t, Options{}, c.text), "\n")
		if report.Checked != c.checked || report.Others != c.others || !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %d checked, %d others, want %d, %d and %q in:\n%s", name, report.Checked, report.Others, c.checked, c.others, c.want, got)
		}
	}
}

func TestDistance(t *testing.T) {
	for pair, want := range map[[2]string]int{{"", ""}: 0, {"a", ""}: 1, {"stesp", "steps"}: 1, {"weigth", "weight"}: 1, {"mode", "node"}: 1, {"kitten", "sitting"}: 3} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("%v: %d, want %d", pair, got, want)
		}
	}
	if got := nearest("xyz", []string{"weight", "hold"}); got != "" {
		t.Errorf("nearest to nothing is %q", got)
	}
}
