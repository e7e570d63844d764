package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"belay.dev/belay/controllers/view"
)

func (a *app) verify() *cobra.Command {
	var head string
	cmd := &cobra.Command{
		Use:   "verify [RUN|FILE|FOLDER]",
		Short: "Verify that the decisions of a run are whole and unchanged",
		Long: "Compute in the record of a run again what can be: the hash of each decision and of the one before it, the hashes of the guardrails, the revisions of both templates,\n" +
			"the sums of an exported folder, the decisions themselves where their input was recorded, and the outcome where a decision tells it. A break is named: which decision,\n" +
			"what was computed, what stands there.\n\n" +
			"The chain of hashes covers the decisions. It does not cover the settings of the run, its controller version, author, times and message: whoever can write the run can\n" +
			"change those unnoticed, and can compute a whole chain anew. Nor does it show that decisions at the end were removed together with the head: --head compares with one\n" +
			"that you kept elsewhere.\n\n" +
			"What exists as a file or folder is read from there, without a cluster; rollout/NAME names the cluster's. - is the standard input.\n\n" +
			"Exit code 0: what could be computed is as recorded; the screen says how many decisions could not be taken again. 1: something is not as recorded. 2: an error.\n" +
			"3: nothing to verify: the record has no decisions, or fields that this version does not know.",
		Example: `  kubectl belay verify checkout
  kubectl belay verify ./evidence/checkout-9fd21c3b07-4
  kubectl belay verify run.yaml --head sha256:b6cd1bf7…
  kubectl get rolloutruns.belay.dev -o yaml | kubectl belay verify -`,
	}
	cmd.Flags().StringVar(&head, "head", "", "the hash of a decision that the record must have, such as a head that was kept elsewhere")
	return a.proving(cmd, func(one recorded) (view.Proof, string, int) {
		p := view.Prove(one.rollout, one.run)
		if one.files != nil {
			p.Checks = append(p.Checks, *one.files)
		}
		if head != "" {
			p.Checks = append(p.Checks, headCheck(one, head))
		}
		code := exitOK
		switch {
		case p.Broken():
			code = exitNo
		case !p.OK():
			code = exitUnknown
		}
		return p, verifyScreen(a.terminal, p, one.from), code
	})
}

// headCheck looks for a hash among the decisions.
func headCheck(one recorded, head string) view.Check {
	c := view.Check{Name: "kept head", Expected: view.Text(head, 128)}
	for _, d := range one.run.Status.Decisions {
		if d.Hash == head {
			return view.Check{Name: "kept head", OK: true, Said: fmt.Sprintf("decision %d of %d has the hash of --head", d.Seq, len(one.run.Status.Decisions))}
		}
	}
	c.Said = "no decision has the hash of --head: the record is another one, or its end was removed"
	if h := one.run.Status.Head; h != nil {
		c.Found = view.Text(h.Hash, 128)
	}
	return c
}

func (a *app) replay() *cobra.Command {
	return a.proving(&cobra.Command{
		Use:   "replay [RUN|FILE|FOLDER]",
		Short: "Take the decisions of a run again, and compare them with the recorded ones",
		Long: "Give the recorded inputs of a run to the rules of this program, and compare each decision with the recorded one. It reads the record alone, no source and no clock.\n\n" +
			"What exists as a file or folder is read from there, without a cluster; rollout/NAME names the cluster's. - is the standard input.\n\n" +
			"Exit code 0: all the same. 1: at least one is different, or the record does not verify. 2: an error. 3: at least one cannot be compared,\n" +
			"because other rules decided or its input was not kept: from 96 KiB of decisions on a record keeps only digests of the inputs. Those before are\n" +
			"compared, and the screen says how many, and what was verified of the others all the same.",
		Example: `  kubectl belay replay checkout
  kubectl belay replay ./evidence/checkout-9fd21c3b07-4 -o json`,
	}, func(one recorded) (view.Proof, string, int) {
		p := view.Prove(one.rollout, one.run)
		code := exitOK
		switch {
		case p.Broken():
			code = exitNo
		case p.Replay.NotComparable > 0 || p.Decisions == 0:
			code = exitUnknown
		}
		return p, replayScreen(a.terminal, p, one.from), code
	})
}

