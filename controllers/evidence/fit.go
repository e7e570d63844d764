package evidence

import (
	"encoding/json"
	"strings"

	"belay.dev/belay/api/v1alpha1"
)

// MaxStatusBytes is how large a Rollout's status may be, as JSON. It is written often
// and every watcher keeps it; long evidence belongs in the run's record.
const MaxStatusBytes = 64 << 10

// keptHistory is how many of the newest entries stay: the API server refuses a status
// that removes the newest one, and this write may add another.
const keptHistory = 2

// keptMessage is how many bytes of a condition's message stay when the status is too
// large.
const keptMessage = 256

// Fit makes a status smaller until its JSON has at most limit bytes, and reports
// whether it does. It removes first what is stored elsewhere too: messages of verdicts
// that pass, then of the others (they are in the run), the oldest history entries
// (they are in the runs), the text of the last decision (it is in the run's chain),
// messages of rejections, the images of rejected revisions from the oldest on (they are in
// the runs; such a template alone stays rejected), the images of stable and the candidate
// (then no tag is seen to move), the verdicts, and the end of long condition messages.
// History entries are removed as a whole, because the API server lets none change.
// What else decisions depend on stays: phase, stable, candidate,
// run, epoch, step, rollback, promotion, rejected revisions, handled commands and the two newest
// history entries. A limit of 0 leaves the smallest status.
func Fit(status *v1alpha1.RolloutStatus, limit int) bool {
	if fits(status, limit) {
		return true
	}
	// Others may use parts of it, above all the cache.
	*status = *status.DeepCopy()
	for _, drop := range []func(*v1alpha1.RolloutStatus){dropPassMessages, dropVerdictMessages} {
		drop(status)
		if fits(status, limit) {
			return true
		}
	}
	for len(status.History) > keptHistory {
		status.History = status.History[:len(status.History)-1]
		if fits(status, limit) {
			return true
		}
	}
	drops := []func(*v1alpha1.RolloutStatus){dropDecisionText, dropRejectionMessages}
	for i := len(status.Rejected) - 1; i >= 0; i-- {
		drops = append(drops, func(s *v1alpha1.RolloutStatus) { s.Rejected[i].Images = nil })
	}
	for _, drop := range append(drops, dropImages, dropVerdicts, cutConditions) {
		drop(status)
		if fits(status, limit) {
			return true
		}
	}
	return false
}

func fits(status *v1alpha1.RolloutStatus, limit int) bool {
	encoded, err := json.Marshal(status)
	return err == nil && len(encoded) <= limit
}

func dropPassMessages(s *v1alpha1.RolloutStatus) {
	for i := range s.Verdicts {
		if s.Verdicts[i].Outcome == v1alpha1.VerdictPass {
			s.Verdicts[i].Message = ""
		}
	}
}

func dropVerdictMessages(s *v1alpha1.RolloutStatus) {
	for i := range s.Verdicts {
		s.Verdicts[i].Message = ""
	}
}

// dropDecisionText leaves the rule, the key and the number, which are compared with the
// next decision.
func dropDecisionText(s *v1alpha1.RolloutStatus) {
	if s.Decision != nil {
		s.Decision.Why = ""
	}
}

func dropRejectionMessages(s *v1alpha1.RolloutStatus) {
	for i := range s.Rejected {
		s.Rejected[i].Message = ""
	}
}

func dropImages(s *v1alpha1.RolloutStatus) {
	for _, r := range []*v1alpha1.Revision{s.Stable, s.Candidate} {
		if r != nil {
			r.Images = nil
		}
	}
}

func dropVerdicts(s *v1alpha1.RolloutStatus) { s.Verdicts = nil }

func cutConditions(s *v1alpha1.RolloutStatus) {
	for i := range s.Conditions {
		if m := s.Conditions[i].Message; len(m) > keptMessage {
			s.Conditions[i].Message = strings.ToValidUTF8(m[:keptMessage], "")
		}
	}
}
