// Command kubectl-belay answers what Belay does with a workload and why, and gives it
// commands. kubectl runs it as kubectl belay.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"belay.dev/belay/controllers/view"
)

// version is set at build time.
var version = "development"

// Exit codes. Scripts rely on them: docs/cli.md. Up to 3 they mean the same for every command;
// 10 to 14 say how a version ended, or that it did not in time.
const (
	exitOK = 0
	// exitNo is an answer, not an error: something was found, is different or was refused.
	exitNo = 1
	// exitError is everything that kept a command from answering, wrong usage included.
	exitError = 2
	// exitUnknown says that there was nothing to answer from.
	exitUnknown    = 3
	exitRolledBack = 10
	exitSuperseded = 11
	exitCancelled  = 12
	exitBypassed   = 13
	exitTimeout    = 14
	// exitInterrupted is what shells have for a program that Ctrl-C ended.
	exitInterrupted = 130
)

const exitCodes = `Exit codes, of every command:
  0   done: nothing found, no difference, or the version is promoted
  1   the answer is no: something was found or is different, the guardrail would have fired,
      Belay refused the command, or the command has nothing to do
  2   error: wrong usage, no cluster, no such object, or no right to do it
  3   no answer: nothing to check, decisions that cannot be compared, nothing was judged,
      or doctor found nothing and could not look at everything
  10  the version was rolled back
  11  another version was declared before it ended
  12  the stable version was declared again
  13  it rolled out without being judged
  14  time out
  130 interrupted`

// exit is an error with an exit code of its own. An empty text prints nothing.
type exit struct {
	code int
	text string
}

func (e exit) Error() string { return e.text }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr})
	stop()
	os.Exit(code)
}

func execute(ctx context.Context, args []string, streams genericiooptions.IOStreams) int {
	a := &app{flags: genericclioptions.NewConfigFlags(true), streams: streams, terminal: terminalOf(streams.Out), now: time.Now, every: redrawEvery}
	cmd := a.root() //nolint:contextcheck // Each command gets the context from ExecuteContext below.
	// Offered lines end in a comment, which zsh hands over as words.
	if comment := slices.Index(args, "#"); comment >= 0 {
		args = args[:comment]
	}
	cmd.SetArgs(args)
	cmd.SetIn(streams.In)
	cmd.SetOut(streams.Out)
	cmd.SetErr(streams.ErrOut)
	return codeOf(cmd.ExecuteContext(ctx), streams.ErrOut)
}

func codeOf(err error, to io.Writer) int {
	var coded exit
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		if coded.text != "" {
			fmt.Fprintln(to, printable(coded.text))
		}
		return coded.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		fmt.Fprintln(to, "error: "+sentence(err.Error()))
		return exitError
	}
}

// printable keeps the lines of a text, without what controls a terminal: errors name files and
// objects of others.
func printable(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = view.Text(lines[i], 2048)
	}
	return strings.Join(lines, "\n")
}

func usage(err error) error {
	if err == nil {
		return nil
	}
	return misuse{exit{exitError, "error: " + sentence(err.Error())}}
}

// misuse is an exit of a command that was used wrongly.
type misuse struct{ exit }

func (m misuse) Unwrap() error { return m.exit }

// seeHelp adds to a wrong usage where the command's own help is.
func seeHelp(cmd *cobra.Command, err error) error {
	if wrong := (misuse{}); errors.As(err, &wrong) {
		return exit{exitError, wrong.text + "\nSee '" + cmd.CommandPath() + " --help'."}
	}
	return err
}

