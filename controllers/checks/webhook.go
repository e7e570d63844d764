package checks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
)

// maxBody is how many bytes a response may have.
const maxBody = 64 << 10

// keyHeader has the attempt's key: an endpoint that has seen it responds with the same
// outcome and does nothing again.
const keyHeader = "Idempotency-Key"

// question is the body of a request.
type question struct {
	Rollout   string `json:"rollout"`
	Namespace string `json:"namespace"`
	Run       string `json:"run"`
	Guardrail string `json:"guardrail"`
	Trigger   string `json:"trigger"`
	// Step counts from 0; in the bake it is the number of steps.
	Step           int32    `json:"step"`
	Weight         int32    `json:"weight"`
	Revision       string   `json:"revision"`
	Images         []string `json:"images"`
	Service        string   `json:"service,omitempty"`
	Attempt        int32    `json:"attempt"`
	IdempotencyKey string   `json:"idempotencyKey"`
}

// answer is the body of a response.
type answer struct {
	Outcome v1alpha1.VerdictOutcome `json:"outcome"`
	Message string                  `json:"message"`
}

// continueCall takes the outcome of an attempt's request; nil while it has none. A request
// that an earlier process sent is sent again with the same key.
func (r *Reconciler) continueCall(a attempt) *outcome {
	end, known := r.calls.outcomeOf(a.key)
	if end != nil {
		a.after = append(a.after, func(context.Context) error {
			r.calls.forget(a.key)
			return nil
		})
		return end
	}
	if !known {
		if !a.now.Before(a.deadline()) {
			return a.timedOut()
		}
		if !r.calls.hasRoom() {
			a.lookAt(a.now.Add(whenFull))
			return nil
		}
		a.after = append(a.after, func(ctx context.Context) error { return r.call(ctx, a) })
	}
	// The request itself ends at the deadline.
	a.lookAt(a.now.Add(max(0, a.deadline().Sub(a.now)) + time.Second))
	return nil
}

// call sends an attempt's request in the background. Whether the namespace may use the
// endpoint is asked each time, because a guardrail can change during a run.
func (r *Reconciler) call(ctx context.Context, a attempt) error {
	body, err := json.Marshal(questionOf(a))
	if err != nil {
		return fmt.Errorf("encode the request to CheckEndpoint %q: %w", a.status.Endpoint, err)
	}
	endpoint, denied, err := guardrails.PermittedEndpoint(ctx, r.Client, a.run.Namespace, a.status.Endpoint)
	if err != nil {
		return err
	}
	within := max(time.Millisecond, a.deadline().Sub(a.now))
	r.calls.begin(ctx, a.key, a.run, within, func(ctx context.Context) *outcome {
		if denied != "" {
			return inconclusive(v1alpha1.ReasonCheckNotStarted, denied)
		}
		end := r.ask(ctx, endpoint, a, body)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && end.verdict == v1alpha1.VerdictInconclusive {
			return a.timedOut()
		}
		return end
	})
	return nil
}

func (a attempt) timedOut() *outcome {
	return inconclusive(v1alpha1.ReasonCheckTimedOut, fmt.Sprintf("CheckEndpoint %q has not responded within %s", a.status.Endpoint, a.check.TimeoutOrDefault()))
}

func questionOf(a attempt) question {
	q := question{
		Rollout: a.run.Spec.Rollout.Name, Namespace: a.run.Namespace, Run: a.run.Name, Guardrail: a.status.Guardrail, Trigger: a.status.Trigger,
		Step: a.status.Step, Weight: a.weight(), Revision: a.run.Spec.Revision, Images: []string{}, Service: a.service(),
		Attempt: a.status.Attempt, IdempotencyKey: a.key,
	}
	if template, err := a.run.Spec.PodTemplate(); err == nil {
		for _, c := range template.Spec.Containers {
			q.Images = append(q.Images, c.Image)
		}
	}
	return q
}

// ask sends one request. It follows no redirect: that would be another address than the
// platform team's.
func (r *Reconciler) ask(ctx context.Context, endpoint *v1alpha1.CheckEndpoint, a attempt, body []byte) *outcome {
	noAnswer := func(format string, args ...any) *outcome {
		return inconclusive(v1alpha1.ReasonCheckNoAnswer, fmt.Sprintf("CheckEndpoint %q ", endpoint.Name)+fmt.Sprintf(format, args...))
	}
	transport, err := prometheus.Transport(endpoint.Spec, func(ref v1alpha1.SecretKeyRef) (string, error) { return r.secret(ctx, ref) })
	if err != nil {
		return inconclusive(v1alpha1.ReasonCheckNotStarted, fmt.Sprintf("CheckEndpoint %q cannot be used: %s", endpoint.Name, quoted(err.Error())))
	}
	target, err := url.JoinPath(endpoint.Spec.Address, a.check.Webhook.Path)
	if err != nil {
		return inconclusive(v1alpha1.ReasonCheckNotStarted, fmt.Sprintf("CheckEndpoint %q cannot be used: %s", endpoint.Name, quoted(err.Error())))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return inconclusive(v1alpha1.ReasonCheckNotStarted, fmt.Sprintf("CheckEndpoint %q cannot be used: %s", endpoint.Name, quoted(err.Error())))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set(keyHeader, a.key)
	// Checks are rare, and each has a transport of its own, with the Secrets of now.
	request.Close = true
	sender := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := sender.Do(request)
	if err != nil {
		return noAnswer("could not be reached: %s", quoted(reachable(err)))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return noAnswer("responded with status %d, not 200", response.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return noAnswer("responded with a body that broke off: %s", quoted(err.Error()))
	}
	if len(raw) > maxBody {
		return noAnswer("responded with more than %d bytes", maxBody)
	}
	var said answer
	if err := json.Unmarshal(raw, &said); err != nil {
		return noAnswer("responded with a body that is not the JSON of an outcome: %s", quoted(err.Error()))
	}
	return said.outcome(endpoint.Name, noAnswer)
}

func (s answer) outcome(endpoint string, noAnswer func(string, ...any) *outcome) *outcome {
	end := &outcome{verdict: s.Outcome, message: fmt.Sprintf("CheckEndpoint %q says %s", endpoint, s.Outcome)}
	switch s.Outcome {
	case v1alpha1.VerdictPass:
		end.reason = v1alpha1.ReasonCheckPassed
	case v1alpha1.VerdictFail:
		end.reason = v1alpha1.ReasonCheckFailed
	case v1alpha1.VerdictInconclusive:
		end.reason = v1alpha1.ReasonCheckInconclusive
	default:
		return noAnswer("responded with outcome %s, which is not Pass, Fail or Inconclusive", quoted(string(s.Outcome)))
	}
	if s.Message != "" {
		end.message += ": " + quoted(s.Message)
	}
	return end
}

// reachable is an error without the method and URL that net/http puts in front of it.
func reachable(err error) string {
	if of := (&url.Error{}); errors.As(err, &of) {
		return of.Err.Error()
	}
	return err.Error()
}

func (r *Reconciler) secret(ctx context.Context, ref v1alpha1.SecretKeyRef) (string, error) {
	secret := &corev1.Secret{}
	if err := r.Live.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: ref.Name}, secret); err != nil {
		return "", err
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		return "", errors.New("the Secret has no such key")
	}
	return string(value), nil
}
