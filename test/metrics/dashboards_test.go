package metrics

import (
	"strings"
	"testing"
)

func boards(t *testing.T) map[string]Board {
	t.Helper()
	all, err := Boards(root)
	if err != nil || len(all) == 0 {
		t.Fatalf("%d dashboards: %v", len(all), err)
	}
	return all
}

// TestEveryPanelAsksForWhatThereIs: each query can be parsed, and each metric and label in it
// is exported; no variable is left that a dashboard does not have.
func TestEveryPanelAsksForWhatThereIs(t *testing.T) {
	metrics, uids := exported(t), map[string]bool{}
	for file, b := range boards(t) {
		if b.UID == "" || b.Title == "" || uids[b.UID] {
			t.Errorf("%s: uid %q and title %q must be its own", file, b.UID, b.Title)
		}
		uids[b.UID] = true
		for _, query := range b.Queries() {
			if err := CheckQuery(query, metrics); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		for _, v := range b.Templating.List {
			query, _ := v.Query.(string)
			values, isLabel := strings.CutPrefix(query, "label_values(")
			if v.Type == "datasource" {
				continue
			}
			selector, label := cutLast(strings.TrimSuffix(values, ")"), ", ")
			if err := CheckQuery("count by ("+label+") ("+strings.ReplaceAll(selector, "$namespace", "shop")+")", metrics); !isLabel || err != nil {
				t.Errorf("%s: variable %s is %q: %v", file, v.Name, query, err)
			}
		}
	}
}

func cutLast(s, sep string) (before, after string) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return s, ""
	}
	return s[:at], s[at+len(sep):]
}

// TestPanelsHaveAPlaceOfTheirOwn, a title and a query.
func TestPanelsHaveAPlaceOfTheirOwn(t *testing.T) {
	for file, b := range boards(t) {
		taken, ids := map[[2]int]string{}, map[int]bool{}
		for _, p := range b.Panels {
			if p.Title == "" || len(p.Targets) == 0 || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 || ids[p.ID] {
				t.Errorf("%s: panel %+v", file, p)
			}
			ids[p.ID] = true
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
					if taken[at] != "" {
						t.Fatalf("%s: %q is on %q", file, p.Title, taken[at])
					}
					taken[at] = p.Title
				}
			}
		}
	}
}

// TestEveryMetricIsLookedAt: by a panel or an alert. One that nobody looks at is not exported.
func TestEveryMetricIsLookedAt(t *testing.T) {
	var all strings.Builder
	for _, b := range boards(t) {
		all.WriteString(strings.Join(b.Queries(), "\n"))
	}
	for _, a := range alerts(t) {
		all.WriteString(a.Expr)
	}
	for name := range exported(t) {
		if !strings.Contains(all.String(), name) {
			t.Errorf("no panel and no alert has %s", name)
		}
	}
}
