package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

func (a *app) diff() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff [A] [B]",
		Short: "Show what differs between two versions, and what they were judged by",
		Long: "Show what differs between two versions: their templates, and the guardrails and settings of their runs.\n\n" +
			"Without B, A is compared with the stable version before it; without A, it is the newest run of the only Rollout. A and B are runs, Rollouts for their newest run,\n" +
			"revisions, files or exported folders. A template is compared as the Deployment controller does: another notation of the same value is no difference.\n" +
			"Values of env that stand in a template are shown.\n\n" +
			"Exit code 0: no difference. 1: differences. 2: an error. 3: a record has fields that this version does not know. kubectl diff has the same: more than 1 is an error.",
		Example: `  kubectl belay diff checkout
  kubectl belay diff checkout-3ff8ea3e9c-6 checkout-9fd21c3b07-7
  kubectl belay diff 3ff8ea3e9c 9fd21c3b07
  kubectl belay diff ./evidence/checkout-9fd21c3b07-7`,
		Args:              cobra.MaximumNArgs(2),
		ValidArgsFunction: a.completeRuns,
	}
	format := resultOf(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		from, to, err := a.compared(cmd.Context(), args)
		if err != nil {
			return err
		}
		c, err := view.Compare(from, to)
		if err != nil {
			return err
		}
		if err := a.printResult(format, c, func() string { return diffScreen(a.terminal, from, to, c) }); err != nil {
			return err
		}
		if len(c.Differences) > 0 {
			return exit{code: exitNo}
		}
		return nil
	}
	return cmd
}

var isRevision = regexp.MustCompile(`^[0-9a-f]{10}$`)

// compared are the two releases that the arguments name.
func (a *app) compared(ctx context.Context, args []string) (from, to view.Release, err error) {
	if len(args) == 2 {
		if from, _, err = a.release(ctx, args[0]); err != nil {
			return from, to, err
		}
		to, _, err = a.release(ctx, args[1])
		return from, to, err
	}
	to, others, err := a.release(ctx, first(args))
	if err != nil {
		return from, to, err
	}
	return view.StableOf(to.Run, view.PromotedBy(to.Run, others)), to, nil
}

// release is the version that a run tried, or one that is named by its revision, and the
// other runs that are known beside it, newest first.
func (a *app) release(ctx context.Context, arg string) (view.Release, []v1alpha1.RolloutRun, error) {
	if isRevision.MatchString(arg) && !isPath(arg) {
		return a.releaseOf(ctx, arg)
	}
	all, err := a.records(ctx, arg)
	if err != nil {
		return view.Release{}, nil, err
	}
	var runs []v1alpha1.RolloutRun
	for _, one := range all {
		runs = append(runs, *one.run)
	}
	if len(runs) == 1 && all[0].from == fromCluster {
		s, err := a.connect()
		if err != nil {
			return view.Release{}, nil, err
		}
		if runs, err = s.runs(ctx, all[0].run.Spec.Rollout.Name); err != nil {
			return view.Release{}, nil, err
		}
		return view.CandidateOf(all[0].run), runs, nil
	}
	slices.SortStableFunc(runs, func(a, b v1alpha1.RolloutRun) int { return b.Spec.StartedAt.Compare(a.Spec.StartedAt.Time) })
	return view.CandidateOf(&runs[0]), runs, nil
}

// releaseOf finds a revision among the runs of the namespace.
func (a *app) releaseOf(ctx context.Context, revision string) (view.Release, []v1alpha1.RolloutRun, error) {
	s, err := a.connect()
	if err != nil {
		return view.Release{}, nil, err
	}
	runs, err := s.allRuns(ctx)
	if err != nil {
		return view.Release{}, nil, err
	}
	for i := range runs {
		if runs[i].Spec.Revision == revision {
			return view.CandidateOf(&runs[i]), runs, nil
		}
	}
	return view.Release{}, nil, fmt.Errorf("no run in namespace %s tried revision %s: kubectl belay history shows revisions", s.namespace, revision)
}

