package prometheus

import (
	"time"

	"github.com/prometheus/common/model"

	"belay.dev/belay/api/v1alpha1"
)

// Load is what a saturation trigger measures on each pod: a gauge, or the increase of a
// counter per second.
type Load struct {
	Value v1alpha1.Series
	// Per divides the value; nil for none. It is a gauge or a counter as Value is.
	Per *v1alpha1.Series
	// Window is the time over which the increase of counters is computed; 0 for gauges.
	Window time.Duration
}

// A rate needs some samples in its window, also when a scrape fails. Shorter ones than
// shortestWindow say little.
const (
	scrapesInWindow = 4
	shortestWindow  = time.Minute
)

// LoadOf is the load of a trigger, for a source with any scrape interval.
func LoadOf(t v1alpha1.SaturationTrigger) Load {
	l := Load{Value: t.Value(), Per: t.Per}
	if t.Rate != nil {
		l.Window = shortestWindow
	}
	return l
}

// ScrapedEvery is the load for a source with this scrape interval.
func (l Load) ScrapedEvery(interval time.Duration) Load {
	if l.Window > 0 {
		l.Window = max(shortestWindow, scrapesInWindow*interval)
	}
	return l
}

// LoadQuery returns the query for the load of every pod, for one run or several. In the
// response, the label k of a series is value, per or ts. A pod whose counter has too few
// samples for a rate has no ts. The error says what to change in series that cannot be
// queried.
func LoadQuery(l Load, pods ...Pods) (string, error) {
	mine, err := bound(pods)
	if err != nil {
		return "", err
	}
	value, err := selector(l.Value, mine)
	if err != nil {
		return "", err
	}
	by := pods[0].labels().byNamespacedPod()
	times := l.sampledAt(value)
	parts := []string{row("value", l.sum(by, value))}
	if l.Per != nil {
		per, err := selector(*l.Per, mine)
		if err != nil {
			return "", err
		}
		parts = append(parts, row("per", l.sum(by, per)))
		if pods[0].ordered() {
			// The pod that had the name before may have left it.
			times += " or " + row("part", l.sampledAt(per))
		}
	}
	return rows(len(pods), append(parts, row("ts", "min "+by+"("+times+")"))...)
}

// sampledAt are the times of the samples that are numbers.
func (l Load) sampledAt(selector string) string {
	return "timestamp(" + selector + ") and " + l.over(selector)
}

// sum adds up what a pod has of a series where that is a number: clients report NaN for a gauge
// while nothing was measured, such as the lag of a consumer that is idle. A pod of which nothing
// is a number has what it reports.
func (l Load) sum(by, selector string) string {
	return "(sum " + by + "(" + l.over(selector) + ") or sum " + by + "(" + l.of(selector) + "))"
}

// over is a gauge, or the rate of a counter, where it is a number.
func (l Load) over(selector string) string { return l.of(selector) + " > -Inf" }

func (l Load) of(selector string) string {
	if l.Window <= 0 {
		return selector
	}
	return "rate(" + selector + "[" + model.Duration(l.Window).String() + "])"
}

// LoadProbe returns the probe for a load: whether its series exist, and the labels that
// its matchers need. Its counts have the sum of the value's series as total.
func LoadProbe(l Load, pods ...Pods) (Probe, error) {
	mine, err := bound(pods)
	if err != nil {
		return Probe{}, err
	}
	// The query for the load has the checks of the series.
	if _, err := LoadQuery(l, pods...); err != nil {
		return Probe{}, err
	}
	value, err := selector(l.Value, mine)
	if err != nil {
		return Probe{}, err
	}
	scopes := []scope{scopeOf(l.Value.Metric, neededBy(matchersOf(l.Value)), false, mine)}
	if l.Per != nil {
		scopes = append(scopes, scopeOf(l.Per.Metric, neededBy(matchersOf(*l.Per)), false, mine))
	}
	return probed{mine: mine, names: pods[0].labels(), pods: pods}.probe(scopes, counted{kind: "total", expression: value, gauge: true})
}
