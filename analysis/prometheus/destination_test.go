package prometheus

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

var shopServices = Pods{Namespace: "shop", ReplicaSets: []string{"web-1", "web-2"}, Services: []string{"web-stable", "web-canary"}}

func byService(value, namespaceLabel string) v1alpha1.Indicator {
	return v1alpha1.Indicator{
		By: v1alpha1.CountedByService, Destination: &v1alpha1.Destination{Label: "to", Value: value, NamespaceLabel: namespaceLabel},
		Requests: &v1alpha1.RequestsIndicator{Total: series("requests"), Bad: series("requests", v1alpha1.Matcher{Name: "code", Op: "=~", Value: "5.."})},
	}
}

func TestTheQueryForADestination(t *testing.T) {
	bank := Pods{Namespace: "bank", Services: []string{"pay-stable", "pay-canary"}}
	workload := byService("$(replicaSet)", "ns")
	workload.By = v1alpha1.CountedByWorkload
	latency := byService("$(service)", "ns")
	latency.Requests, latency.Latency = nil, &v1alpha1.LatencyIndicator{Histogram: "seconds"}
	for name, c := range map[string]struct {
		of       v1alpha1.Indicator
		runs     []Pods
		selector string
		by       string
	}{
		"two labels":         {byService("$(service)", "ns"), []Pods{shopServices}, `{ns="shop",to=~"(web-stable|web-canary)"`, "by (ns, to, instance)"},
		"namespace in value": {byService("$(namespace)-$(service)-*@x.y", ""), []Pods{shopServices}, `{to=~"(shop)-(web-stable|web-canary)-[^-@]+@x\\.y"`, "by (to, instance)"},
		"two runs":           {byService("$(service)", "ns"), []Pods{shopServices, bank}, `{ns=~"bank|shop",to=~"(pay-canary|pay-stable|web-canary|web-stable)"`, "by (ns, to, instance)"},
		"ReplicaSets":        {workload, []Pods{shopServices}, `{ns="shop",to=~"(web-1|web-2)"`, "by (ns, to, instance)"},
		"latency":            {latency, []Pods{shopServices}, `{ns="shop",to=~"(web-stable|web-canary)"`, "by (ns, to, instance)"},
	} {
		query, err := IndicatorQuery(c.of, c.runs...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Count(query, c.selector) != 3 || strings.Count(query, c.by) != 3 {
			t.Errorf("%s: %s\nwant three times %s and %s", name, query, c.selector, c.by)
		}
	}
}

// Whatever restricts a query to one namespace is checked again, because it separates tenants.
func TestADestinationThatIsRefused(t *testing.T) {
	promQL := byService("$(service)", "ns")
	promQL.Requests, promQL.PromQL = nil, &v1alpha1.PromQLIndicator{Total: "a", Bad: "b"}
	matcher := byService("$(service)", "ns")
	matcher.Requests.Total.Matchers = []v1alpha1.Matcher{{Name: "ns", Value: "bank"}}
	name := byService("$(service)", "ns")
	name.Requests.Bad.Matchers = []v1alpha1.Matcher{{Name: "to", Value: "other"}}
	none, tenant, instance := byService("$(service)", "ns"), byService("$(service)", "__tenant_id__"), byService("$(service)", "ns")
	none.Destination, instance.Destination.Label = nil, "instance"
	for want, of := range map[string]v1alpha1.Indicator{
		"need destination":                         none,
		"promQL counts by pod":                     promQL,
		"the label ns is set by Belay":             matcher,
		"the label to is set by Belay":             name,
		`"instance" and "ns" cannot be the labels`: instance,
		`"__tenant_id__" cannot be the labels`:     tenant,
		"the series must name the namespace once":  byService("$(service)", ""),
		`"$(namespace)" needs $(service) once`:     byService("$(namespace)", ""),
		"need a separator between them":            byService("$(namespace)$(service)", ""),
		"a separator between them, such as - or":   byService("$(service)*", "ns"),
	} {
		if query, err := IndicatorQuery(of, shopServices); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q, %v; want an error with %q", query, err, want)
		}
	}
	if _, err := IndicatorQuery(byService("$(service)", "ns"), Pods{Namespace: "shop", ReplicaSets: []string{"web-1"}}); err != ErrNoServices {
		t.Errorf("without Services: %v", err)
	}
	if _, err := IndicatorQuery(byService("$(service)", "ns"), Pods{Services: []string{"web"}}); err == nil {
		t.Error("without a namespace it is queried")
	}
}

