package checks

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// attempt is one attempt of a check in a run.
type attempt struct {
	*round
	status *v1alpha1.CheckStatus
	check  *v1alpha1.CheckTrigger
	// key is the same whoever makes the attempt, and however often.
	key string
}

// keyOf is SHA-256, in hexadecimal, over what identifies an attempt. None of the parts can
// have a line break.
func keyOf(run *v1alpha1.RolloutRun, c *v1alpha1.CheckStatus) string {
	parts := []string{string(run.UID), c.Kind, c.Guardrail, c.Trigger, strconv.Itoa(int(c.Step)), strconv.Itoa(int(c.Attempt))}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:])
}

// deadline is when the attempt has taken its timeout. A start later than now was recorded
// before a clock was set back.
func (a attempt) deadline() time.Time {
	from := a.status.StartedAt.Time
	if v1alpha1.IsFuture(from, a.now) {
		from = a.now
	}
	return from.Add(a.check.TimeoutOrDefault())
}

// weight of the candidate in the attempt's step, in percent.
func (a attempt) weight() int32 {
	if steps := a.run.Spec.Steps; int(a.status.Step) < len(steps) {
		return steps[a.status.Step].Weight
	}
	return 100
}

// service is the generated Service that selects the candidate's pods; empty without a route.
func (a attempt) service() string {
	if a.run.Spec.Traffic == nil {
		return ""
	}
	_, canary := v1alpha1.PairNames(a.run.Spec.Rollout.Name)
	return canary
}

// outcome of an attempt.
type outcome struct {
	verdict v1alpha1.VerdictOutcome
	reason  string
	message string
}

func inconclusive(reason, message string) *outcome {
	return &outcome{v1alpha1.VerdictInconclusive, reason, message}
}

// maxMessage is the limit of CheckStatus.Message.
const maxMessage = 256

func (o *outcome) record(c *v1alpha1.CheckStatus, now time.Time) {
	at := metav1.NewTime(now)
	c.FinishedAt, c.RetryAt, c.Outcome, c.Reason, c.Message = &at, nil, o.verdict, o.reason, v1alpha1.Bounded(o.message, maxMessage)
}
