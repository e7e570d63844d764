package analysis

import (
	"math"
	"strings"
	"testing"
)

func TestSlowCounts(t *testing.T) {
	inf := math.Inf(1)
	cases := map[string]struct {
		buckets   []Bucket
		threshold float64
		want      Counts
		wantError string
	}{
		"in order":             {[]Bucket{{.1, 50}, {.3, 90}, {1, 99}, {inf, 100}}, .3, Counts{100, 10}, ""},
		"in any order":         {[]Bucket{{inf, 100}, {1, 99}, {.3, 90}, {.1, 50}}, .3, Counts{100, 10}, ""},
		"a computed threshold": {[]Bucket{{.3, 90}, {inf, 100}}, .1 + .2, Counts{100, 10}, ""},
		"nothing observed":     {[]Bucket{{.3, 0}, {inf, 0}}, .3, Counts{}, ""},
		"between bounds":       {[]Bucket{{.25, 90}, {.5, 95}, {inf, 100}}, .3, Counts{}, "no bucket ends at 0.3"},
		"threshold infinite":   {[]Bucket{{.3, 90}, {inf, 100}}, inf, Counts{}, "no bucket ends at +Inf"},
		"threshold no number":  {[]Bucket{{.3, 90}, {inf, 100}}, math.NaN(), Counts{}, "no bucket ends at NaN"},
		"no last bucket":       {[]Bucket{{.3, 90}}, .3, Counts{}, "no +Inf bucket"},
		"no bucket":            {nil, .3, Counts{}, "no +Inf bucket"},
		"a bound twice":        {[]Bucket{{.3, 90}, {.3, 91}, {inf, 100}}, .3, Counts{}, "two buckets end at 0.3"},
		"falling counts":       {[]Bucket{{.3, 90}, {1, 80}, {inf, 100}}, .3, Counts{}, "counts rise with bounds"},
		"a count of NaN":       {[]Bucket{{.3, math.NaN()}, {inf, 100}}, .3, Counts{}, "counts NaN"},
		"a bound of NaN":       {[]Bucket{{math.NaN(), 1}, {inf, 100}}, .3, Counts{}, "up to NaN"},
		"an infinite count":    {[]Bucket{{.3, 1}, {inf, inf}}, .3, Counts{}, "counts +Inf"},
	}
	for name, c := range cases {
		got, err := SlowCounts(c.buckets, c.threshold)
		if got != c.want || (err == nil) != (c.wantError == "") || err != nil && !strings.Contains(err.Error(), c.wantError) {
			t.Errorf("%s: %v, %v; want %v and error %q", name, got, err, c.want, c.wantError)
		}
	}
}
