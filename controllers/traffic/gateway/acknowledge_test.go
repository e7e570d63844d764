package gateway

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
)

func named(name string, section string) gatewayv1.ParentReference {
	p := gatewayv1.ParentReference{Name: gatewayv1.ObjectName(name)}
	if section != "" {
		s := gatewayv1.SectionName(section)
		p.SectionName = &s
	}
	return p
}

// filledIn has the fields that defaults stand for.
func filledIn(p gatewayv1.ParentReference, kind string) gatewayv1.ParentReference {
	group, k, namespace := gatewayv1.Group(gatewayv1.GroupName), gatewayv1.Kind(kind), gatewayv1.Namespace("shop")
	p.Group, p.Kind, p.Namespace = &group, &k, &namespace
	return p
}

func said(parent gatewayv1.ParentReference, controller string, generation int64, statuses ...metav1.ConditionStatus) gatewayv1.RouteParentStatus {
	entry := gatewayv1.RouteParentStatus{ParentRef: parent, ControllerName: gatewayv1.GatewayController(controller)}
	for i, status := range statuses {
		entry.Conditions = append(entry.Conditions, metav1.Condition{Type: required[i], Status: status, Reason: "Because", Message: "so it is\n" + strings.Repeat("x", 1000), ObservedGeneration: generation})
	}
	return entry
}

// TestAcknowledgement: for every parent one complete entry is enough, whatever
// others say and in whatever order.
func TestAcknowledgement(t *testing.T) {
	const yes, no = metav1.ConditionTrue, metav1.ConditionFalse
	gw := named("gw", "")
	http, https := named("gw", "http"), named("gw", "https")
	for name, c := range map[string]struct {
		parents []gatewayv1.ParentReference
		status  []gatewayv1.RouteParentStatus
		// words of what is missing; none when nothing is.
		words []string
	}{
		"complete":                      {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "a", 9, yes, yes)}},
		"ahead":                         {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "a", 10, yes, yes)}},
		"after one of a former":         {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "former", 3, yes, yes), said(gw, "a", 9, yes, yes)}},
		"before one of a former":        {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "a", 9, yes, yes), said(gw, "former", 3, yes, yes)}},
		"beside a refusal of a former":  {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "former", 3, no, no), said(gw, "a", 9, yes, yes)}},
		"with defaults filled in":       {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(filledIn(gw, "Gateway"), "a", 9, yes, yes)}},
		"for the whole of a section":    {parents: []gatewayv1.ParentReference{http}, status: []gatewayv1.RouteParentStatus{said(gw, "a", 9, yes, yes)}},
		"two parents":                   {parents: []gatewayv1.ParentReference{http, https}, status: []gatewayv1.RouteParentStatus{said(https, "a", 9, yes, yes), said(http, "a", 9, yes, yes)}},
		"nobody":                        {parents: []gatewayv1.ParentReference{gw}, words: []string{`HTTPRoute "shop" at generation 9: Gateway "gw" in namespace "shop": no status was reported for it`}},
		"another kind of parent":        {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(filledIn(gw, "Service"), "a", 9, yes, yes)}, words: []string{"no status was reported"}},
		"another section":               {parents: []gatewayv1.ParentReference{http}, status: []gatewayv1.RouteParentStatus{said(https, "a", 9, yes, yes)}, words: []string{`section "http": no status was reported`}},
		"a section for the whole":       {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(https, "a", 9, yes, yes)}, words: []string{"no status was reported"}},
		"one of two parents":            {parents: []gatewayv1.ParentReference{http, https}, status: []gatewayv1.RouteParentStatus{said(http, "a", 9, yes, yes), said(https, "a", 8, yes, yes)}, words: []string{`section "https": condition Accepted is only reported for generation 8 (controller "a")`}},
		"the section's own entry first": {parents: []gatewayv1.ParentReference{https}, status: []gatewayv1.RouteParentStatus{said(gw, "a", 9, yes, yes), said(https, "a", 9, no, yes)}, words: []string{`condition Accepted is "False", reason "Because": "so it is\nxxx`}},
		"old":                           {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "a", 8, yes, yes)}, words: []string{"condition Accepted is only reported for generation 8"}},
		"a backend that is missing":     {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "former", 3, yes, yes), said(gw, "a", 9, yes, no)}, words: []string{`condition ResolvedRefs is "False"`, `(controller "a")`}},
		"unknown":                       {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "a", 9, metav1.ConditionUnknown, yes)}, words: []string{`condition Accepted is "Unknown"`}},
		"half":                          {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "a", 9, yes)}, words: []string{"condition ResolvedRefs is not reported"}},
		"halves of two controllers":     {parents: []gatewayv1.ParentReference{gw}, status: []gatewayv1.RouteParentStatus{said(gw, "a", 9, yes, no), said(gw, "b", 9, no, yes)}, words: []string{`condition ResolvedRefs is "False"`}},
	} {
		t.Run(name, func(t *testing.T) {
			object := Route(v1alpha1.KindHTTPRoute)
			object.SetName("shop")
			object.SetNamespace("shop")
			object.SetGeneration(9)
			missing := (&route{ref: traffic.Route{Kind: v1alpha1.KindHTTPRoute, Name: "shop"}, object: object, parents: c.parents, status: c.status}).unacknowledged()
			if len(c.words) == 0 && missing != "" {
				t.Errorf("missing %q, want nothing", missing)
			}
			for _, words := range c.words {
				if !strings.Contains(missing, words) {
					t.Errorf("missing %q, want %q in it", missing, words)
				}
			}
			if len(missing) > 512 || strings.Contains(missing, "\n") {
				t.Errorf("%d bytes on more than one line: %q", len(missing), missing)
			}
		})
	}
}
