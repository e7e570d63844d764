package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"

	"belay.dev/belay/controllers/view"
)

// finding is one thing that is wrong. Do is what to do about it: a command where there is one.
type finding struct {
	Place string `json:"place"`
	Wrong string `json:"wrong"`
	Do    string `json:"do"`
}

// report is what an examination has found.
type report struct {
	Findings []finding `json:"findings"`
	// Notes are facts, hints, and what could not be seen.
	Notes []string `json:"notes,omitempty"`
	// Incomplete is set when what the person may not read could be wrong.
	Incomplete bool `json:"incomplete,omitempty"`
}

// examination looks at a cluster as the person who asks.
type examination struct {
	*session
	report
	discovery discovery.DiscoveryInterface
	clock     *serverClock
}

func (e *examination) found(place, do, wrong string, args ...any) {
	e.Findings = append(e.Findings, finding{view.Text(place, 200), view.Text(fmt.Sprintf(wrong, args...), 600), do})
}

func (e *examination) note(text string, args ...any) {
	if said := view.Text(fmt.Sprintf(text, args...), 600); !slices.Contains(e.Notes, said) {
		e.Notes = append(e.Notes, said)
	}
}

// reading sorts the error of a read: missing is set when there is no such object. What the
// person may not read is noted, and is neither ok nor missing: nothing is found about it.
func (e *examination) reading(what string, err error) (ok, missing bool, _ error) {
	switch {
	case err == nil:
		return true, false, nil
	case apierrors.IsForbidden(err):
		e.unread(what, "", err)
		e.Incomplete = true
		return false, false, nil
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return false, true, nil
	default:
		return false, false, fmt.Errorf("read %s: %w", what, err)
	}
}

// unread notes what the person may not read, who may, and what is known of it all the same.
func (e *examination) unread(what, known string, refusal error) {
	who := "a cluster administrator may"
	if roles, where := letting(refusal); len(roles) > 0 {
		who = fmt.Sprintf("the roles %s let you, %s", listed(roles), where)
	}
	e.note("Not looked at: you may not read %s; %s.%s", what, who, known)
}

// serverClock keeps how far the API server's clock is ahead of this machine's.
type serverClock struct {
	next http.RoundTripper
	now  func() time.Time
	// ahead is of the last response with a date, which has whole seconds.
	ahead time.Duration
}

// RoundTrip notes the date of a response.
func (c *serverClock) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(request)
	if err == nil {
		if date, unreadable := http.ParseTime(response.Header.Get("Date")); unreadable == nil {
			c.ahead = date.Sub(c.now().Truncate(time.Second))
		}
	}
	return response, err
}

// there is the API server's time.
func (c *serverClock) there() time.Time { return c.now().Add(c.ahead) }

func (a *app) doctor() *cobra.Command {
	var before bool
	cmd := &cobra.Command{
		Use:   "doctor [NAME]",
		Short: "Find what is wrong with the installation, or with a Rollout, and what to do",
		Long: "Without a NAME: find what is wrong with the installation of Belay. The API server, the CustomResourceDefinitions, the guard's policies and the roles are compared\n" +
			"with those of this program's version; the controller, its lease and the MetricSources have to be ready.\n" +
			"With the NAME of a Rollout: its workload, Service, routes, guardrails, autoscaler, runs and conditions, and which commands you may give.\n" +
			"With --before-install: whether a cluster without Belay fits, and whether you may install it.\n\n" +
			"It only reads, and tries writes in dry-runs. Each finding has a place, what is wrong, and what to do. What you may not read is named, with who may.\n" +
			"Exit code 0: nothing is wrong. 1: findings. 2: an error, so that it could not look. 3: nothing was found, and what you may not read could be wrong.",
		Example: `  kubectl belay doctor --before-install
  kubectl belay doctor
  kubectl belay doctor checkout -n shop
  kubectl belay doctor -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeRollouts,
	}
	cmd.Flags().BoolVar(&before, "before-install", false, "look at a cluster where Belay is not installed yet")
	format := resultOf(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if before && len(args) > 0 {
			return usage(errors.New("--before-install is about the cluster: leave the NAME out"))
		}
		e, err := a.examine()
		if err != nil {
			return err
		}
		switch {
		case before:
			err = e.beforeInstall(cmd.Context())
		case len(args) > 0:
			err = e.rolloutNamed(cmd.Context(), args[0])
		default:
			err = e.installation(cmd.Context())
		}
		if err != nil {
			return err
		}
		return a.tell(e.report, format)
	}
	return cmd
}

func (a *app) examine() (*examination, error) {
	e := &examination{clock: &serverClock{now: a.now}}
	var err error
	if e.session, err = a.connect(); err != nil {
		return nil, err
	}
	config, err := a.flags.ToRESTConfig()
	if err != nil {
		return nil, configured(err)
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		e.clock.next = next
		return e.clock
	})
	e.discovery, err = discovery.NewDiscoveryClientForConfig(config)
	return e, err
}

// tell prints a report; findings are the exit code 1, and none of what was not all looked at 3.
func (a *app) tell(r report, format *resultFormat) error {
	if r.Findings == nil {
		r.Findings = []finding{}
	}
	if err := a.printResult(format, r, func() string { return findingsScreen(a.terminal, r) }); err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		return exit{code: exitNo}
	}
	if r.Incomplete {
		return exit{code: exitUnknown}
	}
	return nil
}

// findingsScreen has one line for each finding, however wide: it is searched and copied from.
func findingsScreen(t terminal, r report) string {
	p := t.paint()
	for _, f := range r.Findings {
		p.WriteString(p.styled(cell{f.Place, bold}) + "  " + strings.TrimSuffix(f.Wrong, ".") + "  " + p.styled(cell{"→  " + f.Do, cyan}) + "\n")
	}
	for _, n := range r.Notes {
		p.WriteString(p.styled(cell{"note: " + n, dim}) + "\n")
	}
	switch n := len(r.Findings); {
	case n > 0:
		p.WriteString(counted(n, "finding") + ".\n")
	case r.Incomplete:
		p.WriteString("Nothing was found, but not everything was looked at.\n")
	default:
		p.WriteString("Nothing is wrong.\n")
	}
	return p.String()
}
