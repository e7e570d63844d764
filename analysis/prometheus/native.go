package prometheus

import (
	"strconv"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// A histogram is classic, with series of its count and buckets, or native, with one series
// of its own name. Where an indicator says that it may be native, queries ask for both forms,
// because they may differ from pod to pod; of a target that has both, the classic one counts.
// Other queries have none of these functions: sources without native histograms refuse them.

func mayBeNative(i v1alpha1.Indicator) bool { return i.Histograms == v1alpha1.HistogramsNative }

// countOf selects a counter, also one that is the count of a native histogram: its classic
// name ends in _count.
func countOf(of v1alpha1.Series, mine []string, nativeToo bool) (string, error) {
	classic, native, err := bothForms(of, mine, nativeToo)
	if err != nil || native == "" {
		return classic, err
	}
	return "(" + classic + " or histogram_count(" + native + "))", nil
}

// sampledAt is the time of a counter's samples.
func sampledAt(of v1alpha1.Series, mine []string, nativeToo bool) (string, error) {
	classic, native, err := bothForms(of, mine, nativeToo)
	if err != nil || native == "" {
		return "timestamp(" + classic + ")", err
	}
	return "timestamp(" + classic + ") or timestamp(" + native + ")", nil
}

// increaseOf is a counter's increase in a window, such as 1h.
func increaseOf(of v1alpha1.Series, mine []string, nativeToo bool, window string) (string, error) {
	classic, native, err := bothForms(of, mine, nativeToo)
	if err != nil || native == "" {
		return "increase(" + classic + "[" + window + "])", err
	}
	return "(increase(" + classic + "[" + window + "]) or histogram_count(increase(" + native + "[" + window + "])))", nil
}

// bothForms are the selectors of a counter and of the native histogram whose count it may be;
// the latter is empty when it is none.
func bothForms(of v1alpha1.Series, mine []string, nativeToo bool) (classic, native string, err error) {
	classic, err = selector(of, mine)
	histogram, counts := strings.CutSuffix(of.Metric, "_count")
	if err != nil || !nativeToo || !counts || histogram == "" {
		return classic, "", err
	}
	native, err = selector(v1alpha1.Series{Metric: histogram, Matchers: of.Matchers}, mine)
	return classic, native, err
}

// forms is how many forms a query asks for.
func forms(nativeToo bool) int {
	if nativeToo {
		return 2
	}
	return 1
}

// countSeries is the count of a latency indicator's histogram.
func countSeries(l v1alpha1.LatencyIndicator) v1alpha1.Series {
	return v1alpha1.Series{Metric: l.Histogram + "_count", Matchers: l.Matchers}
}

// bucketSeries is the bucket of the threshold.
func bucketSeries(l v1alpha1.LatencyIndicator) v1alpha1.Series {
	return v1alpha1.Series{Metric: l.Histogram + "_bucket", Matchers: append([]v1alpha1.Matcher{
		{Name: "le", Op: "=~", Value: boundPattern(boundOf(l))}}, l.Matchers...)}
}

// withinOf is how many observations are within the threshold: those in its bucket, or of a
// native histogram the part below it, which interpolates in the bucket that the threshold is
// in. The part of an empty histogram is NaN, and its count, 0, takes its place; of any other, NaN
// is what it says.
func withinOf(l v1alpha1.LatencyIndicator, mine []string, nativeToo bool) (string, error) {
	bucket, err := selector(bucketSeries(l), mine)
	if err != nil || !nativeToo {
		return bucket, err
	}
	native, err := selector(v1alpha1.Series{Metric: l.Histogram, Matchers: l.Matchers}, mine)
	if err != nil {
		return "", err
	}
	count := "histogram_count(" + native + ")"
	return "(" + bucket + " or ignoring(le) (" + count + " == 0 or " + count + " * " + withinPart(l, native) + "))", nil
}

// withinPart is the part of a native histogram's observations that are within the threshold.
func withinPart(l v1alpha1.LatencyIndicator, of string) string {
	return "histogram_fraction(-Inf, " + strconv.FormatFloat(boundOf(l), 'f', -1, 64) + ", " + of + ")"
}
