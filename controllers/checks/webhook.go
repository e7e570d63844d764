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

	"belay.dev/belay/analysis/prometheus"
	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/guardrails"
	"belay.dev/belay/controllers/secrets"
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
func (r *Reconciler) continueCall(ctx context.Context, a attempt) *outcome {
	end, known := r.calls.outcomeOf(a.key)
	if end != nil {
		a.after = append(a.after, func(context.Context) error {
			r.calls.forget(a.key)
			return nil
		})
		return end
	}
	left := a.deadline().Sub(a.now)
	if !known && left <= 0 {
		return a.timedOut()
	}
	if !known {
		if h := r.send(ctx, a, left); h != nil {
			a.status.Endpoint = ""
			return a.wait(h)
		}
	}
	// The request itself ends at the deadline.
	a.lookAt(a.now.Add(max(0, left) + time.Second))
	return nil
}

// send takes a place for an attempt's request and has it sent in the background once the
// attempt is recorded. Whether the namespace may use the endpoint is asked each time, because
// a guardrail can change during a run.
func (r *Reconciler) send(ctx context.Context, a attempt, within time.Duration) *hindrance {
	name := a.check.Webhook.Endpoint
	endpoint, denied, err := guardrails.PermittedEndpoint(ctx, r.Client, a.run.Namespace, name)
	switch {
	case err != nil:
		return hindered("CheckEndpoint %q cannot be read: %s", name, quoted(err.Error()))
	case denied != "":
		return hindered("%s", denied)
	}
	if waitsFor := r.calls.reserve(a.key, a.run, name); waitsFor != "" {
		return &hindrance{message: waitsFor, full: true}
	}
	sender, request, err := r.request(ctx, endpoint, a)
	if err != nil {
		r.calls.forget(a.key)
		return hindered("CheckEndpoint %q cannot be used: %s", name, quoted(err.Error()))
	}
	a.reserved = append(a.reserved, a.key)
	a.after = append(a.after, func(ctx context.Context) error {
		r.calls.begin(ctx, a.key, a.run, within, func(ctx context.Context) *outcome {
			end := ask(sender, request.WithContext(ctx), name)
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && end.verdict == v1alpha1.VerdictInconclusive {
				return a.timedOut()
			}
			return end
		})
		return nil
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

// request makes an attempt's request, and what sends it. It follows no redirect: that would
// be another address than the platform team's.
func (r *Reconciler) request(ctx context.Context, endpoint *v1alpha1.CheckEndpoint, a attempt) (*http.Client, *http.Request, error) {
	transport, err := prometheus.Transport(endpoint.Spec, func(ref v1alpha1.SecretKeyRef) (string, error) {
		return secrets.Value(ctx, r.Live, r.Namespace, ref)
	})
	if err != nil {
		return nil, nil, err
	}
	target, err := url.JoinPath(endpoint.Spec.Address, a.check.Webhook.Path)
	if err != nil {
		return nil, nil, err
	}
	body, err := json.Marshal(questionOf(a))
	if err != nil {
		return nil, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set(keyHeader, a.key)
	// Checks are rare, and each has a transport of its own, with the Secrets of now.
	request.Close = true
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, request, nil
}

// ask sends one request.
func ask(sender *http.Client, request *http.Request, endpoint string) *outcome {
	noAnswer := func(format string, args ...any) *outcome {
		return inconclusive(v1alpha1.ReasonCheckNoAnswer, fmt.Sprintf("CheckEndpoint %q ", endpoint)+fmt.Sprintf(format, args...))
	}
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
	return said.outcome(endpoint, noAnswer)
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
