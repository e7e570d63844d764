package view

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// Release is a version with the guardrails and the settings that it was judged by.
type Release struct {
	// Tag and Revision are of the version; Side is "stable" or "canary".
	Tag, Revision, Side string
	// Run is the one whose guardrails and settings it had; nil when that is not known.
	Run      *v1alpha1.RolloutRun
	template []byte
}

// CandidateOf is the version that a run tried.
func CandidateOf(run *v1alpha1.RolloutRun) Release {
	return Release{Tag: tag(run.Spec.Image, run.Spec.Revision), Revision: Text(run.Spec.Revision, 10), Side: "canary", Run: run, template: run.Spec.Template.Raw}
}

// StableOf is the version that a run compared with. by is the run that promoted it; nil when
// that is gone.
func StableOf(run, by *v1alpha1.RolloutRun) Release {
	s := &run.Spec.Stable
	return Release{Tag: Tag(&s.Revision), Revision: Text(s.Revision.Revision, 10), Side: "stable", Run: by, template: s.Template.Raw}
}

// PromotedBy finds the newest run that promoted the stable version of a run; nil when none
// did. The runs are newest first.
func PromotedBy(run *v1alpha1.RolloutRun, runs []v1alpha1.RolloutRun) *v1alpha1.RolloutRun {
	i := slices.IndexFunc(runs, func(r v1alpha1.RolloutRun) bool {
		return r.Spec.Revision == run.Spec.Stable.Revision.Revision && r.Status.Outcome == v1alpha1.OutcomePromoted && r.Spec.StartedAt.Before(&run.Spec.StartedAt)
	})
	if i < 0 {
		return nil
	}
	return &runs[i]
}

// Sections of a comparison.
const (
	SectionTemplate   = "template"
	SectionGuardrails = "guardrails"
	SectionSettings   = "settings"
)

// Comparison is what differs between two releases, in the order of the fields.
type Comparison struct {
	Differences []Difference `json:"differences"`
	// NotCompared are sections of which one side is not known any more.
	NotCompared []string `json:"notCompared,omitempty"`
}

// In are the differences of a section.
func (c Comparison) In(section string) (out []Difference) {
	for _, d := range c.Differences {
		if d.Path[0].Key == section {
			out = append(out, d)
		}
	}
	return out
}

// Difference is one value that was changed, added or removed.
type Difference struct {
	Path []Segment `json:"path"`
	// Was and Is are nil where there was, or is, none: HadIt and HasIt tell.
	Was   any  `json:"was,omitempty"`
	Is    any  `json:"is,omitempty"`
	HadIt bool `json:"hadIt"`
	HasIt bool `json:"hasIt"`
}

// Segment is one part of a path: a key, or an item of a list that a field identifies, such as
// a container by its name.
type Segment struct {
	Key string `json:"key"`
	// By is the field whose value Key is; empty for the key of a map.
	By string `json:"by,omitempty"`
}

// Compare says what differs from a release to the next. Templates are compared as the
// Deployment controller does: another notation of the same value is no difference.
func Compare(from, to Release) (Comparison, error) {
	c := Comparison{Differences: []Difference{}}
	known := from.Run != nil && to.Run != nil
	if !known {
		c.NotCompared = []string{SectionGuardrails, SectionSettings}
	}
	a, err := from.sections(known)
	if err != nil {
		return c, err
	}
	b, err := to.sections(known)
	if err != nil {
		return c, err
	}
	compareMaps(nil, a, b, &c.Differences)
	return c, nil
}

// sections are what is compared of a release as plain values: its template, and, when judged is
// set, what it was judged by.
func (r Release) sections(judged bool) (map[string]any, error) {
	out := map[string]any{}
	if judged {
		var err error
		if out, err = judgedBy(r.Run); err != nil {
			return nil, err
		}
	}
	template, err := normalised(r.template)
	if err != nil {
		return nil, fmt.Errorf("read the template of %s: %w", r.Tag, err)
	}
	out[SectionTemplate] = template
	return out, nil
}

func normalised(template []byte) (map[string]any, error) {
	decoded, err := workload.DecodeTemplate(template)
	if err != nil {
		return nil, err
	}
	canonical, err := workload.CanonicalTemplate(decoded)
	if err != nil {
		return nil, err
	}
	return workload.DecodeTemplate(canonical)
}

// judgedBy are a run's guardrails and settings as plain values.
func judgedBy(run *v1alpha1.RolloutRun) (map[string]any, error) {
	guardrails := map[string]any{}
	for _, g := range run.Spec.Guardrails {
		guardrails[g.Kind+" "+g.Name] = g.Spec
	}
	raw, err := json.Marshal(map[string]any{SectionGuardrails: guardrails, SectionSettings: map[string]any{"steps": run.Spec.Steps, "traffic": run.Spec.Traffic}})
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(raw, &out)
}

