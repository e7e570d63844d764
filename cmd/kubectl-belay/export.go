package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

func (a *app) export() *cobra.Command {
	var to string
	var all, force bool
	cmd := &cobra.Command{
		Use:   "export [RUN] --to FOLDER",
		Short: "Write a run into a folder that verify and replay read without a cluster",
		Long: "Write a run into a folder: the whole record, its Rollout, the guardrails and both templates as they were pinned, the decisions as a story, and the sums of the files.\n" +
			"kubectl belay verify and replay read the folder without a cluster. RUN is a RolloutRun, or a Rollout for its newest run; --all exports all runs of a Rollout, each into a folder of its own.\n\n" +
			"No Secret is read. The templates are written as they were declared: values of env that stand in them are in the folder.",
		Example: `  kubectl belay export checkout --to evidence
  kubectl belay export checkout --all --to evidence
  kubectl belay verify ./evidence`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRuns,
	}
	cmd.Flags().StringVar(&to, "to", "", "the folder, which is made when it is not there")
	cmd.Flags().BoolVar(&all, "all", false, "all runs of the Rollout that are still there")
	cmd.Flags().BoolVar(&force, "force", false, "write into a folder that is not empty")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if to == "" {
			return usage(fmt.Errorf("--to is missing: name the folder to write"))
		}
		s, err := a.connect()
		if err != nil {
			return err
		}
		rollout, run, err := s.run(cmd.Context(), first(args))
		if err != nil {
			return err
		}
		runs := []v1alpha1.RolloutRun{*run}
		if all {
			if runs, err = s.runs(cmd.Context(), run.Spec.Rollout.Name); err != nil {
				return err
			}
			runs = slices.DeleteFunc(runs, func(r v1alpha1.RolloutRun) bool { return r.Spec.Rollout.UID != run.Spec.Rollout.UID })
		}
		if err := mayWrite(to, force); err != nil {
			return err
		}
		for i := range runs {
			folder := to
			if all {
				folder = filepath.Join(to, fileName(runs[i].Name))
			}
			if err := a.exportRun(cmd.Context(), s, rollout, &runs[i], folder); err != nil {
				return err
			}
		}
		fmt.Fprintf(a.streams.Out, "Check it without a cluster: kubectl belay verify %s\n", shellWord(pathArgument(to)))
		return nil
	}
	return cmd
}

// pathArgument is a path that verify takes for one, also when it is a name too.
func pathArgument(path string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, ".") {
		return path
	}
	return "./" + path
}

// mayWrite refuses a folder with something in it.
func mayWrite(folder string, force bool) error {
	entries, err := os.ReadDir(folder)
	switch {
	case os.IsNotExist(err) || err == nil && (len(entries) == 0 || force):
		return nil
	case err != nil:
		return fmt.Errorf("look at the folder: %w", err)
	default:
		return fmt.Errorf("%s is not empty: name another folder, or write into this one with --force", folder)
	}
}

// file is one file of an export.
type file struct {
	name    string
	content []byte
}

func (a *app) exportRun(ctx context.Context, s *session, rollout *v1alpha1.Rollout, run *v1alpha1.RolloutRun, folder string) error {
	// The Rollout first: decisions move from its status into the run. One that moves in between is
	// then in both, and in none if the run were read before.
	var whole []byte
	var err error
	if rollout != nil {
		if whole, err = s.raw(ctx, "Rollout", rollout.Name); err != nil {
			return err
		}
	}
	raw, err := s.raw(ctx, "RolloutRun", run.Name)
	if err != nil {
		return err
	}
	files, err := a.exported(raw, whole)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(folder, f.name), f.content, 0o644); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
	}
	fmt.Fprintf(a.streams.Out, "%s: run %s of Rollout %s, %d files\n", folder, run.Name, run.Spec.Rollout.Name, len(files))
	return nil
}

