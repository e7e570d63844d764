package analysis

import (
	"fmt"
	"strings"
	"testing"
)

func TestJudgeSights(t *testing.T) {
	same := []Scope{{Metric: "requests"}, {Metric: "requests", Labels: []string{"handler", "code"}}}
	other := []Scope{{Metric: "requests"}, {Metric: "errors", OfBad: true, Labels: []string{"code"}}}
	two := []Scope{{Metric: "requests"}, {Metric: "errors", OfBad: true}, {Metric: "failures", OfBad: true}}
	anyOf := []Scope{{Metric: "requests", Labels: []string{"code", "grpc_code"}, Any: true, Narrows: true}}
	has := []Scope{{Metric: "requests"}, {Metric: "requests", Has: "error"}}
	narrowed := []Scope{{Metric: "requests"}, {Metric: "requests", Labels: []string{"code"}, Narrows: true}}
	sent := []Scope{{Metric: "requests", Labels: []string{"code"}, OfDestination: true}}
	version := func(name string, scopes ...ScopeSight) Sight { return Sight{Version: name, Scopes: scopes} }
	all := ScopeSight{Series: 4, With: []int{4, 1}}
	for name, tc := range map[string]struct {
		scopes        []Scope
		missingIsZero bool
		versions      []Sight
		reason        Reason
		says          string
	}{
		"all labels exist":                   {same, false, []Sight{version("candidate", all, all), version("stable", all, all)}, "", ""},
		"a label of no series":               {same, false, []Sight{version("stable", all, ScopeSight{4, []int{4, 0}, []string{"handler", "status"}})}, UnknownLabel, `no series "requests" of the stable pods has the label "code"`},
		"and what there is":                  {same, false, []Sight{version("stable", all, ScopeSight{4, []int{0, 4}, []string{"code", "status"}})}, UnknownLabel, `write one of its labels: "code", "status"`},
		"a label that the candidate renamed": {same, false, []Sight{version("candidate", all, ScopeSight{1, []int{1, 0}, nil}), version("stable", all, all)}, UnknownLabel, `of the candidate pods has the label "code"`},
		"no series of the candidate yet":     {same, false, []Sight{version("candidate", ScopeSight{}, ScopeSight{With: []int{0, 0}}), version("stable", all, all)}, "", ""},
		"no series of total":                 {same, false, []Sight{version("stable", ScopeSight{}, ScopeSight{With: []int{0, 0}})}, NoSeries, `no series "requests" for any pod`},
		"bad was never seen":                 {other, false, []Sight{version("candidate", all, ScopeSight{With: []int{0}}), version("stable", all, ScopeSight{With: []int{0}})}, NeverSeen, `a series "errors"`},
		"never seen means zero":              {other, true, []Sight{version("candidate", all, ScopeSight{With: []int{0}}), version("stable", all, ScopeSight{With: []int{0}})}, "", ""},
		"bad was seen on stable":             {other, false, []Sight{version("candidate", all, ScopeSight{With: []int{0}}), version("stable", all, ScopeSight{2, []int{2}, nil})}, "", ""},
		"seen, without the label":            {other, true, []Sight{version("stable", all, ScopeSight{2, []int{0}, nil})}, UnknownLabel, `no series "errors"`},
		"one of two was seen":                {two, false, []Sight{version("stable", all, ScopeSight{}, ScopeSight{Series: 1})}, "", ""},
		"the other of two was seen":          {two, false, []Sight{version("stable", all, ScopeSight{Series: 1}, ScopeSight{})}, "", ""},
		"none of two was seen":               {two, false, []Sight{version("stable", all, ScopeSight{}, ScopeSight{})}, NeverSeen, `"errors", "failures"`},
		"no bucket of the threshold":         {[]Scope{{Metric: "d_count"}, {Metric: "d_bucket", Bound: "300ms"}}, false, []Sight{version("stable", all, ScopeSight{})}, BadQuery, `no bucket "d_bucket" whose upper bound is the threshold 300ms`},
		"no histogram":                       {[]Scope{{Metric: "d_count"}, {Metric: "d_bucket", Bound: "300ms"}}, false, []Sight{version("stable", ScopeSight{}, ScopeSight{})}, NoSeries, "d_count"},
		"all of bad, by no label":            {anyOf, false, []Sight{version("stable", ScopeSight{4, []int{0, 0}, []string{"status"}})}, UnknownLabel, `has the label "code", so the matchers of bad select every request; write one of its labels: "status"`},
		"one of two labels is enough":        {anyOf, false, []Sight{version("stable", ScopeSight{4, []int{0, 4}, nil})}, "", ""},
		"an error's label was never seen":    {has, false, []Sight{version("candidate", ScopeSight{Series: 4}, ScopeSight{}), version("stable", ScopeSight{Series: 4}, ScopeSight{})}, NeverSeen, `a series "requests" with the label "error"`},
		"never seen is zero, of a label too": {has, true, []Sight{version("stable", ScopeSight{Series: 4}, ScopeSight{})}, "", ""},
		"an error's label was seen":          {has, false, []Sight{version("candidate", ScopeSight{Series: 4}, ScopeSight{}), version("stable", ScopeSight{Series: 4}, ScopeSight{Series: 1})}, "", ""},
		"the candidate brings a label":       {narrowed, false, []Sight{version("candidate", ScopeSight{Series: 4}, ScopeSight{4, []int{4}, nil}), version("stable", ScopeSight{Series: 4}, ScopeSight{4, []int{0}, nil})}, "", ""},
		"it will bring it, perhaps":          {narrowed, false, []Sight{version("candidate", ScopeSight{}, ScopeSight{With: []int{0}}), version("stable", ScopeSight{Series: 4}, ScopeSight{4, []int{0}, nil})}, UnknownLabel, "of the stable pods"},
		"it brings a label of total":         {[]Scope{{Metric: "requests", Labels: []string{"app"}}}, false, []Sight{version("candidate", ScopeSight{4, []int{4}, nil}), version("stable", ScopeSight{4, []int{0}, nil})}, UnknownLabel, "of the stable pods"},
		"nothing to a destination":           {sent, false, []Sight{version("stable", ScopeSight{With: []int{0}})}, NoSeries, `no series "requests" of requests to the service`},
		"a label of no destination":          {sent, false, []Sight{version("stable", ScopeSight{4, []int{0}, nil})}, UnknownLabel, `no series "requests" of requests to stable has the label "code"`},
		"an answer about something else":     {two, false, []Sight{version("stable", all)}, Malformed, ""},
	} {
		v, ok := JudgeSights(tc.scopes, tc.missingIsZero, tc.versions...)
		if ok != (tc.reason == "") || v.Reason != tc.reason || !strings.Contains(v.Message, tc.says) {
			t.Errorf("%s: %v %s: %s", name, ok, v.Reason, v.Message)
		}
	}
}

