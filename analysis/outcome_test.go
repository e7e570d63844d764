package analysis

import "testing"

func TestWorstHasNoOrder(t *testing.T) {
	order := []Outcome{Pass, Inconclusive, Error, Fail}
	for i, a := range order {
		for j, b := range order {
			for k, c := range order {
				if got, want := Worst(a, b, c), order[max(i, j, k)]; got != want {
					t.Errorf("Worst(%s, %s, %s) = %s, want %s", a, b, c, got, want)
				}
			}
		}
	}
}

func TestWorstOfWhatIsNotKnownIsError(t *testing.T) {
	cases := map[string]struct {
		outcomes []Outcome
		want     Outcome
	}{
		"nothing":                {nil, Error},
		"the zero value":         {[]Outcome{""}, Error},
		"no outcome beside Pass": {[]Outcome{Pass, "Passed"}, Error},
		"no outcome beside Fail": {[]Outcome{"pass", Fail}, Fail},
	}
	for name, c := range cases {
		if got := Worst(c.outcomes...); got != c.want {
			t.Errorf("%s: Worst(%q) = %s, want %s", name, c.outcomes, got, c.want)
		}
	}
}

func TestEveryReasonHasOneOutcome(t *testing.T) {
	for reason, want := range outcomes {
		if _, known := precedence[want]; !known || reason.Outcome() != want {
			t.Errorf("%s: outcome %q, want the known outcome %q", reason, reason.Outcome(), want)
		}
	}
	for _, unknown := range []Reason{"", "healthy", "AllGood"} {
		if got := unknown.Outcome(); got != Error {
			t.Errorf("Reason(%q).Outcome() = %s, want Error", unknown, got)
		}
	}
}
