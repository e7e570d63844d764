package backtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"belay.dev/belay/analysis"
	"belay.dev/belay/analysis/prometheus"
)

// Report is how often a guardrail would have fired, when, and how soon.
type Report struct {
	// From and To are the first start and the last end of the releases, and Every is the
	// time between two polls, in seconds.
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Every float64   `json:"everySeconds"`
	// Queries that were sent.
	Queries int `json:"queries"`
	// Seeds of the splits of an A/A test.
	Seeds []uint64 `json:"seeds,omitempty"`
	// Releases are how many there are: windows times seeds. Fired are those in which a
	// trigger would have rolled back, and Unjudged those without a poll that has samples of
	// both arms: they say nothing.
	Releases int `json:"releases"`
	Fired    int `json:"fired"`
	Unjudged int `json:"unjudged"`
	// Triggers in the guardrail's order.
	Triggers []TriggerReport `json:"triggers"`
	// Fires by the release's start, seed and time. Omitted are how many are not listed.
	Fires   []Fire `json:"fires,omitempty"`
	Omitted int    `json:"omitted,omitempty"`
	// UnusablePolls are those with a pod whose series cannot be used, and Fault says what is
	// wrong with the first: a run has no verdict then.
	UnusablePolls int    `json:"unusablePolls,omitempty"`
	Fault         string `json:"fault,omitempty"`
	// IncompletePolls are those with a pod whose sample cannot be used, such as NaN, and LeftOut
	// is the first of these. A run leaves out that pod, as one that was not scraped.
	IncompletePolls int    `json:"incompletePolls,omitempty"`
	LeftOut         string `json:"leftOut,omitempty"`
	// Assumptions are what the past data does not tell.
	Assumptions []string `json:"assumptions"`
}

// TriggerReport is how often one trigger would have fired, and how soon.
type TriggerReport struct {
	Name string `json:"name"`
	// Fired are the releases in which it did.
	Fired int `json:"fired"`
	// After are seconds from the start of the release; absent when it never fired.
	After *Spread `json:"afterSeconds,omitempty"`
	// FromOnset are seconds from the onset of the known fault, or from the start of a release
	// that began after it. BeforeOnset are those in which it fired earlier.
	FromOnset   *Spread `json:"fromOnsetSeconds,omitempty"`
	BeforeOnset int     `json:"beforeOnset,omitempty"`
}

// Spread of several times, in seconds.
type Spread struct {
	Least  float64 `json:"least"`
	Median float64 `json:"median"`
	Most   float64 `json:"most"`
}

// Fire is one trigger that fires in one release.
type Fire struct {
	Start   time.Time `json:"start"`
	Seed    *uint64   `json:"seed,omitempty"`
	Trigger string    `json:"trigger"`
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	// Message of the verdict, at most 512 bytes.
	Message string `json:"message"`
}

// book keeps what becomes of the releases.
type book struct {
	spec     *Spec
	triggers []string
	// after and onset are seconds, by trigger.
	after, onset map[string][]float64
	early        map[string]int
	fires        []Fire
	omitted      int
	polls        int
	fault        string
	lacking      int
	leftOut      string
	// fired and judged releases.
	fired, judged map[releaseKey]bool
}

type releaseKey struct {
	window int
	seed   uint64
}

func (r *release) key() releaseKey { return releaseKey{r.window, r.split.seed} }

func newBook(spec *Spec, measures []measure) *book {
	b := &book{spec: spec, after: map[string][]float64{}, onset: map[string][]float64{}, early: map[string]int{}, fired: map[releaseKey]bool{}, judged: map[releaseKey]bool{}}
	for _, trigger := range spec.Guardrail.Triggers {
		if slices.ContainsFunc(measures, func(m measure) bool {
			return trigger.SLO != "" && m.name == "slo/"+trigger.SLO || trigger.Invariant != "" && m.name == "invariant/"+trigger.Invariant
		}) {
			b.triggers = append(b.triggers, trigger.Name)
		}
	}
	return b
}

// longestMessage is that of a verdict in a run's status.
const longestMessage = 512

func (b *book) fire(r *release, trigger string, v analysis.Verdict, at time.Time) {
	b.fired[r.key()] = true
	b.after[trigger] = append(b.after[trigger], at.Sub(r.Start).Seconds())
	if onset := b.spec.Onset; !onset.IsZero() {
		if at.Before(onset) {
			b.early[trigger]++
		} else {
			b.onset[trigger] = append(b.onset[trigger], at.Sub(later(r.Start, onset)).Seconds())
		}
	}
	if len(b.fires) == b.spec.Limits.Fires {
		b.omitted++
		return
	}
	f := Fire{Start: r.Start, Trigger: trigger, At: at, Reason: string(v.Reason), Message: strings.ToValidUTF8(v.Message[:min(len(v.Message), longestMessage)], "")}
	if len(b.spec.Arms.Seeds) > 0 {
		f.Seed = &r.split.seed
	}
	b.fires = append(b.fires, f)
}

func (b *book) unusable(fault *prometheus.QueryError) {
	if b.polls++; b.fault == "" {
		b.fault = fault.Error()
	}
}

