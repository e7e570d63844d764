package integration

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"belay.dev/belay/api/v1alpha1"
)

// crew are the people of docs/security.md#roles, with what they are bound to. Nothing aggregates
// roles here, so view, edit and admin are spelled out.
var crew = []struct {
	name string
	// roles are bound in the shop's namespace, inCluster in the whole cluster.
	roles, inCluster []string
}{
	{name: "nobody"},
	{name: "viewer", roles: []string{"system:aggregate-to-view", "belay-view"}},
	{name: "oncall", inCluster: []string{"belay-oncall"}},
	{name: "sre", inCluster: []string{"belay-sre"}},
	{name: "team", roles: []string{"system:aggregate-to-view", "system:aggregate-to-edit", "belay-view", "belay-edit"}},
	{name: "owner", roles: []string{"system:aggregate-to-view", "system:aggregate-to-edit", "system:aggregate-to-admin", "belay-view", "belay-edit", "belay-admin"}},
}

// hire binds the crew to a namespace, and returns their user names.
func hire(t *testing.T, namespace string) map[string]string {
	t.Helper()
	users := map[string]string{}
	for _, p := range crew {
		user := p.name + "-of-" + namespace
		users[p.name] = user
		bind(t, admin, user, p.inCluster...)
		for _, role := range p.roles {
			create(t, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user + "-" + strings.ReplaceAll(role, ":", "-")},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}})
		}
	}
	for name, verb := range map[string]string{"viewer": "list", "oncall": "abort", "sre": "bypass", "team": "update", "owner": "bypass"} {
		NewWithT(t).Eventually(func() bool { return may(t, users[name], verb, "belay.dev", "rollouts", namespace) }).WithTimeout(soon).WithPolling(20 * time.Millisecond).Should(BeTrue())
	}
	return users
}

func may(t *testing.T, user, verb, group, resource, namespace string) bool {
	t.Helper()
	resource, sub, _ := strings.Cut(resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: group, Resource: resource, Subresource: sub}}}
	if err := admin.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// TestRolesOnEveryKind asks for every verb on every kind, as each role.
func TestRolesOnEveryKind(t *testing.T) {
	t.Parallel()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "roles-"}}
	create(t, namespace)
	users := hire(t, namespace.Name)
	const read, write, commands = "get list watch", "create update patch delete", "abort approve pause promote resume retry skip"
	want := map[string]map[string]string{
		"rollouts":             {"viewer": read, "oncall": read + " patch " + commands, "sre": read + " patch bypass overridefreeze " + commands, "team": strings.Join([]string{read, write, commands}, " "), "owner": strings.Join([]string{read, write, commands, "bypass"}, " ")},
		"rolloutruns":          {"viewer": read, "oncall": read, "sre": read, "team": read, "owner": read},
		"guardrails":           {"viewer": read, "oncall": read, "sre": read + " " + write, "team": read, "owner": read + " " + write},
		"clusterguardrails":    {"sre": read + " " + write},
		"metricsources":        {"oncall": read, "sre": read + " " + write},
		"checkendpoints":       {"sre": read + " " + write},
		"freezes":              {"viewer": read, "oncall": read, "sre": read + " " + write, "team": read, "owner": read},
		"clusterfreezes":       {"oncall": read, "sre": read + " " + write},
		"rollouts/status":      {"viewer": read, "team": read, "owner": read},
		"rolloutruns/status":   {"viewer": read, "team": read, "owner": read},
		"guardrails/status":    {},
		"metricsources/status": {},
	}
	reader := "reader-of-" + namespace.Name
	bind(t, admin, reader, "belay-cluster-view")
	for _, resource := range []string{"clusterguardrails", "clusterfreezes", "metricsources", "checkendpoints"} {
		NewWithT(t).Eventually(func() bool { return may(t, reader, "list", "belay.dev", resource, "") }).WithTimeout(soon).WithPolling(20 * time.Millisecond).Should(BeTrue())
		for verb := range strings.FieldsSeq(write) {
			if may(t, reader, verb, "belay.dev", resource, "") {
				t.Errorf("who reads the cluster's kinds may %s %s", verb, resource)
			}
		}
	}
	everybody := map[string]string{"viewer": read, "oncall": read, "sre": read, "team": read, "owner": read}
	for kind, by := range map[string]map[string]string{
		"apps/deployments": {"oncall": read, "sre": read}, "apps/replicasets": {"sre": read}, "/pods": {"oncall": read, "sre": read}, "/services": {"oncall": read, "sre": read},
		"autoscaling/horizontalpodautoscalers": {"oncall": read, "sre": read}, "gateway.networking.k8s.io/httproutes": everybody, "gateway.networking.k8s.io/grpcroutes": everybody,
		"/secrets": {}, "/configmaps": {}, "/pods/log": {}, "/pods/exec": {}, "apps/deployments/scale": {}, "coordination.k8s.io/leases": {},
	} {
		group, resource, _ := strings.Cut(kind, "/")
		for _, p := range crew {
			// What the cluster's own roles let people do with the kinds of Kubernetes is not Belay's.
			if p.roles != nil && len(by) != len(everybody) {
				continue
			}
			for verb := range strings.FieldsSeq(read + " " + write + " deletecollection") {
				if got, want := may(t, users[p.name], verb, group, resource, namespace.Name), slices.Contains(strings.Fields(by[p.name]), verb); got != want {
					t.Errorf("%s may %s %s: %v, want %v", p.name, verb, kind, got, want)
				}
			}
		}
	}
	for resource, by := range want {
		in := namespace.Name
		if slices.Contains([]string{"clusterguardrails", "clusterfreezes", "metricsources", "metricsources/status", "checkendpoints"}, resource) {
			in = ""
		}
		for _, p := range crew {
			for verb := range strings.FieldsSeq(read + " " + write + " deletecollection " + commands + " bypass overridefreeze") {
				if got, want := may(t, users[p.name], verb, "belay.dev", resource, in), slices.Contains(strings.Fields(by[p.name]), verb); got != want {
					t.Errorf("%s may %s %s: %v, want %v", p.name, verb, resource, got, want)
				}
			}
		}
	}
}

