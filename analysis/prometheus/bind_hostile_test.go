package prometheus

import (
	"regexp"
	"strings"
	"testing"
)

const (
	// What refusals say, where many inputs get the same one.
	saysReserved  = "which Belay sets: remove this matcher"
	saysParse     = "is not valid PromQL"
	saysTime      = "offset and @ change the time that is evaluated"
	saysNoMetric  = "has no metric name"
	saysEquals    = "matches the metric name by another operator than ="
	saysSource    = "a label by which sources select tenants or storage"
	saysWrites    = "would overwrite a label by which Belay tells versions apart: write to another one"
	saysCopies    = "copies a label that Belay sets: remove it from the list"
	saysNoPod     = "returns a series that belongs to no pod"
	saysMissing   = "hides missing data"
	saysBytes     = "1024 are allowed: shorten it"
	saysDepth     = "nested more than 24 levels deep"
	saysSelectors = "more than 16 selectors"
	saysRange     = "looks back more than 1h0m0s: use shorter ranges"
	saysSteps     = "more than 240 steps: use a longer step"
	saysStep      = "has no fixed step"
	saysComputed  = "a range is an expression: write a fixed one"
)

var hostile = map[string]struct{ expression, wantErr string }{
	// Selectors that say whose series they want.
	"a pod":                              {`up{pod="web-1"}`, saysReserved},
	"any pod":                            {`up{pod=~".+"}`, saysReserved},
	"not a pod":                          {`up{pod!=""}`, saysReserved},
	"no pod at all":                      {`up{pod=""}`, saysReserved},
	"a pod excluded by pattern":          {`up{pod!~"x"}`, saysReserved},
	"a namespace":                        {`up{namespace="bank"}`, saysReserved},
	"any namespace":                      {`up{namespace=~".*"}`, saysReserved},
	"a pod among others":                 {`up{a="b",pod="x",c="d",}`, saysReserved},
	"a pod in the second selector":       {`up + up{pod="x"}`, saysReserved},
	"a pod in a range":                   {`rate(up{pod="x"}[5m])`, saysReserved},
	"a pod in a parameter":               {`topk(scalar(up{pod="x"}), up)`, saysReserved},
	"a pod in a subquery":                {`max_over_time(up{pod="x"}[10m:1m])`, saysReserved},
	"a pod behind unless":                {`up unless on (a) up{pod="x"}`, saysReserved},
	"a pod in double quotes":             {`up{"pod"="x"}`, saysReserved},
	"a pod in single quotes":             {`up{'pod'="x"}`, saysReserved},
	"a pod in back quotes":               {"up{`pod`=\"x\"}", saysReserved},
	"a pod as a unicode escape":          {`up{"\u0070\u006f\u0064"="x"}`, saysReserved},
	"a pod as a long unicode escape":     {`up{"\U00000070od"="x"}`, saysReserved},
	"a pod as a hex escape":              {`up{"\x70od"="x"}`, saysReserved},
	"a pod as an octal escape":           {`up{"\160od"="x"}`, saysReserved},
	"a pod after a quoted metric":        {`{"a.b",pod="x"}`, saysReserved},
	"a quoted pod after a quoted metric": {`{"a.b","pod"="x"}`, saysReserved},
	"a namespace after a comment":        {"up{ # }\nnamespace=\"bank\"}", saysReserved},

	// Selectors that name no metric, several, or the source's own labels.
	"no metric":                  {`{job="web"}`, saysNoMetric},
	"an empty metric":            {`{"",job="web"}`, saysNoMetric},
	"every metric":               {`{__name__=~".+"}`, saysNoMetric},
	"every metric but one":       {`{__name__!="up"}`, "at least one non-empty matcher"},
	"an empty name and a label":  {`{__name__="",job="web"}`, saysNoMetric},
	"a metric and a pattern":     {`{"up",__name__=~".+"}`, saysEquals},
	"a metric and a negation":    {`{__name__="up",__name__!="down"}`, saysEquals},
	"a name twice":               {`up{__name__=~".+"}`, saysParse},
	"no matcher":                 {`{}`, saysParse},
	"Mimir's tenant":             {`up{__tenant_id__="bank"}`, saysSource},
	"VictoriaMetrics' Graphite":  {`up{__graphite__="*.bank.*"}`, saysSource},
	"VictoriaMetrics' account":   {`up{vm_account_id="7"}`, saysSource},
	"VictoriaMetrics' project":   {`up{vm_project_id="7"}`, saysSource},
	"a source's label, quoted":   {`up{"__\u0074enant_id__"="bank"}`, saysSource},
	"alternatives of VM":         {`up{a="b" or namespace="bank"}`, saysParse},
	"a template of VM":           {`WITH (x = up) x`, saysParse},
	"a label that closes":        {`up{"a"} or up{"b"="c"}`, saysParse},
	"a quote that does not end":  {`up{a="\"}`, saysParse},
	"a value that closes, twice": {`up{a="\"} or up{pod=~\"",pod=~".+"}`, saysReserved},

	// Labels that are forged.
	"pod replaced":                       {`label_replace(up, "pod", "web-1", "", "")`, saysWrites},
	"pod replaced from another label":    {`label_replace(up, "pod", "$1", "exported_pod", "(.*)")`, saysWrites},
	"pod removed":                        {`label_replace(up, "pod", "", "", "")`, saysWrites},
	"pod replaced in parentheses":        {`label_replace(up, (("pod")), "x", "", "")`, saysWrites},
	"pod replaced in back quotes":        {"label_replace(up, `pod`, \"x\", \"\", \"\")", saysWrites},
	"pod replaced by an escape":          {`label_replace(up, "\x70od", "x", "", "")`, saysWrites},
	"namespace replaced":                 {`label_replace(up, "namespace", "bank", "", "")`, saysWrites},
	"pod replaced within a sum":          {`sum by (pod) (label_replace(up, "pod", "x", "", ""))`, saysWrites},
	"pod joined":                         {`label_join(up, "pod", "-", "a", "b")`, saysWrites},
	"namespace joined":                   {`label_join(up, "namespace", "", "a")`, saysWrites},
	"values counted as pods":             {`count_values("pod", up)`, saysWrites},
	"values counted as escaped pods":     {`count_values by (a) ("\u0070od", up)`, saysWrites},
	"values counted as pods in parens":   {`count_values(("pod"), up)`, saysWrites},
	"values counted as namespaces":       {`count_values("namespace", up)`, saysWrites},
	"pod copied from the right":          {`up * on (a) group_left (pod) down`, saysCopies},
	"pod copied from the left":           {`up * on (a) group_right (pod) down`, saysCopies},
	"pod copied while ignored":           {`up * ignoring (pod) group_left (a, pod) down`, saysCopies},
	"pod copied in quotes":               {`up * on () group_left ("po\u0064") down`, saysCopies},
	"namespace copied":                   {`up * on () group_left (namespace) down`, saysCopies},
	"pod copied deep in the expression":  {`abs(up / (up * on () group_left (pod) down))`, saysCopies},
	"labels of series not selected":      {`info(up)`, saysParse},
	"labels of other series, chosen":     {`info(up, {pod="x"})`, saysParse},
	"a quantile's label":                 {`histogram_quantiles(up, "pod", 0.5)`, saysParse},
	"missing values filled":              {`up + fill (0) down`, saysParse},
	"an unknown function":                {`pods(up)`, saysParse},
	"a function of VictoriaMetrics":      {`label_set(up, "pod", "x")`, saysParse},
	"a modifier of VictoriaMetrics":      {`rate(up[5m]) keep_metric_names`, saysParse},
	"a range without brackets in braces": {`up{a="b"}[5m`, saysParse},

	// What says nothing about a pod.
	"a number":                    {`1`, "has the type scalar"},
	"arithmetic":                  {`1 + 2 * 3`, "has the type scalar"},
	"the time":                    {`time()`, "has the type scalar"},
	"a scalar of a vector":        {`scalar(up)`, "has the type scalar"},
	"pi":                          {`pi()`, "has the type scalar"},
	"a text":                      {`"up"`, "has the type string"},
	"a range vector":              {`up[5m]`, "has the type matrix"},
	"a subquery alone":            {`up[10m:1m]`, "has the type matrix"},
	"a constant vector":           {`vector(1)`, saysNoPod},
	"a constant beside":           {`up or vector(0)`, saysNoPod},
	"a constant of a selector":    {`vector(scalar(up))`, saysNoPod},
	"the hour":                    {`hour()`, saysNoPod},
	"the day, beside":             {`up + on () day_of_week()`, saysNoPod},
	"absence":                     {`absent(up)`, saysMissing},
	"absence with a reserved pod": {`absent(up{pod="x"})`, saysMissing},
	"absence over time":           {`absent_over_time(up[5m])`, saysMissing},

	// Other times than the one that is judged.
	"an offset":                         {`up offset 1d`, saysTime},
	"an offset into the future":         {`up offset -5m`, saysTime},
	"an offset in a range":              {`rate(up[5m] offset 1w)`, saysTime},
	"an offset that is computed":        {`up offset (5m + 5m)`, saysTime},
	"an offset of a computed range":     {`rate(up[5m] offset (2 * 1h))`, saysTime},
	"an offset of a subquery":           {`max_over_time(up[10m:1m] offset 1d)`, saysTime},
	"a computed offset of a subquery":   {`max_over_time(up[10m:1m] offset (1d * 2))`, saysTime},
	"a time":                            {`up @ 1700000000`, saysTime},
	"the beginning of time":             {`up @ 0`, saysTime},
	"the query's start":                 {`up @ start()`, saysTime},
	"the query's end in a range":        {`rate(up[5m] @ end())`, saysTime},
	"a time of a subquery":              {`max_over_time(up[10m:1m] @ 0)`, saysTime},
	"the query's end of a subquery":     {`max_over_time(up[10m:1m] @ end())`, saysTime},
	"samples from after the range":      {`rate(up[5m] smoothed)`, "remove them"},
	"samples from before the range":     {`rate(up[5m] anchored)`, "remove them"},
	"a smoothed selector":               {`up smoothed`, "anchored and smoothed"},
	"an offset hidden between comments": {"up #\noffset #\n1d", saysTime},

	// Cost.
	"a range past the cap":               {`rate(up[61m])`, saysRange},
	"a year":                             {`rate(up[1y])`, saysRange},
	"the longest duration":               {`rate(up[292y])`, saysRange},
	"a range in seconds":                 {`rate(up[3600.001])`, saysRange},
	"a subquery past the cap":            {`max_over_time(up[2h:1h])`, saysRange},
	"a subquery's range and its own":     {`max_over_time(rate(up[31m])[30m:1m])`, saysRange},
	"subqueries nested past the cap":     {`max_over_time(max_over_time(up[31m:10m])[30m:10m])`, saysRange},
	"a range that overflows":             {`rate(up[300y])`, saysParse},
	"many steps":                         {`max_over_time(up[1h:10s])`, saysSteps},
	"a step of a millisecond":            {`max_over_time(up[1h:1ms])`, saysSteps},
	"a step of a nanosecond":             {`max_over_time(up[1h:0.000000001])`, saysSteps},
	"nested subqueries' steps":           {`max_over_time(max_over_time(up[20m:1m])[20m:1m])`, saysSteps},
	"thrice nested subqueries' steps":    {`max_over_time(max_over_time(max_over_time(up[7m:1m])[7m:1m])[7m:1m])`, saysSteps},
	"a subquery without a step":          {`max_over_time(up[10m:])`, saysStep},
	"a subquery with a computed step":    {`max_over_time(up[10m:1m + 1m])`, saysStep},
	"a subquery with the query's step":   {`max_over_time(up[10m:step()])`, saysStep},
	"a subquery with no time between":    {`max_over_time(up[10m:0s])`, saysParse},
	"a computed range":                   {`rate(up[1m * 1000000])`, saysComputed},
	"a range that is the query's":        {`rate(up[range()])`, saysComputed},
	"a range that is the larger":         {`rate(up[max_of(5m, 10y)])`, saysComputed},
	"a computed range of a subquery":     {`max_over_time(up[(1h * 24):1m])`, saysComputed},
	"a range too short to write":         {`rate(up[0.0001])`, "cannot be combined with"},
	"17 selectors":                       {"up" + strings.Repeat("+up", 16), saysSelectors},
	"a sum that nests to the left":       {"up" + strings.Repeat("+1", 24), saysDepth},
	"a power that nests to the right":    {strings.Repeat("2^", 24) + "up", saysDepth},
	"functions in functions":             {strings.Repeat("abs(", 24) + "up" + strings.Repeat(")", 24), saysDepth},
	"parentheses that close":             {strings.Repeat("(", 500) + "up" + strings.Repeat(")", 500), saysDepth},
	"parentheses that do not":            {strings.Repeat("(", 1024), saysParse},
	"100,000 parentheses":                {strings.Repeat("(", 100_000), saysBytes},
	"100,000 parentheses that close":     {strings.Repeat("(", 100_000) + "up" + strings.Repeat(")", 100_000), saysBytes},
	"100,000 signs":                      {strings.Repeat("-", 100_000) + "up", saysBytes},
	"as many signs as there is room for": {strings.Repeat("-", 1022) + "up", saysDepth},
	"100,000 open braces":                {"up" + strings.Repeat("{", 100_000), saysBytes},
	"one byte too many":                  {"up" + strings.Repeat(" ", 1023), saysBytes},
	"a value that quoting makes long":    {`up{a="` + strings.Repeat("\x7f", 900) + `"}` + strings.Repeat("+up", 12), "4096 are allowed: use fewer selectors"},

	// Text that is none.
	"nothing":                         {``, saysParse},
	"blanks":                          {" \t\n", saysParse},
	"a comment":                       {`# up`, saysParse},
	"a comment over the closing":      {`sum(up # )`, saysParse},
	"a comment over the braces":       {`up{ # }`, saysParse},
	"a NUL byte":                      {"\x00", saysParse},
	"a NUL byte at the end":           {"up\x00", saysParse},
	"a NUL byte in a name":            {"u\x00p", saysParse},
	"invalid UTF-8":                   {"up\xff", "is not valid UTF-8"},
	"invalid UTF-8 in a value":        {"up{a=\"\xff\"}", "is not valid UTF-8"},
	"an overlong slash":               {"up{a=\"\xc0\xaf\"}", "is not valid UTF-8"},
	"half a surrogate pair":           {"up{a=\"\xed\xa0\x80\"}", "is not valid UTF-8"},
	"invalid UTF-8 in a comment":      {"up # \xff", "is not valid UTF-8"},
	"a letter that is not ASCII":      {`рod`, saysParse},
	"a byte order mark":               {"\ufeffup", saysParse},
	"a space that does not break":     {"up\u00a0", saysParse},
	"a half-written escape":           {`up{a="\u12"}`, saysParse},
	"two expressions":                 {`up; up{pod="x"}`, saysParse},
	"two expressions on two lines":    {"up\nup{pod=\"x\"}", saysParse},
	"a statement":                     {`ALERT x IF up`, saysParse},
	"a pattern that does not compile": {`up{a=~"("}`, saysParse},
	"a pattern that leaves its group": {`up{a=~")|(.*"}`, saysParse},
	"a pattern of a huge program":     {`up{a=~"((x{1000}){1000}){1000}"}`, saysParse},
	"a template":                      {`up{pod="{{ .pod }}"}`, saysReserved},
	"a variable":                      {`up{a="b"}[$__range]`, saysParse},
}

// printable is what may go into an object's status.
var printable = regexp.MustCompile(`^[ -~]{1,400}$`)

func TestCustomQueryRefuses(t *testing.T) {
	for name, c := range hostile {
		t.Run(name, func(t *testing.T) {
			query, err := CustomQuery(c.expression, shop)
			if err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Fatalf("CustomQuery() = %q, %v; want an error saying %q", query, err, c.wantErr)
			}
			if query != "" || !printable.MatchString(err.Error()) {
				t.Errorf("CustomQuery() = %q, %q; want no query and a short message of ASCII", query, err)
			}
		})
	}
}
