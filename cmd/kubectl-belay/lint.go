package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"belay.dev/belay/controllers/lint"
	"belay.dev/belay/controllers/view"
)

// linting is what a person gives beside the files.
type linting struct {
	rate             float64
	buckets, metrics string
	strict           bool
}

func (a *app) lint() *cobra.Command {
	var given linting
	cmd := &cobra.Command{
		Use:   "lint FILE…|FOLDER|-",
		Short: "Check manifests without a cluster",
		Long: "Check Rollouts, Guardrails, ClusterGuardrails, MetricSources and CheckEndpoints without a cluster, by what the API server and Belay would say: unknown fields, the schema,\n" +
			"the rules, regular expressions and PromQL. Each finding is one line: where, what is wrong, what to write. Other kinds are left out, and counted.\n\n" +
			"Advice is what is allowed and will not do what you may expect: steps that are too short for --rps, a threshold without a bucket, a metric or label that the app does not expose,\n" +
			"triggers that spend more of an error budget than others allow. It does not count as a finding, unless --strict is given.\n\n" +
			"What only a cluster knows is not checked: whether routes and Services are there, and who may use a source.\n\n" +
			"Exit code 0: nothing found. 1: findings. 2: an error. 3: nothing to check.",
		Example: `  kubectl belay lint checkout.yaml guardrail.yaml --rps 20
  kubectl belay lint deploy/ --strict
  curl -s localhost:8080/metrics > metrics.txt && kubectl belay lint deploy/ --metrics metrics.txt
  helm template . | kubectl belay lint -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("name a file, a folder or -")
			}
			return nil
		},
	}
	cmd.Flags().Float64Var(&given.rate, "rps", 0, "requests per second of the service: are the steps long enough?")
	cmd.Flags().StringVar(&given.buckets, "buckets", "", "upper bounds of the buckets of latency, in their unit: 0.1,0.3,1")
	cmd.Flags().StringVar(&given.metrics, "metrics", "", "a file with what the app serves at /metrics: metrics, labels and buckets")
	cmd.Flags().BoolVar(&given.strict, "strict", false, "advice counts as a finding")
	format := resultOf(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		options, err := given.options(cmd.Context())
		if err != nil {
			return usage(err)
		}
		files, err := a.manifests(cmd.Context(), args)
		if err != nil {
			return usage(err)
		}
		report, err := lint.New().Check(files, options)
		if err != nil {
			return err
		}
		err = a.printResult(format, report, func() string { return lintScreen(a.terminal, report, given.strict) })
		switch wrong := report.Count(lint.Error); {
		case err != nil:
			return err
		case report.Checked == 0 && wrong == 0:
			return exit{exitUnknown, "Nothing was checked: " + counted(report.Files, "file") + " without an object of Belay. Is the path right, and did the command before the pipe work?"}
		case wrong > 0 || given.strict && len(report.Findings) > 0:
			return exit{code: exitNo}
		default:
			return nil
		}
	}
	return cmd
}

func (l linting) options(ctx context.Context) (lint.Options, error) {
	o := lint.Options{Rate: l.rate}
	if l.rate < 0 {
		return o, fmt.Errorf("--rps is %g: it is the number of requests per second", l.rate)
	}
	if l.buckets != "" {
		for bound := range strings.SplitSeq(l.buckets, ",") {
			b, err := strconv.ParseFloat(strings.TrimSpace(bound), 64)
			if err != nil {
				return o, fmt.Errorf("--buckets has %q: write numbers with commas between them, such as 0.1,0.3,1", view.Text(bound, 40))
			}
			o.Buckets = append(o.Buckets, b)
		}
	}
	if l.metrics == "" {
		return o, nil
	}
	raw, err := readNamed(ctx, l.metrics)
	if err != nil {
		return o, err
	}
	if o.Metrics, err = lint.ParseMetrics(bytes.NewReader(raw)); err != nil {
		return o, fmt.Errorf("%s is not what an app serves at /metrics: %w", l.metrics, err)
	}
	return o, nil
}

// manifests reads files, the manifests in folders, and - for the standard input.
func (a *app) manifests(ctx context.Context, args []string) (files []lint.File, err error) {
	for _, arg := range args {
		if arg == "-" {
			raw, err := a.readInput(ctx)
			if err != nil {
				return nil, err
			}
			files = append(files, lint.File{Name: "-", Text: raw})
			continue
		}
		before := len(files)
		err := filepath.WalkDir(arg, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case path != arg && strings.HasPrefix(entry.Name(), "."):
				if entry.IsDir() {
					return fs.SkipDir
				}
				return nil
			case entry.IsDir() || path != arg && !isManifest(path):
				return nil
			}
			read := readFound
			if path == arg {
				read = readNamed
			}
			raw, err := read(ctx, path)
			files = append(files, lint.File{Name: path, Text: raw})
			return err
		})
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(arg); err == nil && info.IsDir() && len(files) == before {
			return nil, fmt.Errorf("%s has no .yaml, .yml or .json file", arg)
		}
	}
	return files, nil
}

func isManifest(path string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(path)))
}

// lintScreen is one line for each finding, which is never broken: editors and scripts read
// its beginning.
func lintScreen(t terminal, r lint.Report, strict bool) string {
	p := t.paint()
	for _, f := range r.Findings {
		style, level := red, ""
		if f.Level == lint.Advice {
			style, level = yellow, "advice: "
		}
		where := view.Text(fmt.Sprintf("%s:%d", f.File, f.Line), 300)
		what := ""
		for _, part := range []string{f.Object, f.Path} {
			if part != "" {
				what += view.Text(part, 300) + "  "
			}
		}
		line := p.styled(cell{where, bold}) + "  " + p.styled(cell{what, dim}) + p.styled(cell{level, style}) + view.Text(f.Wrong, 1024)
		if f.Write != "" {
			line += "  →  " + p.styled(cell{view.Text(f.Write, 512), green})
		}
		p.WriteString(line + "\n")
	}
	wrong, advice := r.Count(lint.Error), r.Count(lint.Advice)
	result := cell{"nothing found", green}
	switch {
	case strict && advice > 0 && wrong == 0:
		result, advice = cell{counted(advice, "finding") + " (advice, --strict)", red}, 0
	case strict && advice > 0:
		result, advice = cell{fmt.Sprintf("%s (%d of them advice, --strict)", counted(wrong+advice, "finding"), advice), red}, 0
	case wrong > 0:
		result = cell{counted(wrong, "finding"), red}
	case advice > 0:
		result = cell{"nothing wrong", green}
	}
	closing := counted(r.Checked, "object") + " checked in " + counted(r.Files, "file")
	if r.Others > 0 {
		closing += ", " + counted(r.Others, "object") + " of other kinds left out"
	}
	if r.Checked == 0 && len(r.Findings) == 0 {
		result = cell{"nothing to check", yellow}
	}
	p.WriteString(closing + ": " + p.styled(result))
	if advice > 0 {
		fmt.Fprintf(p, ", and %s of advice", counted(advice, "piece"))
	}
	p.WriteByte('\n')
	return p.String()
}

func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
