package prometheus

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

func share(window, value string) string {
	return fmt.Sprintf(`{"metric":{"k":%q},"value":[%d,%q]}`, window, evaluated.Unix(), value)
}

func TestShares(t *testing.T) {
	whole := []string{share("period", "0.0001"), share("long", "0.5"), share("short", "0.25")}
	cases := map[string]struct {
		rows []string
		want analysis.Shares
		fail analysis.Reason
	}{
		"whole":                 {whole, analysis.Shares{Period: 0.0001, Long: 0.5, Short: 0.25}, ""},
		"noise around 0 and 1":  {[]string{share("period", "-2.220446049250313e-16"), share("long", "1.0000000000000002"), share("short", "0")}, analysis.Shares{Long: 1}, ""},
		"idle just now":         {[]string{whole[0], whole[1], share("short", "NaN")}, analysis.Shares{Period: 0.0001, Long: 0.5}, ""},
		"idle all the time":     {[]string{share("period", "NaN"), share("long", "NaN"), share("short", "NaN")}, analysis.Shares{}, analysis.NoTraffic},
		"not scraped just now":  {whole[:2], analysis.Shares{}, analysis.Stale},
		"not scraped for long":  {[]string{whole[0], whole[2]}, analysis.Shares{}, analysis.Stale},
		"nothing known":         {nil, analysis.Shares{}, analysis.Stale},
		"a row twice":           {append(whole, share("long", "0")), analysis.Shares{}, analysis.Malformed},
		"a row nobody asked":    {append(whole, share("year", "0")), analysis.Shares{}, analysis.Malformed},
		"a row without a value": {append(whole[1:], `{"metric":{"k":"period"}}`), analysis.Shares{}, analysis.ClockSkew},
		"a row of 1970":         {append(whole[1:], `{"metric":{"k":"period"},"value":[0,"0"]}`), analysis.Shares{}, analysis.ClockSkew},
		"a value of null":       {append(whole[1:], `{"metric":{"k":"period"},"value":null}`), analysis.Shares{}, analysis.Malformed},
		"a histogram": {append(whole[1:], fmt.Sprintf(`{"metric":{"k":"period"},"histogram":[%d,{}]}`, evaluated.Unix())),
			analysis.Shares{}, analysis.WrongType},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			source := connect(t, defaults(serve(t, say(http.StatusOK, vector(c.rows...)))))
			got, err := source.Shares(t.Context(), "", "x", stopped)
			if got != c.want || reasonOf(err) != c.fail {
				t.Errorf("%+v, %v; want %+v and %q", got, err, c.want, c.fail)
			}
		})
	}
}

func TestSharesQueryAsksForEveryWindow(t *testing.T) {
	for name, i := range map[string]v1alpha1.Indicator{
		"requests":                      {Requests: &v1alpha1.RequestsIndicator{Total: series("requests"), Bad: series("errors")}},
		"latency":                       {Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds"}},
		"requests of native histograms": {Histograms: v1alpha1.HistogramsNative, Requests: &v1alpha1.RequestsIndicator{Total: series("seconds_count"), Bad: series("seconds_count")}},
		"latency of native histograms":  {Histograms: v1alpha1.HistogramsNative, Latency: &v1alpha1.LatencyIndicator{Histogram: "seconds"}},
	} {
		query, err := SharesQuery(i, Pods{Namespace: "shop"}, "web", 30*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range vectorSelectors(t, query) {
			if got := strings.Join(matcherTexts(s.LabelMatchers), " "); !strings.Contains(got, `namespace="shop"`) || !strings.Contains(got, `pod=~"web-[a-z0-9]+-[a-z0-9]{5}"`) {
				t.Errorf("%s: a selector of %s", name, got)
			}
		}
		for _, window := range []string{"[30d]", "[1h]", "[5m]", `"k","period"`, `"k","long"`, `"k","short"`} {
			if !strings.Contains(query, window) {
				t.Errorf("%s asks for no %s: %s", name, window, query)
			}
		}
	}
	if _, err := SharesQuery(v1alpha1.Indicator{PromQL: &v1alpha1.PromQLIndicator{Total: "a", Bad: "b"}}, Pods{Namespace: "shop"}, "web", time.Hour); err == nil {
		t.Error("an expression was let through")
	}
}

// TestThePodsOfADeployment: what the pattern matches is what Kubernetes makes of
// a name of any length.
func TestThePodsOfADeployment(t *testing.T) {
	for length := 1; length <= maxPodPrefix-1; length++ {
		deployment := strings.Repeat("w", length)
		pattern, err := podsOfDeployment(deployment)
		if err != nil {
			t.Fatal(err)
		}
		anchored := regexp.MustCompile("^(?:" + pattern + ")$")
		for _, hash := range []string{"7f9c6d", "6d4b75cb6d", "abcdef0123"} {
			if pod := podPrefix(deployment+"-"+hash) + "x2x4z"; !anchored.MatchString(pod) {
				t.Errorf("%d characters: %s does not match %s", length, pod, pattern)
			}
		}
		for _, other := range []string{deployment + "-0", podPrefix(deployment+"-db-6d4b75cb6d") + "x2x4z", "w" + podPrefix(deployment+"-6d4b75cb6d") + "x2x4z"} {
			if length < maxPodPrefix-maxHash-len("-db-") && anchored.MatchString(other) {
				t.Errorf("%d characters: %s matches %s", length, other, pattern)
			}
		}
	}
	if _, err := podsOfDeployment(strings.Repeat("w", maxPodPrefix)); err == nil {
		t.Error("a name that is cut itself was let through")
	}
}
