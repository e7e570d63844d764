package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/hack/load"
	"belay.dev/belay/hack/stage"
)

// shop releases one version after another, under load.
type shop struct {
	stage.Shop
	setting
	stage *stage.Stage
	load  *load.Generator
	count int
}

// setting of all releases.
type setting struct {
	rate, weight, replicas int
	warmUp                 string
}

// result of one release.
type result struct {
	outcome    v1alpha1.Outcome
	rolledBack bool
	// took is from the first bad response, by a slow version the first of all, to
	// the version's last.
	took    time.Duration
	message string
	moments []moment
}

// releaseLimit bounds one release. After each start of new pods a good version with a cold
// start waits until its errors are a minute old: at both steps, and in the bake.
const releaseLimit = 7 * time.Minute

func (s *shop) play(ctx context.Context, releases <-chan kind, done func(kind, result)) error {
	if err := s.Serve(ctx, s.stage.Addresses.Registry+"/shop:bench"); err != nil {
		return err
	}
	// A step long enough to be judged in, and a short way to the end for good ones.
	changes := []string{"weight: 10", fmt.Sprintf("weight: %d", s.weight), "hold: 15s", "hold: 30s", "bake: 10s", "bake: 5s"}
	if s.warmUp != "" {
		changes = append(changes, "minimumSamples: 50", "minimumSamples: 50\n  warmUp: "+s.warmUp)
	}
	if err := s.Scale(ctx, s.replicas); err != nil {
		return err
	}
	if err := s.Guard(ctx, changes...); err != nil {
		return err
	}
	s.load = &load.Generator{URL: s.stage.Addresses.Gateway, Host: s.Host(), Rate: s.rate}
	s.load.Start(ctx)
	defer s.load.Stop()
	for k := range releases {
		r, err := s.release(ctx, k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		done(k, r)
	}
	return s.Remove(ctx)
}

func (s *shop) release(ctx context.Context, k kind) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	s.count++
	version, start := fmt.Sprintf("r%d", s.count), time.Now()
	before, err := s.Await(ctx, "be at rest", resting)
	if err != nil {
		return result{}, err
	}
	if err := s.declare(ctx, version, k); err != nil {
		return result{}, err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	evidence := make(chan []moment, 1)
	go func() { evidence <- s.watchEvidence(following, "availability") }()
	after, err := s.Await(ctx, "end the run of "+version, func(r *v1alpha1.Rollout) bool {
		return resting(r) && len(r.Status.History) > 0 && (len(before.Status.History) == 0 || r.Status.History[0].Run != before.Status.History[0].Run)
	})
	if err != nil {
		return result{}, err
	}
	stop()
	entry, answers := after.Status.History[0], load.Count(s.load.Since(start)).By[version]
	out := result{outcome: entry.Outcome, rolledBack: entry.Outcome == v1alpha1.OutcomeRolledBack, message: entry.Message, moments: <-evidence}
	switch {
	case !answers.FirstBad.IsZero():
		out.took = answers.Last.Sub(answers.FirstBad)
	case k.bad:
		out.took = answers.Last.Sub(answers.First)
	}
	return out, nil
}

// resting is between two runs.
func resting(r *v1alpha1.Rollout) bool {
	return r.Status.Phase == v1alpha1.PhaseStable || r.Status.Phase == v1alpha1.PhaseRolledBack
}

// declare pushes a version: the same image, other faults.
func (s *shop) declare(ctx context.Context, version string, k kind) error {
	env := []corev1.EnvVar{{Name: "SHOP_VERSION", Value: version}}
	for name, value := range k.faults {
		env = append(env, corev1.EnvVar{Name: name, Value: value})
	}
	deployment, err := s.Deployment(ctx)
	if err != nil {
		return err
	}
	// A patch meets no conflict: Belay and the autoscaler write the Deployment too.
	before := client.MergeFrom(deployment.DeepCopy())
	deployment.Spec.Template.Spec.Containers[0].Env = env
	return s.stage.Client.Patch(ctx, deployment, before)
}