// tried is one command line, and how it ends for each of the crew: by an exit code, and what is
// said. Who is not named ends as everybody.
type tried struct {
	line      string
	everybody outcome
	by        map[string]outcome
}

type outcome struct {
	code  int
	words string
}

// Refusals of the API server name the roles that have the right.
var (
	fine    = outcome{0, ""}
	unread  = outcome{2, "The roles view, edit, admin, belay-oncall and belay-sre let you"}
	noOrder = outcome{2, "The roles edit, admin, belay-oncall and belay-sre let you"}
)

// TestEveryRoleTriesEveryCommand of kubectl belay: what is allowed works, and what is refused
// says who may.
func TestEveryRoleTriesEveryCommand(t *testing.T) {
	s := open(t)
	me := personIn(t, s.namespace, "root@example.com", "system:masters")
	create(t, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "plain"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "plain"}}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "plain"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "plain", Image: good}}}}}})
	users, people := hire(t, s.namespace), map[string]person{}
	for name, user := range users {
		p := me
		p.config = kubeconfigOf(t, envtest.User{Name: user})
		people[name] = p
	}
	s.release(better)
	s.until("at 50 %", atWeight)
	run := s.rollout().Status.Run
	reads := func(line string, ends outcome) tried { return tried{line, ends, map[string]outcome{"nobody": unread}} }
	blind := outcome{2, `cannot get resource "deployments" in API group "apps"`}
	asked := []tried{
		reads("status shop", outcome{0, "1/1 ready"}), reads("list", fine), reads("why shop", fine), reads("history shop", fine), reads("log shop", fine), reads("show "+run, fine),
		reads("diff "+run, outcome{1, "shop:v2"}), reads("verify shop", outcome{0, "VERIFIED"}), reads("replay shop", outcome{0, "THE SAME"}),
		reads("export shop --to FOLDER", fine), reads("doctor shop", outcome{0, "Nothing is wrong."}),
		{"list -A", fine, map[string]outcome{"nobody": unread, "viewer": {2, "when they are bound for the whole cluster"}, "team": {2, "by a ClusterRoleBinding"}, "owner": {2, "by a ClusterRoleBinding"}}},
		reads("wait shop --timeout 10ms", outcome{14, "Time out"}),
		reads("wait shop --timeout 10ms --revision "+s.rollout().Status.Candidate.Revision, outcome{14, "Time out"}),
		{"doctor", outcome{3, "Not looked at: you may not read CustomResourceDefinitions"}, map[string]outcome{"oncall": {1, "the controller has not asked it yet"}, "sre": {1, "the controller has not asked it yet"}}},
		{"init plain", outcome{0, "kind: Guardrail"}, map[string]outcome{"nobody": blind, "oncall": {2, "The roles view, edit, admin and belay-sre let you"}}},
		reads("backtest shop --prometheus http://127.0.0.1:1 --split shop-1", outcome{2, "127.0.0.1:1"}),
		{"status nothing", outcome{2, `no Rollout "nothing" in namespace`}, map[string]outcome{"nobody": unread}},
	}
	s.measured(people)
	// Nobody looks meanwhile, so that a command stays as it was given.
	step := fmt.Sprintf(" --step %d", s.rollout().Status.Step.Index+1)
	for command, at := range map[string]string{"pause": "", "promote": "", "skip": step, "approve": step, "abort": ""} {
		asked = append(asked, tried{command + " shop --timeout 0 --reason because" + at, fine, map[string]outcome{"nobody": unread, "viewer": noOrder}})
	}
	seen := map[string]bool{}
	try := func(c tried) {
		t.Helper()
		seen[strings.Fields(c.line)[0]] = true
		for _, p := range crew {
			ends, ok := c.by[p.name]
			if !ok {
				ends = c.everybody
			}
			got := people[p.name].says(strings.Fields(strings.ReplaceAll(c.line, "FOLDER", filepath.Join(t.TempDir(), "evidence")))...)
			if got.code != ends.code || !strings.Contains(got.out+got.err, ends.words) {
				t.Errorf("%s: %s: exit code %d, want %d and %q:\n%s%s", p.name, c.line, got.code, ends.code, ends.words, got.out, got.err)
			}
			if action, _, acts := strings.Cut(c.line, " shop --timeout 0 --reason"); acts && ends.code == 0 {
				answered(s, action, users[p.name])
			}
		}
	}
	for _, c := range asked {
		try(c)
	}
	offers(t, people)
	// A pause is there, and then a rejection.
	s.must(s.analysis.Status().Patch(t.Context(), s.rollout(), client.RawPatch(types.MergePatchType, mustJSON(t, map[string]any{"status": map[string]any{"pause": map[string]any{
		"revision": s.rollout().Status.Candidate.Revision, "by": "ann", "at": metav1.Now()}}}))))
	try(tried{"resume shop --timeout 0 --reason because", fine, map[string]outcome{"nobody": unread, "viewer": noOrder}})
	me.expect(me.says("resume", "shop", "--timeout", "0"), 0)
	s.until("resumed", func(r *v1alpha1.Rollout) bool { return r.Status.Pause == nil })
	me.expect(me.says("abort", "shop", "--timeout", "0"), 0)
	s.until("rolled back", inPhase(v1alpha1.PhaseRolledBack))
	try(tried{"retry shop --timeout 0 --reason because", fine, map[string]outcome{"nobody": unread, "viewer": noOrder}})
	bypass := "bypass shop --yes --timeout 0 --reason outage"
	try(tried{bypass, outcome{2, "needs the verb bypass on rollouts.belay.dev/shop"}, map[string]outcome{"nobody": unread, "viewer": {2, "The roles edit and admin let you"},
		"oncall": {2, "The roles edit and admin let you"}, "sre": {2, "The roles edit and admin let you"}, "team": {2, "the roles admin and belay-sre have it"}, "owner": {0, "rolls out v2"}}})
	// The owner's bypass leaves the Deployment at v2.
	for _, name := range []string{"team", "owner"} {
		s.must(admin.Patch(t.Context(), s.deployment(), client.RawPatch(types.StrategicMergePatchType, fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"shop","image":%q}]}}}}`, better))))
		people[name].expect(people[name].says("rollback", "shop", "--timeout", "0"), 0, "declares revision")
	}
	s.must(admin.Patch(t.Context(), s.deployment(), client.RawPatch(types.StrategicMergePatchType, fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"shop","image":%q}]}}}}`, better))))
	try(tried{"rollback shop --timeout 0", outcome{2, "no version was promoted before v1"}, map[string]outcome{"nobody": unread, "viewer": {2, "The roles edit and admin let you"},
		"oncall": {2, "The roles edit and admin let you"}, "sre": {2, "The roles edit and admin let you"}, "team": {0, "declares revision"}}})
	for _, command := range commandsOf(t, me) {
		if !seen[command] && !slices.Contains([]string{"lint", "help", "completion"}, command) {
			t.Errorf("nobody tried %s: every command needs a row here", command)
		}
	}
}