// exported are the files of a run and its Rollout, given as JSON; the Rollout may be nil. The
// last file has the sums of the others.
func (a *app) exported(run, rollout []byte) ([]file, error) {
	typed, err := decodeRun(fromCluster, run)
	if err != nil {
		return nil, err
	}
	var files []file
	add := func(name string, object []byte) error {
		text, err := yaml.JSONToYAML(object)
		files = append(files, file{name, text})
		return err
	}
	if err := add(fileRun, run); err != nil {
		return nil, err
	}
	var owner *v1alpha1.Rollout
	if rollout != nil {
		owner = &v1alpha1.Rollout{}
		if err := yaml.Unmarshal(rollout, owner); err != nil {
			return nil, err
		}
		if err := add(fileRollout, rollout); err != nil {
			return nil, err
		}
	}
	if err := add("template.yaml", typed.Spec.Template.Raw); err != nil {
		return nil, err
	}
	if err := add("template-stable.yaml", typed.Spec.Stable.Template.Raw); err != nil {
		return nil, err
	}
	for _, g := range typed.Spec.Guardrails {
		text, err := yaml.Marshal(map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": g.Kind, "metadata": map[string]any{"name": g.Name}, "spec": g.Spec})
		if err != nil {
			return nil, err
		}
		files = append(files, file{fileName(strings.ToLower(g.Kind) + "-" + g.Name + ".yaml"), text})
	}
	files = append(files, file{"decisions.txt", []byte(a.storyOf(owner, typed))})
	files = append(files, file{"README.txt", []byte(readmeOf(owner, typed, files))})
	return append(files, sumsOf(files)), nil
}

// fileName is a name from outside as the name of a file in the folder.
func fileName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, name)
	return strings.TrimLeft(safe, ".")
}

func (a *app) storyOf(rollout *v1alpha1.Rollout, run *v1alpha1.RolloutRun) string {
	p := terminal{width: usualWidth}.paint()
	// Each moment with its day: the file is read on another one.
	p.story(view.Story(rollout, run), run.Spec.StartedAt.AddDate(0, 0, -1))
	return p.String()
}

func sumsOf(files []file) file {
	var text strings.Builder
	for _, f := range files {
		fmt.Fprintf(&text, "%s  %s\n", sumOf(f.content), f.name)
	}
	return file{fileSums, []byte(text.String())}
}

// about says what a file of an export is.
func about(name string) string {
	switch name {
	case fileRun:
		return "the RolloutRun: pinned inputs, decisions with their hashes, verdicts"
	case fileRollout:
		return "the Rollout when this was written, with decisions that were not in the run yet"
	case "template.yaml":
		return "the candidate's pod template"
	case "template-stable.yaml":
		return "the stable version's pod template"
	case "decisions.txt":
		return "the decisions as a story; times are UTC"
	default:
		return "a guardrail as the run pinned it"
	}
}

func readmeOf(rollout *v1alpha1.Rollout, run *v1alpha1.RolloutRun, files []file) string {
	e := view.Explain(view.Input{Rollout: rollout, Run: run})
	p := terminal{width: usualWidth}.paint()
	outcome := string(e.Outcome)
	if outcome == "" {
		outcome = "in progress when this was written"
	}
	p.line(cell{text: fmt.Sprintf("Run %s of Rollout %s in namespace %s: %s", e.Run, e.Rollout, e.Namespace, outcome)})
	p.blank()
	for _, said := range []struct{ label, text string }{
		{"Started", run.Spec.StartedAt.UTC().Format("2006-01-02 15:04:05Z") + ", by " + orDash(e.Candidate.PushedBy)},
		{"Candidate", versionLine(e.Candidate)}, {"Stable", versionLine(e.Before)}, {"Said", e.Message}, {"Decisions", fmt.Sprint(e.Decisions)},
		{"Controller", fmt.Sprintf("%s, version %d of the rules", view.Text(run.Spec.Controller.Version, 128), run.Spec.Controller.Planner)},
	} {
		if said.text != "" {
			p.paragraph(cell{text: said.label}, labelled, cell{text: said.text})
		}
	}
	if head := run.Status.Head; head != nil {
		p.paragraph(cell{text: "Head"}, labelled, cell{text: view.Text(head.Hash, 71)})
	}
	p.blank()
	rows := [][]cell{}
	for _, f := range files {
		rows = append(rows, []cell{{text: f.name}, {text: about(f.name)}})
	}
	rows = append(rows, []cell{{text: fileSums}, {text: "the SHA-256 of each file: sha256sum -c " + fileSums}})
	p.table(0, rows)
	p.blank()
	p.paragraph(cell{}, 0, cell{text: "No cluster is needed to check this folder: kubectl belay verify FOLDER computes the hashes again, and kubectl belay replay FOLDER takes the decisions again from their recorded inputs. " +
		"No Secret was read. The templates are as they were declared, with the values of env that stand in them. run.yaml and rollout.yaml are to be read and not to be applied: only Belay writes runs."})
	return p.String()
}
