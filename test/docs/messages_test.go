package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// packages whose messages stand in docs/reference/messages.md.
var packages = []string{
	"analysis", "analysis/backtest", "analysis/prometheus", "analysis/triggers", "controllers/calendars", "controllers/evidence", "controllers/freezes", "controllers/guardrails", "controllers/judge", "controllers/orphans",
	"controllers/checks", "controllers/gates", "controllers/indicators", "controllers/invariants", "controllers/plan", "controllers/replay", "controllers/rollout", "controllers/secrets", "controllers/sources", "controllers/traffic", "controllers/traffic/gateway", "controllers/traffic/replicas", "controllers/workload",
}

// notMessages are literals with words that no user sees, with the reason.
var notMessages = map[string]string{
	"quantile(0.1,count_over_time(%[1]s[%[2]s]) and %[1]s offset %[2]s)": "PromQL",
	" or vector(0)) / ":                  "PromQL",
	") or sum(":                          "PromQL",
	") or sum ":                          "PromQL",
	"the probe has no such scope":        "a mistake in Belay, in front of nobody",
	"record what the indicators see":     "in front of another error",
	"write the status":                   "in front of another error",
	"remote error":                       "an operation of crypto/tls",
	"local error":                        "an operation of crypto/tls",
	"%d numbers, want %v":                "a damaged state, which is replaced",
	"AFTER (least/median/most)":          "a heading",
	"  seed %d":                          "a column",
	"  %s  +%.0fs%s  %s %s\n    %s":      "columns",
	"record whether the source responds": "in front of another error",
	" or histogram_count(":               "PromQL",
	") or timestamp(":                    "PromQL",
	"]) or histogram_count(increase(":    "PromQL",
	" or ignoring(le) (":                 "PromQL",
	"label_replace(count by (le) (":      "PromQL",
	"jobs.batch %q is forbidden: ":       "cut off the API server's words",
	"exceeded quota":                     "words of the API server",
	"PromQL info: ":                      "a source's text, which is not shown",
	"no org id":                          "a source's text, in place of which Belay says what to set",
	`unknown function with name|unsupported function "|unknown func "`: "a pattern of sources' texts",
}

// TestEveryMessageIsInTheReference compares docs/reference/messages.md with the
// code, both ways: each message of the code is a part of a row, and each row is made
// of messages of the code, apart from placeholders such as <pod> and punctuation.
func TestEveryMessageIsInTheReference(t *testing.T) {
	root := filepath.Join("..", "..")
	rows := readRows(t, filepath.Join(root, "docs", "reference", "messages.md"))
	unused := map[string]string{}
	for value, reason := range notMessages {
		unused[value] = reason
	}
	for _, one := range allTexts(t, root) {
		if _, none := notMessages[one.value]; none {
			delete(unused, one.value)
			continue
		}
		found, pattern := false, one.pattern()
		for _, r := range rows {
			found = r.cover(pattern) || found
		}
		if !found && !one.optional {
			t.Errorf("%s: no row of docs/reference/messages.md has %q", one.at, one.value)
		}
	}
	for _, r := range rows {
		if rest := r.rest(); rest != "" {
			t.Errorf("line %d of docs/reference/messages.md: no code has %q of %q", r.line, rest, r.text)
		}
	}
	for value, reason := range unused {
		t.Errorf("no code has %q any more, which is not a message (%s)", value, reason)
	}
}