// TestLabelNamesInMessagesAreBounded, as all text from a source is.
func TestLabelNamesInMessagesAreBounded(t *testing.T) {
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("%03d\n", i)+strings.Repeat("x", 300))
	}
	v, _ := JudgeSights([]Scope{{Metric: "requests", Labels: []string{"code"}}}, false, Sight{Version: "stable", Scopes: []ScopeSight{{1, []int{0}, names}}})
	if len(v.Message) > 1200 || strings.Contains(v.Message, "\n") || !strings.Contains(v.Message, "and 88 more") {
		t.Errorf("%d bytes: %s", len(v.Message), v.Message)
	}
}

// TestIncomparable: stable's bad requests are not known when only the candidate has their label.
func TestIncomparable(t *testing.T) {
	scopes := []Scope{{Metric: "requests"}, {Metric: "requests", Labels: []string{"code"}, Narrows: true}}
	of := func(name string, with int) Sight {
		return Sight{Version: name, Scopes: []ScopeSight{{Series: 4}, {Series: 4, With: []int{with}}}}
	}
	if got := Incomparable(scopes, of(Candidate, 4), of(Stable, 0)); got != `its series "requests" lack the label "code"` {
		t.Errorf("the candidate alone has it: %q", got)
	}
	for name, versions := range map[string][]Sight{"both": {of(Candidate, 4), of(Stable, 4)}, "stable alone": {of(Candidate, 0), of(Stable, 4)}, "none": {of(Candidate, 0), of(Stable, 0)}} {
		if got := Incomparable(scopes, versions...); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAllBad(t *testing.T) {
	for c, want := range map[Counts]bool{{Total: 100, Bad: 100}: false, {Total: 99, Bad: 99}: true, {Total: 1000, Bad: 999}: true, {}: true} {
		if v, ok := AllBad(c, "requests to Service web"); ok != want || !ok && v.Reason != EverythingBad {
			t.Errorf("%+v: %v %+v", c, ok, v)
		}
	}
}
