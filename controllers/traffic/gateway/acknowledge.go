package gateway

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// required are the conditions that must be true: without them a gateway may still use the
// old weights.
var required = []string{string(gatewayv1.RouteConditionAccepted), string(gatewayv1.RouteConditionResolvedRefs)}

// unacknowledged says what is missing until every parent of the route uses its present
// generation; it is empty when nothing is missing. A route has one status entry for each
// parent and controller, and entries of former controllers stay: so one complete entry of
// a parent is enough.
func (r *route) unacknowledged() string {
	for _, parent := range r.parents {
		if missing := r.missing(parent); missing != "" {
			return fmt.Sprintf("%s at generation %d: %s: %s", r.ref, r.object.GetGeneration(), r.parentWords(parent), missing)
		}
	}
	return ""
}

func (r *route) missing(parent gatewayv1.ParentReference) string {
	entries := r.entriesOf(parent)
	if len(entries) == 0 {
		return "no status was reported for it: " + whatToCheck(parent)
	}
	nearest, newest := "", int64(-1)
	for _, entry := range entries {
		missing, generation := r.missingIn(entry)
		if missing == "" {
			return ""
		}
		if generation > newest {
			nearest, newest = missing, generation
		}
	}
	return nearest
}

// whatToCheck of a parent that nobody answers for. A Service is a mesh's (GAMMA), and has no
// controller that would run without one.
func whatToCheck(parent gatewayv1.ParentReference) string {
	if or(parent.Kind, "Gateway") == "Service" {
		return "check that it exists, and that a mesh runs which supports routes with a Service as their parent"
	}
	return "check that it exists and that its controller runs"
}

// entriesOf are the status entries of a parent: those that name it exactly, or, when there
// are none, those that leave out its section or port, as some controllers do.
func (r *route) entriesOf(parent gatewayv1.ParentReference) []gatewayv1.RouteParentStatus {
	var exact, loose []gatewayv1.RouteParentStatus
	for _, entry := range r.status {
		if !r.sameObject(entry.ParentRef, parent) {
			continue
		}
		section, port := entry.ParentRef.SectionName, entry.ParentRef.Port
		switch {
		case same(section, parent.SectionName) && same(port, parent.Port):
			exact = append(exact, entry)
		case (section == nil || same(section, parent.SectionName)) && (port == nil || same(port, parent.Port)):
			loose = append(loose, entry)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return loose
}

// missingIn also returns the generation that the entry is about: the lower one of its
// conditions.
func (r *route) missingIn(entry gatewayv1.RouteParentStatus) (missing string, generation int64) {
	generation = r.object.GetGeneration()
	for _, kind := range required {
		condition := meta.FindStatusCondition(entry.Conditions, kind)
		fault := ""
		switch {
		case condition == nil:
			generation, fault = 0, "not reported"
		case condition.ObservedGeneration < r.object.GetGeneration():
			generation = min(generation, condition.ObservedGeneration)
			fault = fmt.Sprintf("only reported for generation %d", condition.ObservedGeneration)
		case condition.Status != metav1.ConditionTrue:
			fault = fmt.Sprintf("%s, reason %s: %s", quoted(string(condition.Status)), quoted(condition.Reason), quoted(condition.Message))
		}
		if fault != "" && missing == "" {
			missing = fmt.Sprintf("condition %s is %s (controller %s)", kind, fault, quoted(string(entry.ControllerName)))
		}
	}
	return missing, generation
}

// sameObject compares the objects that two parents refer to; omitted fields have Gateway
// API's defaults.
func (r *route) sameObject(a, b gatewayv1.ParentReference) bool {
	return a.Name == b.Name && or(a.Group, gatewayv1.GroupName) == or(b.Group, gatewayv1.GroupName) &&
		or(a.Kind, "Gateway") == or(b.Kind, "Gateway") &&
		or(a.Namespace, gatewayv1.Namespace(r.object.GetNamespace())) == or(b.Namespace, gatewayv1.Namespace(r.object.GetNamespace()))
}

func (r *route) parentWords(p gatewayv1.ParentReference) string {
	namespace := gatewayv1.Namespace(r.object.GetNamespace())
	words := fmt.Sprintf("%s %q in namespace %q", or(p.Kind, "Gateway"), p.Name, or(p.Namespace, namespace))
	if p.SectionName != nil {
		words += fmt.Sprintf(", section %q", *p.SectionName)
	}
	if p.Port != nil {
		words += fmt.Sprintf(", port %d", *p.Port)
	}
	return words
}

func or[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
