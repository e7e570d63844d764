package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// answer is what a question about a Rollout comes back with.
func answer(r *v1alpha1.Rollout, may func(right) bool) *question {
	q := &question{answered: make(chan struct{}), allowed: map[right]bool{}}
	for _, c := range needsOf(r) {
		for _, one := range slices.Concat(c.rights, c.inRun) {
			q.allowed[one] = may(one)
		}
	}
	close(q.answered)
	return q
}

// TestACommandThatIsBarredNamesWhoMay: roles that can give the command, not those that have what
// this person lacks of it.
func TestACommandThatIsBarredNamesWhoMay(t *testing.T) {
	in := read(t, "held")
	offered := view.Rollout(in).Actions
	lacking := func(lacks ...string) func(right) bool {
		return func(r right) bool { return !slices.Contains(lacks, r.verb+" "+r.resource) }
	}
	for name, c := range map[string]struct {
		may  func(right) bool
		want map[string]string
	}{
		"who may all":       {lacking(), nil},
		"no abort":          {lacking("abort rollouts"), map[string]string{"abort": "edit admin belay-oncall belay-sre"}},
		"an app team":       {lacking("bypass rollouts"), map[string]string{"bypass": "admin"}},
		"belay-sre alone":   {lacking("patch deployments"), map[string]string{"rollback": "edit admin", "bypass": "admin"}},
		"belay-oncall":      {lacking("patch deployments", "bypass rollouts"), map[string]string{"rollback": "edit admin", "bypass": "admin"}},
		"a reader of these": {lacking("get deployments"), map[string]string{"rollback": "edit admin", "bypass": "admin"}},
		"without Services":  {lacking("patch services"), map[string]string{"bypass": "admin"}},
		"without runs":      {lacking("list rolloutruns"), map[string]string{"rollback": "edit admin"}},
	} {
		may, barred := answer(in.Rollout, c.may).part(in.Rollout, offered)
		got := map[string]string{}
		for _, b := range barred {
			got[b.Command] = strings.Join(b.Roles, " ")
		}
		for command, roles := range c.want {
			if got[command] != roles {
				t.Errorf("%s: %s is for %q, want %q", name, command, got[command], roles)
			}
		}
		if len(got) != len(c.want) || len(may)+len(barred) != len(offered) {
			t.Errorf("%s: %q of %q, and barred %v", name, may, offered, got)
		}
	}
}

// TestABypassTakesServicesInARunOnly: outside of a run no Service selects a single version.
func TestABypassTakesServicesInARunOnly(t *testing.T) {
	r := read(t, "held").Rollout
	q := answer(r, func(one right) bool { return one.resource != "services" })
	for phase, barred := range map[v1alpha1.Phase]bool{v1alpha1.PhaseStepping: true, v1alpha1.PhaseRollingBack: true, v1alpha1.PhaseGating: false, v1alpha1.PhaseRolledBack: false, v1alpha1.PhaseStable: false} {
		r.Status.Phase = phase
		if _, not := q.part(r, []string{"bypass"}); len(not) == 1 != barred {
			t.Errorf("%s: barred are %v, want bypass to be: %t", phase, not, barred)
		}
	}
}

// TestABypassTakesNoServicesWithoutTraffic: a run that shares requests by pods has nothing that a
// bypass would have to undo.
func TestABypassTakesNoServicesWithoutTraffic(t *testing.T) {
	r := read(t, "held").Rollout
	r.Spec.Traffic = nil
	may, barred := answer(r, func(one right) bool { return one.resource != "services" }).part(r, []string{"bypass"})
	if !slices.Equal(may, []string{"bypass"}) || len(barred) > 0 {
		t.Errorf("offered are %q, and barred %v; want bypass", may, barred)
	}
}

// TestWhatWasNotAskedIsOffered: while a screen is shown, its Rollout may be made again for another
// Deployment.
func TestWhatWasNotAskedIsOffered(t *testing.T) {
	r := read(t, "held").Rollout
	q := answer(r, func(one right) bool { return one.verb != "abort" })
	r.Spec.WorkloadRef.Name = "another"
	may, barred := q.part(r, []string{"abort", "rollback", "bypass"})
	if !slices.Equal(may, []string{"rollback", "bypass"}) || len(barred) != 1 {
		t.Errorf("offered are %q, and barred %v; want abort to be barred", may, barred)
	}
}

