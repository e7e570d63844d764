package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/analysis/backtest"
	"belay.dev/belay/api/v1alpha1"
)

// backtestFlags are what a backtest is told.
type backtestFlags struct {
	metrics                  metricsFlags
	file                     string
	format                   *resultFormat
	candidate, stable, split []string
	seeds, share, fires      int
	since, until, onset      string
	window, every            time.Duration
	steps                    []string
	kubeState                bool
}

func (a *app) backtest() *cobra.Command {
	var f backtestFlags
	cmd := &cobra.Command{
		Use:   "backtest GUARDRAIL",
		Short: "Judge past data by a guardrail: how often, when and how soon it would have fired",
		Long: "Judge past data of Prometheus by the slo and invariant triggers of a guardrail, with the queries and the statistics of a run: how often it would have rolled\n" +
			"back, when, and how soon. GUARDRAIL is one of the namespace, or in a file with -f, which needs no cluster.\n\n" +
			"Two questions can be asked. How many false alarms does it give: --split names ReplicaSets of one version, whose pods are parted by chance, so that the\n" +
			"version is compared with itself and each fire is false. Would it have found a known fault: --candidate and --stable name the ReplicaSets of two versions\n" +
			"that served at the same time, and --onset when the fault began. A pod belongs to the ReplicaSet that its name begins with.\n\n" +
			"The time from --since to --until is cut into releases of --window, which begin --every so often.\n\n" +
			"Exit code 0: it would not have fired. 1: it would have. 2: an error. 3: nothing could be judged.",
		Example: `  kubectl -n monitoring port-forward service/prometheus 9090 &
  kubectl belay backtest checkout --prometheus http://localhost:9090 --split checkout-7d9f6b5c4 --since 7d
  kubectl belay backtest checkout -f guardrail.yaml --prometheus http://localhost:9090 --since 3h \
    --candidate checkout-9fd2c1b0a --stable checkout-7d9f6b5c4 --step 5 --step 25@10m --onset 2026-11-20T14:05:00Z`,
		Args: cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "filename", "f", "", "file with the guardrail, in place of the cluster's")
	f.format = resultOf(cmd)
	flags.StringSliceVar(&f.candidate, "candidate", nil, "ReplicaSets of the version on trial")
	flags.StringSliceVar(&f.stable, "stable", nil, "ReplicaSets of the version that it is compared with")
	flags.StringSliceVar(&f.split, "split", nil, "ReplicaSets of one version, to compare it with itself")
	flags.IntVar(&f.seeds, "seeds", 5, "with --split: how many times the pods are parted, each time otherwise")
	flags.IntVar(&f.share, "share", 50, "with --split: percent of the pods that are taken as the candidate")
	flags.StringVar(&f.since, "since", "1d", "how long ago the past begins, such as 3h or 7d, or its time")
	flags.StringVar(&f.until, "until", "", "when it ends, as a time (default now)")
	flags.StringVar(&f.onset, "onset", "", "when a known fault began, as a time: the report says how long it took to find it")
	flags.DurationVar(&f.window, "window", 30*time.Minute, "how long a release lasts")
	flags.DurationVar(&f.every, "every", 0, "how often one begins (default as long as --window)")
	flags.StringSliceVar(&f.steps, "step", []string{"50"}, "with --candidate: WEIGHT, or WEIGHT@AFTER for a later step, in percent")
	flags.IntVar(&f.fires, "fires", 10, "how many fires are listed")
	flags.BoolVar(&f.kubeState, "kube-state-metrics", false, "it has kube_pod_status_ready: pods count from when they are ready, as in a run")
	f.metrics.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runBacktest(cmd.Context(), &f, first(args)) }
	return cmd
}

func (a *app) runBacktest(ctx context.Context, f *backtestFlags, name string) error {
	if name == "" && f.file == "" {
		return usage(errors.New("name a guardrail, or give a file with -f"))
	}
	spec, err := f.spec(a.now())
	if err != nil {
		return usage(err)
	}
	if err := f.metrics.check(); err != nil {
		return usage(err)
	}
	if err := a.guardrailFor(ctx, f.file, name, &spec); err != nil {
		return err
	}
	source, err := f.metrics.open(ctx, a.now)
	if err != nil {
		return err
	}
	spec.ScrapeInterval = f.metrics.interval
	told := &progressLine{to: a.streams.ErrOut, live: terminalOf(a.streams.ErrOut).live}
	report, err := backtest.Run(ctx, source, spec, told.say)
	told.end()
	if err != nil {
		return err
	}
	err = a.printResult(f.format, report, func() string { return report.Text(f.fires) })
	switch {
	case err != nil:
		return err
	case report.Unjudged == report.Releases:
		return exit{exitUnknown, "Nothing was judged: no release has samples of both versions. Look at the names of the ReplicaSets, --namespace, --pod-label and the time"}
	case report.Fired > 0:
		return exit{code: exitNo}
	default:
		return nil
	}
}