// measured lets Belay say of the guardrail that its source answers. Before that, who may not read
// MetricSources is not told that nothing is wrong.
func (s *shop) measured(people map[string]person) {
	s.t.Helper()
	for name, p := range people {
		switch got := p.says("doctor", "shop"); name {
		case "nobody":
		case "oncall", "sre":
			p.expect(got, 0, "Nothing is wrong.")
		default:
			p.expect(got, 3, "Not looked at: you may not read MetricSources; the roles belay-cluster-view, belay-oncall and belay-sre let you, when they are bound for the whole cluster", "not everything was looked at")
		}
	}
	g := &v1alpha1.Guardrail{}
	s.must(admin.Get(s.t.Context(), s.key(), g))
	s.must(s.analysis.Status().Patch(s.t.Context(), g, client.RawPatch(types.MergePatchType, mustJSON(s.t, map[string]any{"status": map[string]any{"conditions": []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonMeasured, Message: "errors: 0 of 100", ObservedGeneration: g.Generation, LastTransitionTime: metav1.Now()}}}}))))
	people["owner"].expect(people["owner"].says("doctor", "shop"), 0, "Not looked at: you may not read MetricSources", "The status of Guardrail shop tells what Belay got from MetricSource shops.")
}

// offers compares what status and why offer with what each may do.
func offers(t *testing.T, people map[string]person) {
	t.Helper()
	for name, barred := range map[string]map[string]string{
		"viewer": {"abort": "edit, admin, belay-oncall or belay-sre", "rollback": "edit or admin"},
		"oncall": {"rollback": "edit or admin"}, "sre": {"rollback": "edit or admin"}, "team": {}, "owner": {},
	} {
		for _, command := range []string{"status", "why"} {
			got := people[name].says(command, "shop")
			text := strings.Join(strings.Fields(got.out), " ")
			for _, action := range []string{"abort", "rollback"} {
				roles, not := barred[action]
				if offered := strings.Contains(text, "kubectl belay "+action+" shop"); offered == not {
					t.Errorf("%s: %s offers %s: %t\n%s", name, command, action, offered, got.out)
				}
				if refused := regexp.MustCompile("You may not give [a-z, ]*" + action + "[a-z, ]*: ask somebody with the role " + roles + `\.`); not && !refused.MatchString(text) {
					t.Errorf("%s: %s does not say who may %s:\n%s", name, command, action, got.out)
				}
			}
		}
	}
}