// TestARightThatIsNotKnownIsNotLacked: an authorizer that fails has no opinion, and the API server
// says so beside a no.
func TestARightThatIsNotKnownIsNotLacked(t *testing.T) {
	in := read(t, "held")
	offered := view.Rollout(in).Actions
	for name, c := range map[string]struct {
		status authorizationv1.SubjectAccessReviewStatus
		want   []string
		notes  string
	}{
		"no opinion":   {authorizationv1.SubjectAccessReviewStatus{EvaluationError: "webhook: timeout"}, offered, "Which commands you may give is not known: webhook: timeout."},
		"still a yes":  {authorizationv1.SubjectAccessReviewStatus{Allowed: true, EvaluationError: "webhook: timeout"}, offered, "You may give: abort, pause, resume, promote, skip, approve, retry, override-freeze, rollback, bypass."},
		"a certain no": {authorizationv1.SubjectAccessReviewStatus{Denied: true, EvaluationError: "webhook: timeout"}, nil, "You may give: –."},
	} {
		t.Run(name, func(t *testing.T) {
			s := askable(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusCreated)
				_ = json.NewEncoder(w).Encode(&authorizationv1.SelfSubjectAccessReview{Status: c.status})
			})
			if may, barred := s.ask(t.Context(), in.Rollout, time.Minute).part(in.Rollout, offered); !slices.Equal(may, c.want) || len(may)+len(barred) != len(offered) {
				t.Errorf("offered are %q, and barred %v; want %q", may, barred, c.want)
			}
			e := &examination{session: s}
			if err := e.rights(t.Context(), in.Rollout); err != nil || len(e.Notes) == 0 || e.Notes[0] != c.notes {
				t.Errorf("%v, and notes %q, want %q", err, e.Notes, c.notes)
			}
		})
	}
}

// TestTheTableOfRightsIsThePages: what the screens go by is what docs/cli.md and the help of the
// commands say.
func TestTheTableOfRightsIsThePages(t *testing.T) {
	page, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	a, _, _ := testApp()
	kinds := map[string]string{"rollouts": "Rollout", "rolloutruns": "RolloutRuns", "deployments": "Deployment", "statefulsets": "StatefulSet", "services": "Services"}
	ofDeployment := read(t, "held").Rollout
	ofStatefulSet := ofDeployment.DeepCopy()
	ofStatefulSet.Spec.WorkloadRef.Kind = v1alpha1.KindStatefulSet
	for _, c := range slices.Concat(needsOf(ofDeployment), needsOf(ofStatefulSet)) {
		row := regexp.MustCompile("(?m)^\\| [^|]*`" + c.command + "`[^|]* \\| .*$").FindString(string(page))
		texts := map[string]string{"docs/cli.md#rights": strings.ReplaceAll(row, "the verb of that name", c.command)}
		if c.command == "rollback" || c.command == "bypass" {
			cmd, _, err := a.root().Find([]string{c.command})
			if err != nil {
				t.Fatal(err)
			}
			_, texts["the help"], _ = strings.Cut(cmd.Long, "It needs the verbs ")
		}
		for place, text := range texts {
			for _, one := range slices.Concat(c.rights, c.inRun) {
				if !regexp.MustCompile(`\b` + one.verb + `\b.* ` + kinds[one.resource] + `\b`).MatchString(text) {
					t.Errorf("%s of %s does not say %s on %s: %s", place, c.command, one.verb, kinds[one.resource], text)
				}
			}
			if said := strings.Contains(text, "while a run is in progress"); said != (len(c.inRun) > 0) {
				t.Errorf("%s of %s speaks of a run in progress: %t: %s", place, c.command, said, text)
			}
		}
	}
}

// TestAQuestionOnlyHelps: an API server that does not answer it, or refuses to, neither fails the
// screen nor keeps it for longer than it is asked for. Then everything is offered.
func TestAQuestionOnlyHelps(t *testing.T) {
	in := read(t, "held")
	offered := view.Rollout(in).Actions
	var asked atomic.Int32
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		within time.Duration
		want   []string
	}{
		"no answer": {func(_ http.ResponseWriter, r *http.Request) {
			// Only who has read it all sees that the other side has gone.
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, 20 * time.Millisecond, offered},
		"a refusal":       {func(w http.ResponseWriter, _ *http.Request) { respond(w, 403, "Forbidden") }, time.Minute, offered},
		"half an answer":  {reviewing(func(r right) bool { return r.verb != "pause" }, func(n int32) bool { return n%2 == 0 }, &asked), time.Minute, offered},
		"a whole answer":  {reviewing(func(r right) bool { return r.verb == "patch" || r.verb == "pause" }, func(int32) bool { return true }, &asked), time.Minute, []string{"pause"}},
		"all is refused":  {reviewing(func(right) bool { return false }, func(int32) bool { return true }, &asked), time.Minute, nil},
		"all is possible": {reviewing(func(right) bool { return true }, func(int32) bool { return true }, &asked), time.Minute, offered},
	} {
		t.Run(name, func(t *testing.T) {
			q := askable(t, c.answer).ask(t.Context(), in.Rollout, c.within)
			for range 3 {
				if may, barred := q.part(in.Rollout, offered); !slices.Equal(may, c.want) || len(may)+len(barred) != len(offered) {
					t.Errorf("offered are %q, and barred %v; want %q", may, barred, c.want)
				}
			}
		})
	}
}

// askable is a session with an API server that answers questions about rights so.
func askable(t *testing.T, answer http.HandlerFunc) *session {
	t.Helper()
	kinds := serving(kind{"authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false})
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			answer(w, r)
			return
		}
		kinds(w, r)
	})
	types, err := scheme()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := client.New(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, client.Options{Scheme: types})
	if err != nil {
		t.Fatal(err)
	}
	return &session{Client: cluster}
}