// proving lets a command take a run from the cluster or from files, and say what the record
// of each shows. Its exit code is the worst: what is broken counts more than what cannot be
// compared.
func (a *app) proving(cmd *cobra.Command, prove func(recorded) (view.Proof, string, int)) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = cobra.MaximumNArgs(1), a.completeRuns
	format := resultOf(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all, err := a.records(cmd.Context(), first(args))
		if err != nil {
			return err
		}
		worst := exitOK
		var proofs []view.Proof
		for i, one := range all {
			proof, screen, code := prove(one)
			if worst == exitOK || code == exitNo {
				worst = code
			}
			proofs = append(proofs, proof)
			if format.asJSON() {
				continue
			}
			if i > 0 {
				fmt.Fprintln(a.streams.Out)
			}
			fmt.Fprint(a.streams.Out, screen)
		}
		if format.asJSON() {
			if err := a.printJSON(oneOrAll(proofs)); err != nil {
				return err
			}
		}
		if worst != exitOK {
			return exit{worst, ""}
		}
		return nil
	}
	return cmd
}

func oneOrAll(proofs []view.Proof) any {
	if len(proofs) == 1 {
		return proofs[0]
	}
	return proofs
}

// resultFormat is the flag -o of a command that prints no objects: a screen, or JSON.
type resultFormat struct{ format string }

func resultOf(cmd *cobra.Command) *resultFormat {
	r := &resultFormat{}
	cmd.Flags().StringVarP(&r.format, "output", "o", "", `"json" for scripts`)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if r.format != "" && !r.asJSON() {
			return usage(fmt.Errorf("-o %s: this command prints a screen, or with -o json its result", view.Text(r.format, 40)))
		}
		return nil
	}
	return r
}

func (r *resultFormat) asJSON() bool { return r.format == "json" }

// printResult prints a result as -o asks for it: as JSON, or as a screen.
func (a *app) printResult(format *resultFormat, result any, screen func() string) error {
	if format.asJSON() {
		return a.printJSON(result)
	}
	_, err := fmt.Fprint(a.streams.Out, screen())
	return err
}

func (a *app) printJSON(value any) error {
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := io.WriteString(a.streams.Out, escaped(raw.String()))
	return err
}