// app is what all commands share.
type app struct {
	flags    *genericclioptions.ConfigFlags
	streams  genericiooptions.IOStreams
	terminal terminal
	now      func() time.Time
	// every is how often a live screen is read and drawn again.
	every time.Duration
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-belay",
		Short: "See what Belay does with a workload and why, and give it commands",
		Long: "See what Belay does with a Deployment or StatefulSet and why, and give it commands.\n\n" +
			"Without a name, a command takes the only Rollout of the namespace.\n\n" + exitCodes,
		Example: `  kubectl belay list -A                      every Rollout, worst first
  kubectl belay status checkout -w           what happens now, live
  kubectl belay why checkout                 why the last run ended as it did
  kubectl belay abort checkout --reason "…"  roll the candidate back`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          known,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl belay"},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return seeHelp(cmd, usage(err)) })
	a.flags.AddFlags(root.PersistentFlags())
	hideConnection(root)
	root.AddGroup(&cobra.Group{ID: "see", Title: "See:"}, &cobra.Group{ID: "act", Title: "Act:"},
		&cobra.Group{ID: "prove", Title: "Prove and check:"}, &cobra.Group{ID: "setup", Title: "Set up:"})
	for _, cmd := range []*cobra.Command{a.status(), a.list(), a.why(), a.history(), a.log(), a.show(), a.diff(), a.wait()} {
		cmd.GroupID = "see"
		root.AddCommand(checked(cmd))
	}
	for _, cmd := range []*cobra.Command{a.abort(), a.rollback(), a.pause(), a.resume(), a.approve(), a.skip(), a.promote(), a.retry(), a.overrideFreeze(), a.bypass()} {
		cmd.GroupID = "act"
		root.AddCommand(checked(cmd))
	}
	for _, cmd := range []*cobra.Command{a.doctor(), a.init(), a.backtest()} {
		cmd.GroupID = "setup"
		root.AddCommand(checked(cmd))
	}
	for _, cmd := range []*cobra.Command{a.verify(), a.replay(), a.export(), a.lint()} {
		cmd.GroupID = "prove"
		root.AddCommand(checked(cmd))
	}
	root.AddCommand(checked(a.man()))
	root.SuggestionsMinimumDistance = 2
	for _, cmd := range root.Commands() {
		cmd.SuggestFor = otherwise[cmd.Name()]
	}
	return checked(root)
}

// otherwise are words of other programs for a command.
var otherwise = map[string][]string{
	"rollback": {"undo", "revert"}, "abort": {"stop", "cancel"}, "bypass": {"force"}, "list": {"get"}, "log": {"logs", "events"}, "status": {"describe"}, "resume": {"unpause"},
}

// known refuses an unknown command, and names those that may be meant.
func known(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	said := fmt.Sprintf("unknown command %q for %q", view.Text(args[0], 100), root.CommandPath())
	if meant := root.SuggestionsFor(args[0]); len(meant) > 0 {
		said += ": did you mean " + strings.Join(meant, " or ") + "?"
	}
	return errors.New(said)
}

// checked makes wrong arguments a wrong usage, lets each wrong usage name the command's help, and
// each other error say what to do.
func checked(cmd *cobra.Command) *cobra.Command {
	args := cmd.Args
	cmd.Args = func(cmd *cobra.Command, given []string) error { return seeHelp(cmd, usage(args(cmd, given))) }
	if before := cmd.PreRunE; before != nil {
		cmd.PreRunE = func(cmd *cobra.Command, given []string) error { return seeHelp(cmd, before(cmd, given)) }
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, given []string) error { return seeHelp(cmd, explained(run(cmd, given))) }
	}
	return cmd
}

// hideConnection keeps the flags of the connection, which every kubectl command has, out
// of the help.
func hideConnection(root *cobra.Command) {
	flags := root.PersistentFlags()
	for _, name := range []string{"as", "as-group", "as-uid", "as-user-extra", "cache-dir", "certificate-authority", "client-certificate", "client-key", "cluster",
		"disable-compression", "insecure-skip-tls-verify", "password", "proxy-url", "request-timeout", "server", "tls-server-name", "token", "user", "username"} {
		if f := flags.Lookup(name); f != nil {
			f.Hidden = true
		}
	}
}
