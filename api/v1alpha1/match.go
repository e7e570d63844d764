package v1alpha1

import (
	"fmt"
	"strings"
)

// StepMatch says which requests are a tester's. A request is one when all of it hold, as in
// one match of Gateway API.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.cookies) || !has(self.headers) || self.headers.all(h, h.name.lowerAscii() != 'cookie')",message="match.cookies is itself a match of the header Cookie: remove that header from match.headers, or write both as one header match of type RegularExpression"
// +kubebuilder:validation:XValidation:rule="!has(self.headers) || self.headers.all(h, self.headers.exists_one(o, o.name.lowerAscii() == h.name.lowerAscii()))",message="the name of a header is the same in upper and lower case: match.headers must have each name once"
type StepMatch struct {
	// headers that the request must have, each name once.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Headers []HeaderMatch `json:"headers,omitempty"`

	// cookies that the request must have: one at most. For the gateway it is a match of the
	// header Cookie by a regular expression. HTTPRoutes only.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1
	Cookies []CookieMatch `json:"cookies,omitempty"`

	// queryParams that the request must have, each name once. HTTPRoutes only.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	QueryParams []QueryParamMatch `json:"queryParams,omitempty"`
}

// MatchType is how a value is compared.
// +kubebuilder:validation:Enum=Exact;RegularExpression
type MatchType string

const (
	// MatchExact compares the whole value.
	MatchExact MatchType = "Exact"
	// MatchRegularExpression matches the value against a regular expression of the gateway's
	// own dialect.
	MatchRegularExpression MatchType = "RegularExpression"
)

// HeaderMatch is a request header.
type HeaderMatch struct {
	// type is Exact or RegularExpression, whose dialect is the gateway's.
	// +optional
	// +kubebuilder:default=Exact
	Type MatchType `json:"type,omitempty"`

	// name of the header, in any case.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`
	Name string `json:"name,omitempty"`

	// value that it must have.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value,omitempty"`
}

// CookieMatch is a cookie with exactly this value.
type CookieMatch struct {
	// name of the cookie.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`
	Name string `json:"name,omitempty"`

	// value that it must have, of the characters that RFC 6265 allows in one.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^[!#-+\--:<-\[\]-~]+$`
	Value string `json:"value,omitempty"`
}

// QueryParamMatch is a parameter of the request's query.
type QueryParamMatch struct {
	// type is Exact or RegularExpression, whose dialect is the gateway's.
	// +optional
	// +kubebuilder:default=Exact
	Type MatchType `json:"type,omitempty"`

	// name of the parameter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`
	Name string `json:"name,omitempty"`

	// value that it must have.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value,omitempty"`
}

// String is for messages, bounded: `header x-canary: 1 and cookie beta=yes`; a regular
// expression has ~ before its value. Empty for no match.
func (m *StepMatch) String() string {
	if m == nil {
		return ""
	}
	var all []string
	for _, h := range m.Headers {
		all = append(all, fmt.Sprintf("header %s%s %s", Bounded(h.Name, 48), sign(h.Type, ":"), Bounded(h.Value, 48)))
	}
	for _, c := range m.Cookies {
		all = append(all, fmt.Sprintf("cookie %s=%s", Bounded(c.Name, 48), Bounded(c.Value, 48)))
	}
	for _, q := range m.QueryParams {
		all = append(all, fmt.Sprintf("query parameter %s%s%s", Bounded(q.Name, 48), sign(q.Type, "="), Bounded(q.Value, 48)))
	}
	const most = 3
	if len(all) > most {
		all = append(all[:most-1], fmt.Sprintf("%d more", len(all)-most+1))
	}
	return strings.Join(all, " and ")
}

func sign(t MatchType, exact string) string {
	switch {
	case t != MatchRegularExpression:
		return exact
	case exact == ":":
		return " ~"
	default:
		return "~"
	}
}
