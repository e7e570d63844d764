package prometheus

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"belay.dev/belay/analysis"
	"belay.dev/belay/api/v1alpha1"
)

// destination is how series name the destination of requests: by a label whose value has the
// names in some form.
type destination struct {
	names   labelNames
	pattern []part
	// plain is set when the value is nothing but the name.
	plain bool
}

// part of a pattern: plain text, a placeholder, or one or more characters other than those
// in except.
type part struct {
	text   string
	holder placeholder
	except string
}

type placeholder int

const (
	noPlaceholder placeholder = iota
	namespacePlaceholder
	namePlaceholder
	anything
)

// placeholders are those of Destination.Value.
var placeholders = regexp.MustCompile(`\$\((namespace|service|replicaSet)\)|\*`)

// CountsByPod reports whether an indicator's series name the pods that served the requests.
func CountsByPod(i v1alpha1.Indicator) bool { return i.By == "" || i.By == v1alpha1.CountedByPod }

// destinationOf repeats the checks of the API server, because the text becomes a part of the
// query and separates tenants.
func destinationOf(i v1alpha1.Indicator) (destination, error) {
	d := i.Destination
	switch {
	case d == nil:
		return destination{}, errors.New("by Service and Workload need destination: the label that names the destination")
	case i.PromQL != nil:
		return destination{}, errors.New("promQL counts by pod: for by Service and Workload write requests or latency")
	case !namesDestination(d.Label) || d.NamespaceLabel != "" && !namesDestination(d.NamespaceLabel) || d.Label == d.NamespaceLabel:
		return destination{}, fmt.Errorf("%s and %s cannot be the labels of a destination and its namespace", quote(d.Label), quote(d.NamespaceLabel))
	case (d.NamespaceLabel != "") == strings.Contains(d.Value, "$(namespace)"):
		return destination{}, errors.New("the series must name the namespace once, so that no other namespace's are read: set namespaceLabel, or write $(namespace) in value")
	case strings.Count(d.Value, nameIn(i)) != 1 || strings.Count(d.Value, "$(namespace)") > 1:
		return destination{}, fmt.Errorf("destination.value %s needs %s once, and $(namespace) at most once", quote(d.Value), nameIn(i))
	}
	out := destination{names: labelNames{namespace: d.NamespaceLabel, pod: d.Label, noNamespace: d.NamespaceLabel == ""}, plain: d.Value == nameIn(i)}
	rest := d.Value
	for _, at := range placeholders.FindAllStringIndex(d.Value, -1) {
		from := len(d.Value) - len(rest)
		if at[0] > from {
			out.pattern = append(out.pattern, part{text: d.Value[from:at[0]]})
		} else if len(out.pattern) > 0 {
			return destination{}, errors.New("the names in destination.value, and *, need a separator between them, such as - or /")
		}
		out.pattern, rest = append(out.pattern, holderAt(d.Value, at[0], at[1])), d.Value[at[1]:]
	}
	if rest != "" {
		out.pattern = append(out.pattern, part{text: rest})
	}
	return out, nil
}

func nameIn(i v1alpha1.Indicator) string {
	if i.By == v1alpha1.CountedByWorkload {
		return "$(replicaSet)"
	}
	return "$(service)"
}

func holderAt(value string, from, to int) part {
	switch value[from:to] {
	case "$(namespace)":
		return part{holder: namespacePlaceholder}
	case "*":
		return part{holder: anything, except: value[max(0, from-1):from] + value[to:min(to+1, len(value))]}
	default:
		return part{holder: namePlaceholder}
	}
}

// namesDestination reports whether a label can name a destination: those that Belay reads
// for something else, and those that select a tenant of the source, cannot.
func namesDestination(label string) bool {
	return otelLabelName.MatchString(label) && !selectsTenant(label) && label != "instance" && label != "le" && label != "k"
}

// value is a regular expression, which PromQL anchors, of the label's values for any of the
// namespaces with any of the names. names are regular expressions.
func (d destination) value(namespaces, names []string) string {
	var b strings.Builder
	for _, p := range d.pattern {
		switch p.holder {
		case namespacePlaceholder:
			b.WriteString("(" + strings.Join(quotedMeta(namespaces), "|") + ")")
		case namePlaceholder:
			b.WriteString("(" + strings.Join(names, "|") + ")")
		case anything:
			b.WriteString("[^" + regexp.QuoteMeta(p.except) + "]+")
		default:
			b.WriteString(regexp.QuoteMeta(p.text))
		}
	}
	return b.String()
}

