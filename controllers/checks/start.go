package checks

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// hindrance is why an attempt cannot start.
type hindrance struct {
	message string
	// full is when there is no place for its request. That is not the check's own fault, and
	// has no limit but the step's.
	full bool
}

func hindered(format string, args ...any) *hindrance {
	return &hindrance{message: fmt.Sprintf(format, args...)}
}

// A start that failed is tried again after as long as it has been tried for, within these
// bounds.
const (
	shortestRetry = 5 * time.Second
	longestRetry  = time.Minute
)

// start starts an attempt, or records why it cannot start. It has an outcome when that was
// tried for StartWithin.
//
// A Job is created first and recorded then: after a crash in between, creating it again
// finds it. A request is recorded first and sent then, because an endpoint may not keep
// keys.
func (r *Reconciler) start(ctx context.Context, a attempt) *outcome {
	c := a.status
	if !a.acknowledged {
		return nil
	}
	// One that is later than any retry was recorded before a clock was set back.
	if at := c.RetryAt; at != nil && at.After(a.now) && at.Sub(a.now) <= longestRetry {
		a.lookAt(at.Time)
		return nil
	}
	timeout := a.check.TimeoutOrDefault()
	var h *hindrance
	if a.check.Job != nil {
		h = r.createJob(ctx, a)
	} else {
		h = r.send(ctx, a, timeout)
	}
	if h != nil {
		return a.wait(h)
	}
	c.StartedAt, c.RetryAt, c.Reason, c.Message = metav1.NewTime(a.now), nil, "", ""
	if a.check.Job != nil {
		c.Job = jobName(c.Trigger, a.key)
		a.lookAt(a.now.Add(min(timeout, startGrace)))
		return nil
	}
	c.Endpoint = a.check.Webhook.Endpoint
	a.lookAt(a.now.Add(timeout + time.Second))
	return nil
}

// wait records why an attempt has not started, and when that is tried again.
func (a attempt) wait(h *hindrance) *outcome {
	c := a.status
	c.Reason, c.Message = v1alpha1.ReasonCheckNotStarted, v1alpha1.Bounded(h.message, maxMessage)
	if h.full {
		c.RetryAt = nil
		a.lookAt(a.now.Add(whenFull))
		return nil
	}
	if c.RetryAt == nil || v1alpha1.IsFuture(c.StartedAt.Time, a.now) {
		c.StartedAt = metav1.NewTime(a.now)
	}
	end := c.StartedAt.Add(a.check.StartWithin())
	if !a.now.Before(end) {
		return inconclusive(v1alpha1.ReasonCheckNotStarted, h.message)
	}
	next := a.now.Add(min(max(a.now.Sub(c.StartedAt.Time), shortestRetry), longestRetry))
	if next.After(end) {
		next = end
	}
	c.RetryAt = &metav1.Time{Time: next}
	a.lookAt(next)
	return nil
}
