package analysis

import (
	"math"
	"strings"
	"testing"
)

func TestJudgeInvariant(t *testing.T) {
	cases := map[string]struct {
		pods        []PodCounter
		ready       int
		wantReason  Reason
		wantMessage string
	}{
		"held on every pod":                   {[]PodCounter{pod("a", 1, 10, 0), pod("b", 1, 5, 0)}, 2, Healthy, "15 checks on 2 pods"},
		"violated once":                       {[]PodCounter{pod("a", 1, 10, 0), pod("b", 1, 5, 1)}, 2, InvariantViolated, "1 times in 15 checks"},
		"violated where no check was counted": {[]PodCounter{pod("a", 1, 0, 1)}, 1, InvariantViolated, "1 times in 0 checks"},
		"violated on a pod that is not ready": {[]PodCounter{pod("a", 1, 10, 2)}, 0, InvariantViolated, "2 times"},
		"one pod did not check":               {[]PodCounter{pod("a", 1, 10, 0), pod("b", 1, 0, 0)}, 2, InvariantNotExercised, "1 of the candidate's 2"},
		"one pod is missing":                  {[]PodCounter{pod("a", 1, 10, 0)}, 2, InvariantNotExercised, "1 of the candidate's 2"},
		"checks that are no number":           {[]PodCounter{pod("a", 1, 10, 0), pod("b", 1, math.NaN(), 0)}, 2, InvariantNotExercised, "1 of the candidate's 2"},
		"violated, and checks are no number":  {[]PodCounter{pod("a", 1, 10, 0), pod("b", 1, math.NaN(), 2)}, 2, InvariantViolated, "2 times in 10 checks"},
		"violations that are no number":       {[]PodCounter{pod("a", 1, 10, 0), pod("b", 1, 5, math.Inf(1))}, 2, InvariantNotExercised, "1 of the candidate's 2"},
		"violations that were decreased":      {[]PodCounter{pod("a", 1, 10, 0), {Pod: "b", Counts: Counts{5, 1 << 63}, Unusable: "why"}}, 2, InvariantNotExercised, "1 of the candidate's 2"},
		"no pod answered":                     {nil, 1, InvariantNotExercised, "0 of the candidate's 1"},
		"nothing is ready":                    {nil, 0, InvariantNotExercised, "0 ready"},
		"checked, but nothing is ready":       {[]PodCounter{pod("a", 1, 10, 0)}, 0, InvariantNotExercised, "0 ready"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			poll := canary(5, c.pods...)
			poll.Stable = []PodCounter{pod("s", 1, 100, 100)}
			v := JudgeInvariant(poll, c.ready)
			if v.Reason != c.wantReason || !strings.Contains(v.Message, c.wantMessage) {
				t.Errorf("JudgeInvariant() = %s %q, want %s saying %q", v.Reason, v.Message, c.wantReason, c.wantMessage)
			}
		})
	}
}