// escaped is JSON in which what controls a terminal, and does not show, is written as \u....
// It is the same value: outside of texts JSON has no such characters.
func escaped(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r == '\n' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

func verifyScreen(t terminal, p view.Proof, from string) string {
	q := t.paint()
	word, style := "VERIFIED", green
	switch {
	case p.Broken():
		word, style = "NOT VERIFIED", red
	case !p.OK():
		word, style = "NOTHING TO VERIFY", yellow
	case p.Replay.NotComparable > 0:
		word += fmt.Sprintf(", %d of %d decisions not taken again", p.Replay.NotComparable, p.Decisions)
	}
	q.proofHead(p, from, word, style)
	for _, c := range p.Checks {
		q.check(c)
	}
	said, style := replaySaid(p.Replay), plain
	if p.Replay.Different > 0 {
		style = red
	}
	q.paragraph(cell{"  Replay", dim}, labelled, cell{said, style})
	for _, d := range p.Replay.Others {
		if d.Comparable {
			q.replayed(d)
		}
	}
	q.paragraph(cell{"  Not hashed", dim}, labelled, cell{strings.Join(p.NotCovered, ", ") + ": a writer of the run can change them unnoticed.", yellow})
	if p.Head != "" {
		q.copied("Head", p.Head)
	}
	if p.OK() {
		q.paragraph(cell{"", dim}, labelled, cell{"Kept elsewhere, it also shows whether decisions at the end are removed: verify --head.", dim})
	}
	return q.String()
}

func (p *painter) proofHead(proof view.Proof, from, word string, style style) {
	p.line(cell{"Run " + proof.Run, bold}, cell{"  of Rollout " + proof.Rollout + "  ", plain}, cell{word, style})
	p.paragraph(cell{"  From", dim}, labelled, cell{view.Text(from, 300), plain})
	count := fmt.Sprintf("%d", proof.Decisions)
	if proof.Pending > 0 {
		count += fmt.Sprintf(", %d of them only in the Rollout's status yet", proof.Pending)
	}
	if proof.Missing > 0 {
		count += fmt.Sprintf("; %d more could not be written when they were taken", proof.Missing)
	}
	p.paragraph(cell{"  Decisions", dim}, labelled, cell{count, plain})
}

// check is a line for what passes; what does not has what was computed and what stands there.
func (p *painter) check(c view.Check) {
	label := strings.ToUpper(c.Name[:1]) + c.Name[1:]
	if c.OK {
		p.paragraph(cell{"  " + label, dim}, labelled, cell{"ok: " + c.Said, plain})
		return
	}
	p.paragraph(cell{"  " + label, dim}, labelled, cell{"BROKEN: " + c.Said, red})
	if c.Expected != "" || c.Found != "" {
		p.copied("expected", orDash(c.Expected))
		p.copied("found", orDash(c.Found))
	}
}

func replaySaid(r view.Replay) string {
	var parts []string
	if r.Same > 0 {
		parts = append(parts, fmt.Sprintf("%d the same", r.Same))
	}
	if r.Different > 0 {
		parts = append(parts, fmt.Sprintf("%d DIFFERENT", r.Different))
	}
	if r.NotComparable > 0 {
		parts = append(parts, fmt.Sprintf("%d not comparable", r.NotComparable))
	}
	if len(parts) == 0 {
		return "no decisions"
	}
	said := strings.Join(parts, ", ")
	if i := slices.IndexFunc(r.Others, func(d view.Replayed) bool { return !d.Comparable }); i >= 0 {
		said += fmt.Sprintf(" (decision %d: %s)", r.Others[i].Decision, r.Others[i].Said)
	}
	return said
}

func (p *painter) replayed(d view.Replayed) {
	label, style := fmt.Sprintf("  %d %s", d.Decision, d.Rule), yellow
	if d.Comparable {
		style = red
	}
	p.paragraph(cell{"", plain}, 2, cell{label + ": " + d.Said, style})
}

// shownOthers is how many decisions that cannot be compared a screen names.
const shownOthers = 5

func replayScreen(t terminal, p view.Proof, from string) string {
	q := t.paint()
	word, style := "THE SAME", green
	switch {
	case p.Broken() && p.Replay.Different == 0:
		word, style = "NOT VERIFIED", red
	case p.Broken():
		word, style = "DIFFERENT", red
	case p.Replay.Same > 0 && p.Replay.NotComparable > 0:
		word, style = fmt.Sprintf("%d OF %d THE SAME", p.Replay.Same, p.Decisions), yellow
	case p.Replay.NotComparable > 0 || p.Decisions == 0:
		word, style = "NOT COMPARABLE", yellow
	}
	q.proofHead(p, from, word, style)
	q.paragraph(cell{"  Rules", dim}, labelled, cell{rulesSaid(p.Replay), plain})
	q.paragraph(cell{"  Replay", dim}, labelled, cell{replaySaid(p.Replay), plain})
	for _, c := range p.Checks {
		if !c.OK {
			q.check(c)
		}
	}
	if p.Replay.NotComparable > 0 && p.OK() {
		q.paragraph(cell{"  Verified", dim}, labelled, cell{verifiedSaid(p), plain})
	}
	left := 0
	for i, d := range p.Replay.Others {
		if !d.Comparable && i >= shownOthers {
			left++
			continue
		}
		q.replayed(d)
	}
	if left > 0 {
		q.paragraph(cell{"", plain}, 2, cell{fmt.Sprintf("and %d more that cannot be compared: -o json has all", left), dim})
	}
	return q.String()
}

// verifiedSaid is what is known of a record whose decisions could not all be taken again.
func verifiedSaid(p view.Proof) string {
	var names []string
	for _, c := range p.Checks {
		names = append(names, c.Name)
	}
	return fmt.Sprintf("%s are as recorded, and every decision has its hash. Not known is only whether %s would come out the same.", listed(names), counted(p.Replay.NotComparable, "decision"))
}

// rulesSaid says which versions decided, and where to get the one that is needed.
func rulesSaid(r view.Replay) string {
	var versions []string
	other := false
	for _, v := range r.Recorded {
		versions, other = append(versions, fmt.Sprint(v)), other || v != r.Rules
	}
	said := fmt.Sprintf("this program has version %d", r.Rules)
	if len(versions) > 0 {
		said = fmt.Sprintf("version %s decided, %s", listed(versions), said)
	} else {
		said = "the record does not say which version decided, " + said
	}
	if other {
		said += fmt.Sprintf(": to compare them, take kubectl-belay from the release of the controller that decided, %s", orDash(r.Controller))
	}
	return said
}
