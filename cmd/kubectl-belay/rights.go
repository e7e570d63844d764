package main

import (
	"context"
	"errors"
	"fmt"
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

// needs is a command that acts, and the rights that it takes.
type needs struct {
	command string
	rights  []right
}

func needsOf(r *v1alpha1.Rollout) []needs {
	own := func(verb string) right { return right{verb, v1alpha1.GroupVersion.Group, "rollouts", r.Name} }
	deployment := func(verb string) right { return right{verb, "apps", "deployments", r.Spec.WorkloadRef.Name} }
	var out []needs
	for _, command := range []string{"abort", "pause", "resume", "promote", "skip", "approve", "retry"} {
		out = append(out, needs{command, []right{own("patch"), own(command)}})
	}
	return append(out, needs{"rollback", []right{deployment("get"), deployment("patch")}},
		needs{"bypass", []right{own("bypass"), deployment("get"), deployment("patch")}})
}

// may asks the API server whether the person may do something.
func (s *session) may(ctx context.Context, verb, group, resource, namespace, name string) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Name: name},
	}}
	if err := s.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask for your rights: %w", err)
	}
	return review.Status.Allowed, nil
}

// lacks are the rights that the person does not have, of each command that acts on a Rollout.
// It asks for all of them at the same time.
func (s *session) lacks(ctx context.Context, r *v1alpha1.Rollout) (map[string][]right, error) {
	var all []right
	for _, c := range needsOf(r) {
		for _, one := range c.rights {
			if !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	allowed, failed := make([]bool, len(all)), make([]error, len(all))
	var asking sync.WaitGroup
	for i, one := range all {
		asking.Go(func() {
			allowed[i], failed[i] = s.may(ctx, one.verb, one.group, one.resource, r.Namespace, one.name)
		})
	}
	asking.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	out := map[string][]right{}
	for _, c := range needsOf(r) {
		for _, one := range c.rights {
			if !allowed[slices.Index(all, one)] {
				out[c.command] = append(out[c.command], one)
			}
		}
	}
	return out, nil
}

// askedFor is how long a screen waits for what the person may do, from when its reads begin:
// without an answer by then it offers everything.
const askedFor = time.Second

// question is what a person may do with a Rollout, asked once while a screen reads the rest.
type question struct {
	answered chan struct{}
	over     <-chan struct{}
	// lacks is nil without an answer.
	lacks map[string][]right
	// needs are all rights that the commands take: who is asked to give one has to have them all.
	needs []needs
}

func (s *session) ask(ctx context.Context, r *v1alpha1.Rollout, within time.Duration) *question {
	ctx, cancel := context.WithTimeout(ctx, within)
	q := &question{answered: make(chan struct{}), over: ctx.Done(), needs: needsOf(r)}
	go func() {
		defer cancel()
		defer close(q.answered)
		if lacks, err := s.lacks(ctx, r); err == nil {
			q.lacks = lacks
		}
	}()
	return q
}

// part parts the commands that a screen offers into those that the person may give, and the
// others.
func (q *question) part(actions []string) (may []string, barred []view.Barred) {
	select {
	case <-q.answered:
	case <-q.over:
		select {
		case <-q.answered:
		default:
			return actions, nil
		}
	}
	for _, action := range actions {
		command, _, _ := strings.Cut(action, " ")
		if len(q.lacks[command]) > 0 {
			of := slices.IndexFunc(q.needs, func(n needs) bool { return n.command == command })
			barred = append(barred, view.Barred{Command: command, Roles: rolesWithAll(q.needs[of].rights)})
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