// The regular expression of the query and the check of its rows agree, and neither takes
// another Service for one of the run's.
func TestOnlyTheRunsOwnDestinationsCount(t *testing.T) {
	for pattern, values := range map[string]map[string]string{
		"$(service)": {"web-canary": "web-canary", "web-stable": "web-stable", "web": "", "web-canary-2": "", "xweb-canary": ""},
		"$(namespace)-$(service)-*@kubernetesgateway": {
			"shop-web-canary-8080@kubernetesgateway": "web-canary", "shop-web-stable-http@kubernetesgateway": "web-stable",
			"bank-web-canary-8080@kubernetesgateway": "", "shop-web-canary-x-8080@kubernetesgateway": "", "shop-web-canary-@kubernetesgateway": "",
			"shop-web-canary-8080@file": "", "my-shop-web-canary-8080@kubernetesgateway": "",
		},
		"$(namespace)_$(service)_*": {"shop_web-canary_http-web": "web-canary", "shop_web-canary_8080": "web-canary", "shop_web-canary_a_b": "", "shop_web_8080": ""},
		"*/$(namespace)/$(service)": {"a/shop/web-stable": "web-stable", "a/b/shop/web-stable": "", "/shop/web-stable": ""},
	} {
		of := byService(pattern, "")
		if pattern == "$(service)" {
			of = byService(pattern, "ns")
		}
		d, err := destinationOf(of)
		if err != nil {
			t.Fatal(err)
		}
		anchored := regexp.MustCompile("^(?:" + d.value([]string{"shop"}, []string{"web-stable", "web-canary"}) + ")$")
		for value, want := range values {
			got, ok := OwnedBy(of).By(shopServices, Counter{Namespace: map[bool]string{true: "shop"}[!d.names.noNamespace], Pod: value, Instance: "10.0.0.1"})
			if ok != (want != "") || ok && (got.Pod != want || got.Namespace != "shop") || anchored.MatchString(value) != ok {
				t.Errorf("%s: %s is %+v, %v; want %q", pattern, value, got, ok, want)
			}
		}
	}
	if _, ok := OwnedBy(byService("$(service)", "ns")).By(shopServices, Counter{Namespace: "bank", Pod: "web-canary"}); ok {
		t.Error("a Service of another namespace counts")
	}
}

// Counters of a destination are read by its own labels, and no text of them goes on.
func TestReadingDestinations(t *testing.T) {
	of := byService("$(namespace)-$(service)-*@x", "")
	row := func(to, k, value string) string {
		return fmt.Sprintf(`{"metric":{"to":%q,"instance":"a","k":%q},"value":[%d,%q]}`, to, k, evaluated.Unix(), value)
	}
	s := defaults(serve(t, say(http.StatusOK, vector(
		row("shop-web-canary-80@x", "total", "7"), row("shop-web-canary-80@x", "bad", "2"), row("shop-web-canary-81@x", "total", "3")))))
	answer, err := connect(t, s).Reading(of).Counts(t.Context(), "", "up", 2, stopped)
	if err != nil {
		t.Fatal(err)
	}
	var got []Counter
	for _, c := range answer.Counters {
		if own, ok := OwnedBy(of).By(shopServices, c); ok {
			got = append(got, own)
		}
	}
	want := []Counter{
		{Namespace: "shop", Pod: "web-canary", Instance: "a shop-web-canary-80@x", Counts: analysis.Counts{Total: 7, Bad: 2}},
		{Namespace: "shop", Pod: "web-canary", Instance: "a shop-web-canary-81@x", Counts: analysis.Counts{Total: 3}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}