// answered holds a command to its author, and lets it count as answered.
func answered(s *shop, action, user string) {
	s.t.Helper()
	r := s.rollout()
	if got := r.Annotations[v1alpha1.AnnotationAction]; !strings.EqualFold(got, action) || r.Annotations[v1alpha1.AnnotationActionBy] != user {
		s.t.Errorf("%s by %s is recorded as %s by %s", action, user, got, r.Annotations[v1alpha1.AnnotationActionBy])
	}
	raw, err := json.Marshal(map[string]any{"status": map[string]any{"lastHandledAction": map[string]any{
		"action": r.Annotations[v1alpha1.AnnotationAction], "token": r.Annotations[v1alpha1.AnnotationActionToken], "at": metav1.Now()}}})
	s.must(err)
	s.must(s.analysis.Status().Patch(s.t.Context(), r, client.RawPatch(types.MergePatchType, raw)))
}

// commandsOf are the commands that the help lists.
func commandsOf(t *testing.T, p person) (names []string) {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), p.path, "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(help), "\nFlags:")
	_, list, _ := strings.Cut(before, "\nSee:")
	for _, found := range regexp.MustCompile(`(?m)^  ([a-z]+) +[A-Z]`).FindAllStringSubmatch(list, -1) {
		names = append(names, found[1])
	}
	if len(names) < 20 {
		t.Fatalf("the help lists %q", names)
	}
	return names
}
