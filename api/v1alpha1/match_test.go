package v1alpha1

import (
	"strings"
	"testing"
)

func TestAMatchInWords(t *testing.T) {
	header := HeaderMatch{Name: "x-canary", Value: "1"}
	for want, match := range map[string]*StepMatch{
		"":                                   nil,
		"header x-canary: 1":                 {Headers: []HeaderMatch{header}},
		"header x-canary ~ ^1":               {Headers: []HeaderMatch{{Type: MatchRegularExpression, Name: "x-canary", Value: "^1"}}},
		"cookie a=b and query parameter c=d": {Cookies: []CookieMatch{{Name: "a", Value: "b"}}, QueryParams: []QueryParamMatch{{Name: "c", Value: "d"}}},
		"query parameter c~d|e":              {QueryParams: []QueryParamMatch{{Type: MatchRegularExpression, Name: "c", Value: "d|e"}}},
		"header x-canary: 1 and header x-canary: 1 and 2 more": {Headers: []HeaderMatch{header, header, header, header}},
	} {
		if got := match.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	long := StepMatch{Headers: []HeaderMatch{{Name: strings.Repeat("n", 256), Value: strings.Repeat("v", 1024)}}}
	if got := long.String(); len(got) > 128 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
