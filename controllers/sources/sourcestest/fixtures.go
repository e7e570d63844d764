// Package sourcestest has what tests of sources and of the judge ask about.
package sourcestest

import (
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"belay.dev/belay/api/v1alpha1"
)

// Instant is a fake clock on which nobody gathers: a query is sent as soon as it is asked
// for.
type Instant struct{ *clocktesting.FakeClock }

// AfterFunc calls f at once.
func (Instant) AfterFunc(_ time.Duration, f func()) clock.Timer {
	f()
	return nil
}

// At is a MetricSource named default at a URL, scraped every 15 s, whose answers may
// have so many series.
func At(url string, series int32) *v1alpha1.MetricSource {
	s := &v1alpha1.MetricSource{}
	s.Name, s.UID, s.Generation = "default", types.UID(url), 1
	s.Spec.Address, s.Spec.ScrapeInterval = url, metav1.Duration{Duration: 15 * time.Second}
	s.Spec.Limits = v1alpha1.MetricSourceLimits{Timeout: metav1.Duration{Duration: 20 * time.Second}, Series: series, Bytes: 16 << 20, InFlight: 8}
	return s
}

// Requests is an indicator of two counters: requests, and the bad ones' by its name.
func Requests(bad string) v1alpha1.Indicator {
	return v1alpha1.Indicator{Requests: &v1alpha1.RequestsIndicator{Total: v1alpha1.Series{Metric: "requests"}, Bad: v1alpha1.Series{Metric: bad}}}
}

var ofNamespaces = regexp.MustCompile(`namespace=~?"([^"]*)"`)

// Namespaces are those that a query of an indicator or an invariant selects.
func Namespaces(query string) []string {
	return strings.Split(ofNamespaces.FindStringSubmatch(query)[1], "|")
}

// IsProbe reports whether a query asks for the series and labels of selectors.
func IsProbe(query string) bool { return strings.Contains(query, "belay_k") }