func compareMaps(path []Segment, a, b map[string]any, out *[]Difference) {
	either := maps.Clone(a)
	maps.Copy(either, b)
	for _, key := range slices.Sorted(maps.Keys(either)) {
		was, hadIt := a[key]
		is, hasIt := b[key]
		compareValues(append(slices.Clip(path), Segment{Key: key}), Difference{Was: was, Is: is, HadIt: hadIt, HasIt: hasIt}, out)
	}
}

func compareValues(path []Segment, d Difference, out *[]Difference) {
	if d.HadIt && d.HasIt {
		if equality.Semantic.DeepEqual(d.Was, d.Is) {
			return
		}
		was, wasMap := d.Was.(map[string]any)
		is, isMap := d.Is.(map[string]any)
		if wasMap && isMap {
			compareMaps(path, was, is, out)
			return
		}
		before, wasList := d.Was.([]any)
		after, isList := d.Is.([]any)
		if by := identity(before, after); wasList && isList && by != "" {
			compareLists(path, by, before, after, out)
			return
		}
	}
	d.Path = path
	*out = append(*out, d)
}

// identities are fields that identify an item of a list, in the order in which they are tried.
var identities = []string{"name", "mountPath", "containerPort", "key", "topologyKey", "conditionType", "ip"}

// identity is the field that tells the items of two lists apart; empty when none does.
func identity(a, b []any) string {
	for _, field := range identities {
		if tellsApart(a, field) && tellsApart(b, field) {
			return field
		}
	}
	return ""
}

func tellsApart(list []any, field string) bool {
	seen := map[string]bool{}
	for _, item := range list {
		fields, _ := item.(map[string]any)
		value, ok := fields[field]
		key := fmt.Sprint(value)
		if !ok || seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

func compareLists(path []Segment, by string, a, b []any, out *[]Difference) {
	before, keys := keyed(a, by)
	after, more := keyed(b, by)
	for _, key := range more {
		if _, hadIt := before[key]; !hadIt {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		was, hadIt := before[key]
		is, hasIt := after[key]
		compareValues(append(slices.Clip(path), Segment{key, by}), Difference{Was: was, Is: is, HadIt: hadIt, HasIt: hasIt}, out)
	}
}

// keyed are the items of a list by the field that identifies them, and the keys in order.
func keyed(list []any, by string) (items map[string]any, keys []string) {
	items = map[string]any{}
	for _, item := range list {
		key := fmt.Sprint(item.(map[string]any)[by])
		items[key], keys = item, append(keys, key)
	}
	return items, keys
}

// Bounds of a summary.
const (
	summarised     = 3
	longestValue   = 32
	longestSubject = 60
)

// Summary names the first differences of templates in a few words each, such as
// image 1.4 → 1.5; env CACHE_TTL "60" → "5". It is empty when there are none.
func Summary(differences []Difference) string {
	var said []string
	for _, d := range differences[:min(len(differences), summarised)] {
		said = append(said, summary(d))
	}
	if more := len(differences) - len(said); more > 0 {
		said = append(said, fmt.Sprintf("%d more", more))
	}
	return strings.Join(said, "; ")
}

func summary(d Difference) string {
	last := d.Path[len(d.Path)-1].Key
	was, wasText := d.Was.(string)
	is, isText := d.Is.(string)
	if last == "image" && wasText && isText {
		before, after := Tag(&v1alpha1.Revision{Image: was, Revision: was}), Tag(&v1alpha1.Revision{Image: is, Revision: is})
		if before != after && strings.TrimSuffix(was, before) == strings.TrimSuffix(is, after) {
			return "image " + before + " → " + after
		}
	}
	subject := subjectOf(d.Path)
	switch {
	case !d.HadIt:
		return subject + " added"
	case !d.HasIt:
		return subject + " removed"
	default:
		return subject + " " + shown(d.Was) + " → " + shown(d.Is)
	}
}

// subjectOf is the end of a path that people know it by: env CACHE_TTL, resources.limits.cpu.
func subjectOf(path []Segment) string {
	for i, s := range path {
		if s.Key == "env" && i+1 < len(path) {
			return Text("env "+path[i+1].Key, longestSubject)
		}
	}
	var names []string
	for i, s := range path[1:] {
		switch {
		case s.By != "":
			// What is inside of a container is known without its name.
			names = nil
			if i+2 == len(path) {
				names = []string{path[i].Key, s.Key}
			}
		case s.Key != "spec" && s.Key != "template":
			names = append(names, s.Key)
		}
	}
	return Text(strings.Join(names, "."), longestSubject)
}

func shown(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return Text(string(raw), longestValue)
}