// TestDoctorGoesOnWithoutAnAnswerAboutRights: what it has found is worth more than which commands
// somebody may give.
func TestDoctorGoesOnWithoutAnAnswerAboutRights(t *testing.T) {
	for status, want := range map[int]string{403: "Which commands you may give is not known: you may not ask for your rights.", 500: ""} {
		e := &examination{session: askable(t, func(w http.ResponseWriter, _ *http.Request) { respond(w, status, http.StatusText(status)) })}
		err := e.rights(t.Context(), read(t, "held").Rollout)
		if got := strings.Join(e.Notes, " "); (err == nil) != (want != "") || got != want || e.Incomplete {
			t.Errorf("%d: %v, and notes %q, want %q", status, err, got, want)
		}
	}
}

// reviewing answers the reviews that it is asked, as far as works says so by their number.
func reviewing(may func(right) bool, works func(int32) bool, asked *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		review := &authorizationv1.SelfSubjectAccessReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil || !works(asked.Add(1)) {
			respond(w, 500, "InternalError")
			return
		}
		of := review.Spec.ResourceAttributes
		review.Status.Allowed = may(right{of.Verb, of.Group, of.Resource, of.Name})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
	}
}

// TestDoctorSaysWhoMayGiveACommand: roles, as the screens name them, beside the rights.
func TestDoctorSaysWhoMayGiveACommand(t *testing.T) {
	var asked atomic.Int32
	may := func(one right) bool { return one.verb != "bypass" && one.resource != "deployments" }
	e := &examination{session: askable(t, reviewing(may, func(int32) bool { return true }, &asked))}
	if err := e.rights(t.Context(), read(t, "held").Rollout); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"You may give: abort, pause, resume, promote, skip, approve, retry, override-freeze.",
		"You may not give: rollback (lacks get deployments, patch deployments), bypass (lacks bypass rollouts, get deployments, patch deployments). Roles: docs/security.md.",
		"For rollback ask somebody with the role edit or admin.",
		"For bypass ask somebody with the role admin.",
	}
	if !slices.Equal(e.Notes, want) {
		t.Errorf("the notes are %q, want %q", e.Notes, want)
	}
}

// TestRightsAreAskedOnce, however often a screen is drawn anew; and not at all for objects.
func TestRightsAreAskedOnce(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "nothing"))
	in := read(t, "promoted")
	in.Rollout.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Rollout"}
	needed := map[right]bool{}
	for _, c := range needsOf(in.Rollout) {
		for _, one := range slices.Concat(c.rights, c.inRun) {
			needed[one] = true
		}
	}
	kinds := serving(slices.Concat(others, belays, []kind{{"authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false}})...)
	for name, c := range map[string]struct {
		args []string
		want int32
	}{
		"a live screen": {[]string{"status", "checkout", "-w"}, int32(len(needed))},
		"a screen":      {[]string{"status", "checkout"}, int32(len(needed))},
		"an object":     {[]string{"status", "checkout", "-o", "json"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			defer end()
			var asked, drawn atomic.Int32
			server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost:
					asked.Add(1)
					respond(w, 403, "Forbidden")
				case strings.HasSuffix(r.URL.Path, "/rollouts/checkout"):
					if drawn.Add(1) > 5 {
						end()
					}
					w.Header().Set("Content-Type", "application/json")
					_ = json.NewEncoder(w).Encode(in.Rollout)
				default:
					kinds(w, r)
				}
			})
			a, out, _ := testApp()
			root := a.root()
			root.SetArgs(append(c.args, "-n", "shop", "--server", server.URL))
			if err := root.ExecuteContext(ctx); err != nil {
				t.Fatal(err)
			}
			if asked.Load() != c.want || !strings.Contains(out.String(), "checkout") {
				t.Errorf("%d rights were asked for in %d readings, want %d:\n%s", asked.Load(), drawn.Load(), c.want, out)
			}
		})
	}
}

// TestQuestionsWaitForNoClient: a screen waits for a second, and a client that holds requests back
// by itself would use up most of it. Held back to client-go's 5 a second, these questions would
// take longer than they may here, by far.
func TestQuestionsWaitForNoClient(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "nothing"))
	var asked atomic.Int32
	in, kinds := read(t, "held"), serving(kind{"authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false})
	server := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			asked.Add(1)
			respond(w, 403, "Forbidden")
			return
		}
		kinds(w, r)
	})
	a, _, _ := testApp()
	if err := a.root().ParseFlags([]string{"--server", server.URL}); err != nil {
		t.Fatal(err)
	}
	s, err := a.connect()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 20 {
		if _, err := s.allowed(ctx, in.Rollout); !apierrors.IsForbidden(err) || strings.Contains(err.Error(), "rate limiter") {
			t.Fatalf("after %d questions: %v", asked.Load(), err)
		}
	}
	if asked.Load() < 200 {
		t.Errorf("%d questions were asked", asked.Load())
	}
}