var titles = []struct{ section, title string }{
	{view.SectionTemplate, "Template"}, {view.SectionGuardrails, "Guardrails"}, {view.SectionSettings, "Settings"},
}

// Bounds of what is shown of a difference.
const (
	mostLines     = 400
	mostOfAValue  = 40
	longestOfLine = 500
)

// diffScreen is the differences as YAML, with the fields that lead to them.
func diffScreen(t terminal, from, to view.Release, c view.Comparison) string {
	p := t.paint()
	p.WriteString(p.styled(cell{named(from), bold}) + "  →  " + p.styled(cell{named(to), bold}) + "\n")
	for _, t := range titles {
		differences := c.In(t.section)
		p.blank()
		switch {
		case slices.Contains(c.NotCompared, t.section):
			p.paragraph(cell{t.title + ": ", bold}, len(t.title)+2, cell{fmt.Sprintf("not compared, the run that promoted %s is not there any more", from.Tag), yellow})
			continue
		case len(differences) == 0:
			p.line(cell{t.title + ": ", bold}, cell{"no difference", plain})
			continue
		}
		p.line(cell{t.title, bold})
		lines := treeOf(differences)
		for _, l := range lines[:min(len(lines), mostLines)] {
			p.changed(l)
		}
		if more := len(lines) - mostLines; more > 0 {
			p.line(cell{fmt.Sprintf("  and %d more lines: -o json has all", more), dim})
		}
	}
	return p.String()
}

func named(r view.Release) string {
	if r.Side == "stable" || r.Run == nil {
		return fmt.Sprintf("%s (%s, revision %s)", r.Tag, r.Side, r.Revision)
	}
	return fmt.Sprintf("%s (run %s, revision %s)", r.Tag, view.Text(r.Run.Name, 253), r.Revision)
}

// changedLine is a line of YAML: with - before it what was, with + what is.
type changedLine struct {
	sign  byte
	depth int
	text  string
}

func (p *painter) changed(l changedLine) {
	style := plain
	switch l.sign {
	case '-':
		style = red
	case '+':
		style = green
	}
	text := string(l.sign) + " " + strings.Repeat("  ", l.depth) + view.Text(l.text, longestOfLine)
	if l.sign == ' ' {
		style = dim
	}
	p.WriteString(p.styled(cell{text, style}) + "\n")
}

// treeOf are the lines of differences, each field that leads to several of them once.
func treeOf(differences []view.Difference) (out []changedLine) {
	var open []view.Segment
	for _, d := range differences {
		path := d.Path[1:]
		shared := 0
		for shared < len(open) && shared < len(path)-1 && open[shared] == path[shared] {
			shared++
		}
		open = path[:max(len(path)-1, 0)]
		for i := shared; i < len(path)-1; i++ {
			out = append(out, changedLine{' ', i, lead(path[i])})
		}
		last := view.Segment{}
		if len(path) > 0 {
			last = path[len(path)-1]
		}
		depth := max(len(path)-1, 0)
		if d.HadIt {
			out = append(out, linesOf('-', depth, last, d.Was)...)
		}
		if d.HasIt {
			out = append(out, linesOf('+', depth, last, d.Is)...)
		}
	}
	return out
}

// lead is the line of a field or an item with something in it.
func lead(s view.Segment) string {
	if s.By != "" {
		return "- " + s.By + ": " + s.Key
	}
	return s.Key + ":"
}

// linesOf are the lines of a value.
func linesOf(sign byte, depth int, s view.Segment, value any) (out []changedLine) {
	var object any = map[string]any{s.Key: value}
	if s.By != "" {
		object = []any{value}
	}
	if s.Key == "" {
		object = value
	}
	text, err := yaml.Marshal(object)
	if err != nil {
		return []changedLine{{sign, depth, "? " + err.Error()}}
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	for _, line := range lines[:min(len(lines), mostOfAValue)] {
		// view.Text keeps spaces.
		out = append(out, changedLine{sign, depth, line})
	}
	if more := len(lines) - mostOfAValue; more > 0 {
		out = append(out, changedLine{sign, depth, fmt.Sprintf("… %d more lines", more)})
	}
	return out
}