func allTexts(t *testing.T, root string) []text {
	t.Helper()
	var all []text
	for _, p := range packages {
		found, err := goTexts(root, p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	for _, read := range []func(string) ([]text, error){crdTexts, policyTexts} {
		found, err := read(root)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) < 100 {
		t.Fatalf("only %d messages found", len(all))
	}
	return all
}

// row is one message of the reference. covered marks its bytes that stand in the code.
type row struct {
	text    string
	line    int
	covered []bool
}

var (
	codeSpan    = regexp.MustCompile("`([^`]+)`")
	placeholder = regexp.MustCompile(`<[^<>]+>`)
	verb        = regexp.MustCompile(`%(?:\[\d+\])?[-+#0 ]*[\d.*]*[vTdqsfgxwt]`)
)

// readRows returns the messages in the first column of the page's tables.
func readRows(t *testing.T, path string) []*row {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []*row
	for i, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if !strings.HasPrefix(line, "|") || len(cells) < 3 {
			continue
		}
		if strings.Contains(line, "s the message says") || slices.ContainsFunc(cells[1:len(cells)-1], func(cell string) bool { return strings.TrimSpace(cell) == "" }) {
			t.Errorf("line %d of %s does not say what its message means and what to do", i+1, path)
		}
		for _, m := range codeSpan.FindAllStringSubmatch(cells[1], -1) {
			message := strings.ReplaceAll(m[1], "\x00", "|")
			rows = append(rows, &row{text: message, line: i + 1, covered: make([]bool, len(message))})
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no rows", path)
	}
	return rows
}

// pattern finds a literal in a row. A verb of a format is a placeholder there.
func (t text) pattern() *regexp.Regexp {
	literal := strings.TrimSpace(t.value)
	if !t.format {
		return regexp.MustCompile(regexp.QuoteMeta(literal))
	}
	protect, restore := strings.NewReplacer("%%", "\x00\x00"), strings.NewReplacer("\x00\x00", "%")
	literal = protect.Replace(literal)
	var pattern strings.Builder
	end := 0
	for _, m := range verb.FindAllStringIndex(literal, -1) {
		pattern.WriteString(regexp.QuoteMeta(restore.Replace(literal[end:m[0]])) + `"?<[^<>]+>"?`)
		end = m[1]
	}
	pattern.WriteString(regexp.QuoteMeta(restore.Replace(literal[end:])))
	return regexp.MustCompile(pattern.String())
}

// cover marks where a literal stands in the row, and reports whether it does.
func (r *row) cover(literal *regexp.Regexp) bool {
	found := literal.FindAllStringIndex(r.text, -1)
	for _, m := range found {
		for i := m[0]; i < m[1]; i++ {
			r.covered[i] = true
		}
	}
	return len(found) > 0
}

// rest is what no literal covers, but for placeholders and punctuation.
func (r *row) rest() string {
	left := []byte(r.text)
	for i, covered := range r.covered {
		if covered {
			left[i] = ' '
		}
	}
	words := strings.FieldsFunc(placeholder.ReplaceAllString(string(left), " "), func(c rune) bool {
		return !slices.Contains([]rune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), c)
	})
	return strings.Join(words, " ")
}

// TestTheReferenceIsRead shows that the comparison finds what it should.
func TestTheReferenceIsRead(t *testing.T) {
	for _, tc := range []struct {
		message, literal string
		found            bool
		rest             string
	}{
		{"Service <service> has no selector", "Service %s has no selector", true, ""},
		{`Service "<service>" has no selector`, "Service %q has no selector", true, ""},
		{"<n> % of <n> pods", "%d %% of %d pods", true, ""},
		{"has no selector: give it one", " has no selector", true, "give it one"},
		{"has no selector", "has no port", false, "has no selector"},
	} {
		r := &row{text: tc.message, covered: make([]bool, len(tc.message))}
		if found := r.cover(text{value: tc.literal, format: true}.pattern()); found != tc.found || r.rest() != tc.rest {
			t.Errorf("%q in %q: found %t, rest %q; want %t, %q", tc.literal, tc.message, found, r.rest(), tc.found, tc.rest)
		}
	}
	for value, is := range map[string]bool{
		"%d of %d ready": true, "not reported": true, "metadata": false, "%s: %w": false, " and ": false, "app.kubernetes.io/name": false,
	} {
		if got := words.MatchString(value); got != is {
			t.Errorf("%s is a message: %t, want %t", fmt.Sprintf("%q", value), got, is)
		}
	}
}
