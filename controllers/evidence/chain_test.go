package evidence

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

var at = metav1.NewTime(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))

func record(rule string) v1alpha1.DecisionRecord {
	step := int32(1)
	return v1alpha1.DecisionRecord{
		At: at, Rule: rule, Why: "5 % errors <&> “quoted”", Phase: v1alpha1.PhaseStepping, Step: &step,
		Weight: &v1alpha1.WeightChange{From: 10, To: 50}, Effect: "set the canary's weight to 50 %", Actor: "ann",
		Verdicts: []v1alpha1.VerdictReference{{Trigger: "shop/errors", Outcome: v1alpha1.VerdictPass, Reason: "Healthy", SamplesSHA256: "sha256:00"}},
	}
}

const run = "shop-9fd21c3b07-1"

// appended is a chain with one more decision, written to the run at once.
func appended(chain []v1alpha1.DecisionRecord, r v1alpha1.DecisionRecord, number int32, last bool) ([]v1alpha1.DecisionRecord, error) {
	end, err := Extend(EndOf(run, chain, nil), run, chain, Entry{Record: r, Number: number, Last: last})
	if err != nil {
		return nil, err
	}
	return With(chain, run, end.Pending), nil
}

func chain(t *testing.T, rules ...string) []v1alpha1.DecisionRecord {
	t.Helper()
	var out []v1alpha1.DecisionRecord
	for _, rule := range rules {
		var err error
		if out, err = appended(out, record(rule), int32(len(out)+1), false); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestVerifyAcceptsWhatExtendMade(t *testing.T) {
	for n := range 5 {
		made := chain(t, []string{"a", "b", "c", "d"}[:n]...)
		if err := Verify(made, Head(made)); err != nil {
			t.Errorf("%d records: %v", n, err)
		}
	}
}

// TestVerifyFindsTampering changes every field of a record in the middle, and
// the chain itself in every way.
func TestVerifyFindsTampering(t *testing.T) {
	other := int32(2)
	edit := func(change func(*v1alpha1.DecisionRecord)) func([]v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord {
		return func(c []v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord { change(&c[1]); return c }
	}
	tests := map[string]struct {
		tamper func([]v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord
		want   string
	}{
		"seq":           {edit(func(r *v1alpha1.DecisionRecord) { r.Seq = 3 }), "record 2 has number 3"},
		"prev":          {edit(func(r *v1alpha1.DecisionRecord) { r.Prev = "sha256:00" }), "does not have the hash of the record before it"},
		"at":            {edit(func(r *v1alpha1.DecisionRecord) { r.At = metav1.NewTime(at.Add(time.Second)) }), "was changed"},
		"rule":          {edit(func(r *v1alpha1.DecisionRecord) { r.Rule = "z" }), "was changed"},
		"why":           {edit(func(r *v1alpha1.DecisionRecord) { r.Why = "" }), "was changed"},
		"phase":         {edit(func(r *v1alpha1.DecisionRecord) { r.Phase = v1alpha1.PhaseBaking }), "was changed"},
		"step":          {edit(func(r *v1alpha1.DecisionRecord) { r.Step = &other }), "was changed"},
		"no step":       {edit(func(r *v1alpha1.DecisionRecord) { r.Step = nil }), "was changed"},
		"weight":        {edit(func(r *v1alpha1.DecisionRecord) { r.Weight = &v1alpha1.WeightChange{From: 10, To: 49} }), "was changed"},
		"effect":        {edit(func(r *v1alpha1.DecisionRecord) { r.Effect += " " }), "was changed"},
		"actor":         {edit(func(r *v1alpha1.DecisionRecord) { r.Actor = "bob" }), "was changed"},
		"verdict":       {edit(func(r *v1alpha1.DecisionRecord) { r.Verdicts = record("b").Verdicts }), "was changed"},
		"missing":       {edit(func(r *v1alpha1.DecisionRecord) { r.Missing++ }), "was changed"},
		"more verdicts": {edit(func(r *v1alpha1.DecisionRecord) { r.MoreVerdicts++ }), "was changed"},
		"same verdicts": {edit(func(r *v1alpha1.DecisionRecord) { r.SameVerdicts = !r.SameVerdicts }), "was changed"},
		"samples": {func(c []v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord {
			c[0].Verdicts[0].SamplesSHA256 = "sha256:01"
			return c
		}, "record 1 was changed"},
		"hash":           {edit(func(r *v1alpha1.DecisionRecord) { r.Hash = "sha256:00" }), "was changed"},
		"first deleted":  {func(c []v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord { return c[1:] }, "a record is missing"},
		"middle deleted": {func(c []v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord { return slices.Delete(c, 1, 2) }, "a record is missing"},
		"tail cut":       {func(c []v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord { return c[:2] }, "records at its end were removed or added"},
		"all deleted":    {func([]v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord { return nil }, "records at its end were removed or added"},
		"two swapped":    {func(c []v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord { c[1], c[2] = c[2], c[1]; return c }, "out of order"},
		"one twice":      {func(c []v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord { return slices.Insert(c, 1, c[1]) }, "repeated"},
		"one more": {func(c []v1alpha1.DecisionRecord) []v1alpha1.DecisionRecord {
			c, _ = appended(c, record("z"), 4, false)
			return c
		}, "removed or added"},
		"rehashed middle": {edit(func(r *v1alpha1.DecisionRecord) { r.Why = "forged"; r.Hash, _ = Hash(*r) }), "does not have the hash of the record before it"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			whole := chain(t, "a", "b", "c")
			head := Head(whole)
			err := Verify(tc.tamper(whole), head)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if err := Verify(chain(t, "a"), nil); err == nil {
		t.Error("a chain without a head was accepted")
	}
}

// TestAFullChainKeepsRoomForItsEnd: however many decisions, the one that ends the
// run is recorded.
func TestAFullChainKeepsRoomForItsEnd(t *testing.T) {
	var full []v1alpha1.DecisionRecord
	for n := range int32(MaxDecisions + 10) {
		full, _ = appended(full, record("a"), n+1, false)
	}
	if len(full) != MaxDecisions-1 {
		t.Fatalf("%d records before the end, want %d", len(full), MaxDecisions-1)
	}
	ended, err := appended(full, record("end"), MaxDecisions+11, true)
	if err != nil || len(ended) != MaxDecisions || ended[MaxDecisions-1].Rule != "end" {
		t.Fatalf("%d records, %v", len(ended), err)
	}
	if err := Verify(ended, Head(ended)); err != nil {
		t.Error(err)
	}
	if missing := ended[MaxDecisions-1].Missing; missing != 11 || Count(ended) != MaxDecisions+11 {
		t.Errorf("%d missing of %d, want 11 of %d", missing, Count(ended), MaxDecisions+11)
	}
	if more, _ := appended(ended, record("more"), MaxDecisions+12, true); len(more) != MaxDecisions {
		t.Errorf("a chain of %d records", len(more))
	}
}

// TestHashesAreStable: what was written by one version must verify in the next.
func TestHashesAreStable(t *testing.T) {
	got, err := HashOf(map[string]any{"b": 1, "a": []string{"<&>", "ü"}, "c": nil})
	if err != nil {
		t.Fatal(err)
	}
	again, _ := HashOf(struct {
		C *int     `json:"c"`
		A []string `json:"a"`
		B float64  `json:"b"`
	}{nil, []string{"<&>", "ü"}, 1})
	if got != again {
		t.Error("the order of fields changes the hash")
	}
	first := chain(t, "a")[0].Hash
	if !strings.HasPrefix(first, "sha256:") || len(first) != 71 {
		t.Errorf("hash %q", first)
	}
}

func TestExpired(t *testing.T) {
	run := func(name, revision string, outcome v1alpha1.Outcome, day int) v1alpha1.RolloutRun {
		r := v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Name: name}}
		r.Spec.Revision, r.Spec.StartedAt, r.Status.Outcome = revision, metav1.NewTime(at.AddDate(0, 0, day)), outcome
		return r
	}
	runs := []v1alpha1.RolloutRun{
		run("old-rejection", "bad", v1alpha1.OutcomeRolledBack, 1), run("older-rejection", "bad", v1alpha1.OutcomeRolledBack, 0),
		run("forgotten", "gone", v1alpha1.OutcomeRolledBack, 2), run("promoted", "good", v1alpha1.OutcomePromoted, 3),
		run("going-on", "new", "", -1), run("newest", "good", v1alpha1.OutcomePromoted, 9),
	}
	var names []string
	for _, r := range Expired(runs, 1, map[string]bool{"bad": true}) {
		names = append(names, r.Name)
	}
	// A run in progress and the newest rejection still remembered stay.
	if want := []string{"older-rejection", "forgotten", "promoted"}; !slices.Equal(names, want) {
		t.Errorf("expired %v, want %v", names, want)
	}
	if got := Expired(runs, 10, nil); len(got) != 0 {
		t.Errorf("%d expired within the limit", len(got))
	}
}

// TestAbandoned: what no Rollout keeps goes by age and by number; what has not
// ended stays.
func TestAbandoned(t *testing.T) {
	const day = 24 * time.Hour
	run := func(name string, ended time.Duration) v1alpha1.RolloutRun {
		r := v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Name: name}}
		r.Spec.StartedAt, r.Status.Outcome = metav1.NewTime(at.Add(-100*day)), v1alpha1.OutcomePromoted
		r.Status.FinishedAt = &metav1.Time{Time: at.Add(-ended)}
		return r
	}
	going, silent := run("going", day), run("does not say when", 0)
	going.Status.Outcome, going.Status.FinishedAt, silent.Status.FinishedAt = "", nil, nil
	runs := []v1alpha1.RolloutRun{run("b", 20*day), run("a", 30*day), going, run("c", 10*day), run("d", day), silent}
	for name, tc := range map[string]struct {
		limit int
		want  []string
		next  time.Duration
	}{
		"by age":    {10, []string{"does not say when", "a"}, 10 * day},
		"by number": {2, []string{"does not say when", "a", "b"}, 20 * day},
		"all":       {0, []string{"does not say when", "a", "b", "c", "d"}, 0},
	} {
		expired, next := Abandoned(runs, at.Time, 30*day, tc.limit)
		var names []string
		for _, r := range expired {
			names = append(names, r.Name)
		}
		if !slices.Equal(names, tc.want) || next != tc.next {
			t.Errorf("%s: expired %v, next in %s; want %v, %s", name, names, next, tc.want, tc.next)
		}
	}
	if runs[0].Name != "b" || runs[5].Name != "does not say when" {
		t.Error("the caller's list was changed")
	}
}

func BenchmarkExtend(b *testing.B) {
	for _, n := range []int{10, 250} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var c []v1alpha1.DecisionRecord
			for range n {
				c, _ = appended(c, record("a"), int32(len(c)+1), false)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := appended(c, record("b"), int32(len(c)+1), false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