// guardrailFor reads the guardrail, and the namespace of the pods.
func (a *app) guardrailFor(ctx context.Context, file, name string, spec *backtest.Spec) error {
	namespace, explicit, err := a.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return configured(err)
	}
	spec.Namespace = namespace
	if file != "" {
		guardrail, own, err := guardrailIn(ctx, file, bare(name))
		if own != "" && !explicit {
			spec.Namespace = own
		}
		spec.Guardrail = guardrail
		return err
	}
	s, err := a.connect()
	if err != nil {
		return err
	}
	g := &v1alpha1.Guardrail{}
	err = s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: bare(name)}, g)
	if !apierrors.IsNotFound(err) {
		spec.Guardrail = g.Spec
		return err
	}
	cluster := &v1alpha1.ClusterGuardrail{}
	if err := s.Get(ctx, client.ObjectKey{Name: bare(name)}, cluster); err != nil {
		return fmt.Errorf("no Guardrail %q in namespace %s, and no ClusterGuardrail of that name can be read: %w", bare(name), s.namespace, err)
	}
	spec.Guardrail = cluster.Spec.GuardrailSpec
	return nil
}

// spec of what is judged, but for the guardrail and the source.
func (f *backtestFlags) spec(now time.Time) (backtest.Spec, error) {
	spec := backtest.Spec{Labels: f.metrics.labels, Arms: backtest.Arms{Candidate: f.candidate, Stable: f.stable, Split: f.split}}
	if err := f.arms(); err != nil {
		return spec, err
	}
	until, err := momentOf("--until", f.until, now, now)
	if err != nil {
		return spec, err
	}
	from, err := momentOf("--since", f.since, until, until)
	if err != nil {
		return spec, err
	}
	if spec.Onset, err = momentOf("--onset", f.onset, until, time.Time{}); err != nil {
		return spec, err
	}
	every := f.every
	if every == 0 {
		every = f.window
	}
	if spec.Windows, err = backtest.Sliding(from, until, f.window, every, backtest.DefaultLimits().Releases); err != nil {
		return spec, err
	}
	if len(spec.Windows) == 0 {
		return spec, fmt.Errorf("there are %s from --since to --until, less than one release of --window %s", until.Sub(from), f.window)
	}
	if f.kubeState {
		spec.Ready = &v1alpha1.Series{Metric: "kube_pod_status_ready", Matchers: []v1alpha1.Matcher{{Name: "condition", Op: "=", Value: "true"}}}
	}
	if len(f.split) > 0 {
		spec.Arms.Share = f.share
		for seed := range f.seeds {
			spec.Arms.Seeds = append(spec.Arms.Seeds, uint64(seed+1))
		}
		return spec, nil
	}
	spec.Stages, err = stagesOf(f.steps)
	return spec, err
}

// arms checks what is compared.
func (f *backtestFlags) arms() error {
	two := len(f.candidate) + len(f.stable)
	both := slices.IndexFunc(f.candidate, func(name string) bool { return slices.Contains(f.stable, name) })
	switch {
	case len(f.split) == 0 && (len(f.candidate) == 0 || len(f.stable) == 0):
		return errors.New("say what is compared: --split with the ReplicaSets of one version, or both --candidate and --stable")
	case len(f.split) > 0 && two > 0:
		return errors.New("--split compares one version with itself: leave out either it, or --candidate and --stable")
	case both >= 0:
		return fmt.Errorf("--candidate and --stable both name ReplicaSet %q: to compare a version with itself, give --split", f.candidate[both])
	case f.seeds < 1 || f.seeds > 1000:
		return fmt.Errorf("--seeds is %d, from 1 to 1000 are possible", f.seeds)
	case f.share < 1 || f.share > 99:
		return fmt.Errorf("--share is %d, from 1 to 99 percent of the pods are possible", f.share)
	default:
		return nil
	}
}

// momentOf reads a time, or how long before another one it was; empty is the standard.
func momentOf(flag, text string, before, standard time.Time) (time.Time, error) {
	if text == "" {
		return standard, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return before.Add(-time.Duration(n) * 24 * time.Hour), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return before.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%s is %q: write a time such as 2026-11-20T14:05:00Z, or how long ago it was, such as 3h or 7d", flag, text)
}

func stagesOf(steps []string) ([]backtest.Stage, error) {
	var out []backtest.Stage
	for _, step := range steps {
		weight, after, later := strings.Cut(step, "@")
		var stage backtest.Stage
		var err error
		if stage.Weight, err = strconv.Atoi(weight); err == nil && later {
			stage.After, err = time.ParseDuration(after)
		}
		if err != nil {
			return nil, fmt.Errorf("--step is %q: write WEIGHT or WEIGHT@AFTER, such as 5 and 25@10m", step)
		}
		if stage.Weight < 1 || stage.Weight > 100 {
			return nil, fmt.Errorf("--step is %q: a weight is from 1 to 100 percent", step)
		}
		if first := len(out) == 0; first && stage.After != 0 || !first && stage.After <= out[len(out)-1].After {
			return nil, fmt.Errorf("--step is %q: the first step begins at once, and each later one after the one before, such as 5 and 25@10m", step)
		}
		out = append(out, stage)
	}
	return out, nil
}

// progressLine tells how far a backtest is: on a terminal in one line, elsewhere with each
// tenth.
type progressLine struct {
	to    io.Writer
	live  bool
	tenth int
}

func (l *progressLine) say(p backtest.Progress) {
	said := fmt.Sprintf("Judged %d of %d times, %d queries.", p.Judged, max(p.Of, 1), p.Queries)
	switch tenth := 10 * p.Judged / max(p.Of, 1); {
	case l.live:
		fmt.Fprint(l.to, "\r"+said+eraseLine)
		l.tenth = 1
	case tenth > l.tenth:
		fmt.Fprintln(l.to, said)
		l.tenth = tenth
	}
}

func (l *progressLine) end() {
	if l.live && l.tenth > 0 {
		fmt.Fprint(l.to, "\r"+eraseLine)
	}
}
