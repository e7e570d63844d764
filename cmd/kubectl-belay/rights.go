package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// right is a verb on one object in a Rollout's namespace.
type right struct{ verb, group, resource, name string }

// needs is a command that acts, and the rights that it takes: docs/cli.md#rights has the same
// table.
type needs struct {
	command string
	rights  []right
	// inRun are those that it takes beside them while a run is in progress that shares requests
	// by routes.
	inRun []right
}

// now are the rights that the command takes while the Rollout is as it is.
func (n needs) now(r *v1alpha1.Rollout) []right {
	if r.Status.Phase.InRun() && !r.Spec.ReplicaWeighted() {
		return slices.Concat(n.rights, n.inRun)
	}
	return n.rights
}

// lacks are those that the person does not have. What was not asked is not among them: while a
// screen is shown, the Rollout may be made again for another workload.
func (n needs) lacks(r *v1alpha1.Rollout, allowed map[right]bool) []right {
	return slices.DeleteFunc(slices.Clone(n.now(r)), func(one right) bool {
		may, asked := allowed[one]
		return may || !asked
	})
}

// barred is the command for somebody who lacks a right of it: who is asked to give it in their
// place needs all of its rights.
func (n needs) barred(r *v1alpha1.Rollout) view.Barred {
	return view.Barred{Command: n.command, Roles: rolesWithAll(n.now(r))}
}

// needsOf are the commands that act on a Rollout. Who is asked for one has read the Rollout. That
// rollback lists ReplicaSets or ControllerRevisions for a version that no run has any more is not
// among its rights: most versions need none.
func needsOf(r *v1alpha1.Rollout) []needs {
	own := func(verb string) right { return right{verb, v1alpha1.GroupVersion.Group, "rollouts", r.Name} }
	resource := strings.ToLower(view.KindOf(r)) + "s"
	held := []right{{"get", "apps", resource, r.Spec.WorkloadRef.Name}, {"patch", "apps", resource, r.Spec.WorkloadRef.Name}}
	var out []needs
	for _, command := range []string{"abort", "pause", "resume", "promote", "skip", "approve", "retry"} {
		out = append(out, needs{command: command, rights: []right{own("patch"), own(command)}})
	}
	return append(out,
		needs{command: "override-freeze", rights: []right{own("patch"), own("overridefreeze")}},
		needs{command: "rollback", rights: append(slices.Clone(held), right{"list", v1alpha1.GroupVersion.Group, "rolloutruns", ""})},
		needs{command: "bypass", rights: append([]right{own("bypass")}, held...), inRun: []right{{"list", "", "services", ""}, {"patch", "", "services", ""}}})
}

// unknownRight is why the API server could not tell whether a person may do something.
type unknownRight string

func (why unknownRight) Error() string { return "your rights are not known: " + string(why) }

// may asks the API server whether the person may do something. A no beside an error is none: an
// authorizer that fails has no opinion.
func (s *session) may(ctx context.Context, verb, group, resource, namespace, name string) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Name: name},
	}}
	if err := s.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask for your rights: %w", err)
	}
	if s := review.Status; !s.Allowed && !s.Denied && s.EvaluationError != "" {
		return false, unknownRight(s.EvaluationError)
	}
	return review.Status.Allowed, nil
}

// allowed is which rights of the commands that act on a Rollout the person has, also those that
// only a run takes: one may begin while a screen is shown. It asks for all at the same time.
func (s *session) allowed(ctx context.Context, r *v1alpha1.Rollout) (map[right]bool, error) {
	out := map[right]bool{}
	for _, c := range needsOf(r) {
		for _, one := range slices.Concat(c.rights, c.inRun) {
			out[one] = false
		}
	}
	all := slices.Collect(maps.Keys(out))
	allowed, failed := make([]bool, len(all)), make([]error, len(all))
	var asking sync.WaitGroup
	for i, one := range all {
		asking.Go(func() {
			allowed[i], failed[i] = s.may(ctx, one.verb, one.group, one.resource, r.Namespace, one.name)
		})
	}
	asking.Wait()
	for i, one := range all {
		out[one] = allowed[i]
	}
	return out, errors.Join(failed...)
}

// askedFor is how long a screen waits for what the person may do, from when its reads begin:
// without an answer by then it offers everything.
const askedFor = time.Second

// question is what a person may do with a Rollout, asked once while a screen reads the rest.
type question struct {
	answered chan struct{}
	over     <-chan struct{}
	// allowed is nil without an answer.
	allowed map[right]bool
}

func (s *session) ask(ctx context.Context, r *v1alpha1.Rollout, within time.Duration) *question {
	ctx, cancel := context.WithTimeout(ctx, within)
	q := &question{answered: make(chan struct{}), over: ctx.Done()}
	go func() {
		defer cancel()
		defer close(q.answered)
		if allowed, err := s.allowed(ctx, r); err == nil {
			q.allowed = allowed
		}
	}()
	return q
}

// part parts the commands that a screen offers into those that the person may give, and the
// others. Without an answer all are offered.
func (q *question) part(r *v1alpha1.Rollout, actions []string) (may []string, barred []view.Barred) {
	select {
	case <-q.answered:
	case <-q.over:
		select {
		case <-q.answered:
		default:
			return actions, nil
		}
	}
	if q.allowed == nil {
		return actions, nil
	}
	table := needsOf(r)
	for _, action := range actions {
		command, _, _ := strings.Cut(action, " ")
		of := slices.IndexFunc(table, func(n needs) bool { return n.command == command })
		if of >= 0 && len(table[of].lacks(r, q.allowed)) > 0 {
			barred = append(barred, table[of].barred(r))
		} else {
			may = append(may, action)
		}
	}
	return may, barred
}

// rolesWithAll are the roles for people that have each of some rights.
func rolesWithAll(rights []right) []string {
	var names []string
	for i, one := range rights {
		with := rolesWith(one.verb, one.group, one.resource)
		if i == 0 {
			names = with
			continue
		}
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(with, name) })
	}
	return names
}