// matches reports whether a label's value is one for exactly this namespace and name. What
// varies ends where the next part begins, because it has none of its neighbours' characters.
func (d destination) matches(value, namespace, name string) bool {
	if d.plain {
		return value == name
	}
	for _, p := range d.pattern {
		var ok bool
		switch p.holder {
		case namespacePlaceholder:
			value, ok = strings.CutPrefix(value, namespace)
		case namePlaceholder:
			value, ok = strings.CutPrefix(value, name)
		case anything:
			n := strings.IndexAny(value, p.except)
			if n < 0 {
				n = len(value)
			}
			value, ok = value[n:], n > 0
		default:
			value, ok = strings.CutPrefix(value, p.text)
		}
		if !ok {
			return false
		}
	}
	return value == ""
}

// matchers restrict a selector to the destinations.
func (d destination) matchers(namespaces, names []string) []string {
	out := []string{quotedName(d.names.pod) + "=~" + strconv.Quote(d.value(namespaces, names))}
	if d.names.noNamespace {
		return out
	}
	return append([]string{namespaceMatcher(d.names, namespaces)}, out...)
}

func namespaceMatcher(names labelNames, namespaces []string) string {
	if len(namespaces) == 1 {
		return quotedName(names.namespaceName()) + "=" + strconv.Quote(namespaces[0])
	}
	return quotedName(names.namespaceName()) + "=~" + strconv.Quote(strings.Join(quotedMeta(namespaces), "|"))
}

func quotedMeta(all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = regexp.QuoteMeta(s)
	}
	return out
}

// Owned tells which counters of a response to an indicator's query are a run's own. It is
// made once for each response.
type Owned struct {
	indicator v1alpha1.Indicator
	of        destination
}

// OwnedBy returns the rule for an indicator.
func OwnedBy(i v1alpha1.Indicator) Owned {
	o := Owned{indicator: i}
	if !CountsByPod(i) {
		// Without a valid destination no query was sent, and nothing matches.
		o.of, _ = destinationOf(i)
	}
	return o
}

// NamespaceOf is the namespace that the run's counters have in a response: none when the text
// of a destination has it.
func (o Owned) NamespaceOf(p Pods) string {
	if o.of.names.noNamespace {
		return ""
	}
	return p.Namespace
}

// By returns a counter as one of the run's, with the name of a version in place of the text of
// a destination. ok is false when it is not the run's.
func (o Owned) By(p Pods, c Counter) (own Counter, ok bool) {
	if CountsByPod(o.indicator) {
		return c, p.has(c.Pod)
	}
	if len(o.of.pattern) == 0 || !o.of.names.noNamespace && c.Namespace != p.Namespace {
		return c, false
	}
	for _, name := range p.Versions(o.indicator) {
		if o.of.matches(c.Pod, p.Namespace, name) {
			if !o.of.plain {
				// A version may have several values, such as one for each of its ports.
				c.Instance += " " + c.Pod
			}
			c.Namespace, c.Pod = p.Namespace, name
			return c, true
		}
	}
	return c, false
}

// Reading returns the client that reads the responses to an indicator's queries: their series
// may name destinations in place of pods, and it names the metrics in messages.
func (c *Client) Reading(i v1alpha1.Indicator) *Client {
	reading := c.naming(metricsOf(i))
	if CountsByPod(i) {
		return reading
	}
	if d, err := destinationOf(i); err == nil {
		reading.labels, reading.destinations = d.names, true
	}
	return reading
}

// sum adds up what belongs to a version: what the values of a destination's label have, or the
// pods of a StatefulSet. An expression may have dropped the namespace.
func (s Sights) sum(probe Probe, p Pods) analysis.Sight {
	sum := emptySight(probe.Scopes)
	for key, found := range s {
		_, own := probe.owned.By(p, Counter{Namespace: key.namespace, Pod: key.name})
		if !own || key.namespace != "" && key.namespace != p.Namespace {
			continue
		}
		sum.Counts, sum.Unusable = sum.Add(found.Counts), sum.Unusable+found.Unusable
		for i, scope := range found.Scopes {
			sum.Scopes[i].Series += scope.Series
			for j, n := range scope.With {
				sum.Scopes[i].With[j] += n
			}
		}
	}
	return sum
}

// isDestination reports whether text of a source can be the value of a label that names a
// destination. It does not get into the judge's state.
func isDestination(text []byte) bool {
	return len(text) > 0 && len(text) <= 253 && utf8.Valid(text)
}
