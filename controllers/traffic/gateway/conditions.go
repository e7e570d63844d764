package gateway

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"belay.dev/belay/api/v1alpha1"
)

// combined is one match with the testers' conditions. never means that no request has both.
func (r *route) combined(before map[string]any, match *v1alpha1.StepMatch) (both map[string]any, never bool, fault string) {
	both = runtime.DeepCopyJSON(before)
	if both == nil {
		both = map[string]any{}
	}
	if r.ref.Kind == v1alpha1.KindHTTPRoute && both["path"] == nil {
		// As the API server fills it in.
		both["path"] = map[string]any{"type": "PathPrefix", "value": "/"}
	}
	for _, part := range []struct {
		field string
		add   []any
	}{{"headers", headerConditions(match)}, {"queryParams", queryConditions(match)}} {
		for _, c := range part.add {
			list, _ := both[part.field].([]any)
			added, contradicts, why := joined(part.field, list, c.(map[string]any))
			if why != "" {
				return nil, false, why
			}
			never = never || contradicts
			if len(added) > 0 {
				both[part.field] = added
			}
		}
	}
	return both, never, ""
}

// joined adds a condition to those of a match. Gateway API has each name once in it.
func joined(field string, list []any, add map[string]any) (out []any, never bool, fault string) {
	name, _ := add["name"].(string)
	for _, one := range list {
		have, _ := one.(map[string]any)
		known, _ := have["name"].(string)
		if known != name && (field != "headers" || !strings.EqualFold(known, name)) {
			continue
		}
		exact := typeOf(have) == "Exact" && typeOf(add) == "Exact"
		switch {
		case typeOf(have) == typeOf(add) && have["value"] == add["value"]:
			return list, false, ""
		case exact:
			return list, true, ""
		default:
			return nil, false, fmt.Sprintf("it already matches %s %s, and Gateway API allows one match of a name: use another in the step's match", field, quoted(name))
		}
	}
	if len(list) == maxConditions {
		return nil, false, fmt.Sprintf("it has %d %s already, as many as Gateway API allows: remove one, or remove match from the step", maxConditions, field)
	}
	return append(list, add), false, ""
}

func typeOf(condition map[string]any) string {
	if t, _ := condition["type"].(string); t != "" {
		return t
	}
	return string(v1alpha1.MatchExact)
}

func headerConditions(match *v1alpha1.StepMatch) []any {
	var out []any
	for _, h := range match.Headers {
		out = append(out, condition(h.Type, h.Name, h.Value))
	}
	for _, c := range match.Cookies {
		out = append(out, condition(v1alpha1.MatchRegularExpression, "Cookie", cookieExpression(c)))
	}
	return out
}

func queryConditions(match *v1alpha1.StepMatch) []any {
	var out []any
	for _, q := range match.QueryParams {
		out = append(out, condition(q.Type, q.Name, q.Value))
	}
	return out
}

func condition(t v1alpha1.MatchType, name, value string) map[string]any {
	if t == "" {
		t = v1alpha1.MatchExact
	}
	return map[string]any{"type": string(t), "name": name, "value": value}
}

// cookieExpression finds one cookie in a Cookie header, also for gateways that search in the
// value rather than match the whole of it.
func cookieExpression(c v1alpha1.CookieMatch) string {
	return `^(.*;\s*)?` + regexp.QuoteMeta(c.Name+"="+c.Value) + `(\s*;.*)?$`
}
