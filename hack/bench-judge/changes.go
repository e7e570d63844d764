package main

import "fmt"

// changeNulls are errors of both versions around a change of weight that leaves stable few of
// its requests: what was seen in one version alone must not stand for the rest of the run.
func changeNulls() []row {
	var out []row
	for _, share := range []float64{0.95, 0.9} {
		for _, k := range []struct{ lasts, ratio float64 }{{10, 1}, {10, 0.5}, {30, 0.5}} {
			s := good()
			s.alone, s.raised = changeAt, share
			s.both = []ramp{during(changeAt-k.lasts, changeAt, k.ratio), during(changeAt, forever, 0.005)}
			r := null(fmt.Sprintf("change-%g-%gs-%gpct", 100*share, k.lasts, 100*k.ratio),
				fmt.Sprintf("both versions have %g %% for %g s until the weight becomes %g %%, and 0.5 %% after", 100*k.ratio, k.lasts, 100*share), s, rarely)
			r.loads = changeLoads
			out = append(out, r)
		}
	}
	over := incident(10, 1)
	over.alone, over.raised, over.around = changeAt, 0.95, 12
	over.both = []ramp{during(changeAt, forever, 0.005)}
	spans := null("change-95-around", "both versions fail for 10 s, beginning at most 12 s before or after the weight becomes 95 %, and have 0.5 % from then on", over, rarely)
	spans.loads = changeLoads
	out = append(out, spans)
	first := incident(30, 0.5)
	first.around = 1
	r := null("change-first", "both versions have 50 % for 30 s, beginning within 1 s of the first weight", first, rarely)
	r.loads = []load{{100, 0.99}, {1000, 0.99}, {100, 0.9}, {1000, 0.9}}
	out = append(out, r)
	later := incident(30, 0.5)
	later.alone, later.raised = changeAt, 0.98
	later.both = []ramp{during(changeAt, forever, 0.005)}
	l := null("change-98-later", "both versions have 50 % for 30 s at any time after the weight becomes 98 %, and 0.5 % from then on", later, rarely)
	l.loads = changeLoads
	return append(append(out, l), changeTwiceNulls()...)
}

// changeTwiceNulls are the same around two such changes that follow each other so soon that the
// scrapes of before both are not in yet at the second.
func changeTwiceNulls() []row {
	var out []row
	for _, k := range []struct {
		name, says           string
		lasts, ratio, around float64
		least, most          float64
		until                bool
	}{
		{"around-10s", "both versions fail for 10 s, beginning at most 12 s before the weight becomes 90 % or after it becomes 98 %, 15 to 30 s later", 10, 1, 12, 15, 30, false},
		{"around-30s", "both versions have 50 % for 30 s, beginning at most 12 s before the weight becomes 90 % or after it becomes 98 %, 15 to 30 s later", 30, 0.5, 12, 15, 30, false},
		{"until-15s", "both versions fail for 10 s until the weight becomes 98 %, 15 s after 90 %", 10, 1, 0, 15, 15, true},
		{"until-30s", "both versions have 50 % for 30 s until the weight becomes 98 %, 30 s after 90 %", 30, 0.5, 0, 30, 30, true},
	} {
		s := incident(k.lasts, k.ratio)
		s.alone, s.raised, s.raisedAgain = changeAt, 0.9, 0.98
		s.leastApart, s.mostApart, s.around, s.until = k.least, k.most, k.around, k.until
		s.both = []ramp{during(changeAt, forever, 0.005)}
		r := null("change-twice-"+k.name, k.says+", and 0.5 % from the first change on", s, rarely)
		r.loads = changeLoads
		out = append(out, r)
	}
	return out
}

// changeAt is when the weight changes.
const changeAt = 300

var changeLoads = []load{{100, 0.5}, {1000, 0.5}, {100, 0.05}, {1000, 0.05}}
