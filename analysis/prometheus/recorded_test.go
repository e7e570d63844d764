package prometheus

import (
	"net/http"
	"strings"
	"testing"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

func TestRecordedQuery(t *testing.T) {
	sloth := v1alpha1.RecordedSLO{Sloth: &v1alpha1.SlothSLO{Service: `shop"} or up{x="`, SLO: "availability"}}
	pyrra := v1alpha1.RecordedSLO{Pyrra: &v1alpha1.PyrraSLO{SLO: "shop"}}
	own := v1alpha1.RecordedSLO{PromQL: &v1alpha1.RecordedPromQL{BudgetRemaining: "budget_left", BurnRate: "sum(rate(bad[5m])) / sum(rate(all[5m]))"}}
	for name, c := range map[string]struct {
		of        v1alpha1.RecordedSLO
		selectors string
	}{
		"sloth": {sloth, "slo:period_error_budget_remaining:ratio slo:current_burn_rate:ratio"},
		"pyrra": {pyrra, "pyrra_availability pyrra_objective pyrra_objective pyrra_errors_total pyrra_requests_total pyrra_objective"},
		"own":   {own, "budget_left bad all"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, namespace := range []string{"shop", ""} {
				query, err := RecordedQuery(c.of, v1alpha1.MetricSourceLabels{}, namespace)
				if err != nil {
					t.Fatal(err)
				}
				var metrics []string
				for _, s := range vectorSelectors(t, query) {
					metrics = append(metrics, s.Name)
					if bound := strings.Contains(strings.Join(matcherTexts(s.LabelMatchers), " "), `namespace="shop"`); bound != (namespace != "") {
						t.Errorf("in namespace %q a selector is %s", namespace, s)
					}
				}
				if got := strings.Join(metrics, " "); got != c.selectors {
					t.Errorf("it selects %s, want %s", got, c.selectors)
				}
			}
		})
	}
	for name, expression := range map[string]string{"another namespace": `up{namespace="bank"}`, "no PromQL": "up{", "nothing": "vector(1)", "the past": "up offset 1d"} {
		bad := v1alpha1.RecordedSLO{PromQL: &v1alpha1.RecordedPromQL{BudgetRemaining: expression, BurnRate: "up"}}
		if query, err := RecordedQuery(bad, v1alpha1.MetricSourceLabels{}, "shop"); err == nil {
			t.Errorf("%s was let through: %s", name, query)
		}
	}
}

func TestRecorded(t *testing.T) {
	left, burn := share("remaining", "0.25"), share("burn", "2")
	for name, c := range map[string]struct {
		rows []string
		want analysis.Recorded
		fail analysis.Reason
	}{
		"whole":              {[]string{left, burn}, analysis.Recorded{Remaining: 0.25, Burn: 2}, ""},
		"overspent":          {[]string{share("remaining", "-4"), burn}, analysis.Recorded{Remaining: -4, Burn: 2}, ""},
		"noise":              {[]string{share("remaining", "1.0000000000000002"), share("burn", "-2e-16")}, analysis.Recorded{Remaining: 1}, ""},
		"idle":               {[]string{left, share("burn", "NaN")}, analysis.Recorded{Remaining: 0.25}, ""},
		"no budget":          {[]string{burn}, analysis.Recorded{}, analysis.Stale},
		"no burn rate":       {[]string{left}, analysis.Recorded{}, analysis.Stale},
		"two series":         {[]string{left, left, burn}, analysis.Recorded{}, analysis.Malformed},
		"a row nobody asked": {[]string{left, burn, share("year", "0")}, analysis.Recorded{}, analysis.Malformed},
		"a value of null":    {[]string{left, `{"metric":{"k":"burn"},"value":null}`}, analysis.Recorded{}, analysis.Malformed},
		"a row of 1970":      {[]string{left, `{"metric":{"k":"burn"},"value":[0,"0"]}`}, analysis.Recorded{}, analysis.ClockSkew},
		"a histogram":        {[]string{left, `{"metric":{"k":"burn"},"histogram":[1795521600,{}]}`}, analysis.Recorded{}, analysis.WrongType},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := connect(t, defaults(serve(t, say(http.StatusOK, vector(c.rows...))))).Recorded(t.Context(), "shop", "x", stopped)
			if got != c.want || reasonOf(err) != c.fail {
				t.Errorf("%+v, %v; want %+v and %q", got, err, c.want, c.fail)
			}
		})
	}
}