// incomplete notes the samples of a poll that cannot be used.
func (b *book) incomplete(counters []prometheus.Counter) {
	i := slices.IndexFunc(counters, func(c prometheus.Counter) bool { return c.Unusable != "" })
	if i < 0 {
		return
	}
	if b.lacking++; b.leftOut == "" {
		b.leftOut = counters[i].Unusable
	}
}

func (b *book) ended(r *release) {
	if r.judged {
		b.judged[r.key()] = true
	}
}

func (b *book) report(queries int) Report {
	s := b.spec
	releases := len(s.Windows) * max(1, len(s.Arms.Seeds))
	out := Report{
		From: s.Windows[0].Start, Every: s.every().Seconds(), Queries: queries, Seeds: s.Arms.Seeds,
		Releases: releases, Fired: len(b.fired), Unjudged: releases - len(b.judged), Omitted: b.omitted,
		UnusablePolls: b.polls, Fault: b.fault, IncompletePolls: b.lacking, LeftOut: b.leftOut, Assumptions: assumptions(s),
	}
	for _, w := range s.Windows {
		out.To = later(out.To, w.end())
	}
	for _, name := range b.triggers {
		out.Triggers = append(out.Triggers, TriggerReport{
			Name: name, Fired: len(b.after[name]), After: spreadOf(b.after[name]), FromOnset: spreadOf(b.onset[name]), BeforeOnset: b.early[name],
		})
	}
	out.Fires = slices.SortedStableFunc(slices.Values(b.fires), func(a, c Fire) int {
		return cmp.Or(a.Start.Compare(c.Start), cmp.Compare(seedOf(a), seedOf(c)), a.At.Compare(c.At))
	})
	return out
}

func seedOf(f Fire) uint64 {
	if f.Seed == nil {
		return 0
	}
	return *f.Seed
}

func spreadOf(seconds []float64) *Spread {
	if len(seconds) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(seconds))
	return &Spread{sorted[0], sorted[(len(sorted)-1)/2], sorted[len(sorted)-1]}
}

// assumptions are what is not known of the past.
func assumptions(s *Spec) []string {
	var out []string
	if s.Ready == nil {
		out = append(out, "readiness is not in the data: a pod counts, and is young, from its first sample in the release")
	}
	out = append(out,
		"it is not checked whether the guardrail's selectors can match",
		"triggers of pods, saturation and check are left out",
	)
	if len(s.Arms.Split) > 0 {
		out = append(out, "both arms are pods that ran already: the cold start of a new version is not among what is compared")
	}
	if len(s.Arms.Seeds) > 1 || overlap(s.Windows) {
		out = append(out, "releases of the same time share their requests: they are not independent of each other")
	}
	return out
}

func overlap(windows []Window) bool {
	for i, w := range windows[1:] {
		if w.Start.Before(windows[i].end()) {
			return true
		}
	}
	return false
}

// Text is the report for a person, with at most lines fires.
func (r Report) Text(lines int) string {
	var out strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&out, format+"\n", args...) }
	say("%d of %d releases would have been rolled back, %s to %s, judged every %.4gs.", r.Fired, r.Releases, stamp(r.From), stamp(r.To), r.Every)
	if len(r.Seeds) > 0 {
		say("In each, one version is split in two (seeds %s): it is compared with itself.", seeds(r.Seeds))
	}
	if r.Unjudged > 0 {
		say("%d of them have no samples of both versions: they say nothing.", r.Unjudged)
	}
	if r.UnusablePolls > 0 {
		say("%d polls could not be used: %s.", r.UnusablePolls, r.Fault)
	}
	if r.IncompletePolls > 0 {
		say("%d polls lack pods, whose samples cannot be used: %s.", r.IncompletePolls, r.LeftOut)
	}
	say("\n  %-32s %8s  %-26s %s", "TRIGGER", "FIRED", "AFTER (least/median/most)", "FROM ONSET")
	for _, t := range r.Triggers {
		onset := t.FromOnset.text()
		if t.BeforeOnset > 0 {
			onset += fmt.Sprintf(" (%d before it)", t.BeforeOnset)
		}
		say("  %-32s %8s  %-26s %s", t.Name, fmt.Sprintf("%d/%d", t.Fired, r.Releases), t.After.text(), onset)
	}
	for i, f := range r.Fires[:min(lines, len(r.Fires))] {
		if i == 0 {
			say("")
		}
		seed := ""
		if f.Seed != nil {
			seed = fmt.Sprintf("  seed %d", *f.Seed)
		}
		say("  %s  +%.0fs%s  %s %s\n    %s", stamp(f.Start), f.At.Sub(f.Start).Seconds(), seed, f.Trigger, f.Reason, f.Message)
	}
	if left := len(r.Fires) - min(lines, len(r.Fires)) + r.Omitted; left > 0 {
		say("  and %d more", left)
	}
	say("\n%s.", strings.Join(r.Assumptions, ";\n"))
	return out.String()
}

func (s *Spread) text() string {
	if s == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f/%.0f/%.0fs", s.Least, s.Median, s.Most)
}

// maxSeeds is how many seeds a text names.
const maxSeeds = 8

func seeds(all []uint64) string {
	said := strings.Trim(fmt.Sprint(all[:min(len(all), maxSeeds)]), "[]")
	if len(all) > maxSeeds {
		said += fmt.Sprintf(" and %d more", len(all)-maxSeeds)
	}
	return said
}
