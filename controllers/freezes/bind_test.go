package freezes_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/freezes"
)

const monday = "2026-11-30T08:00:00Z"

// spec is a freeze over a weekend, with the changes.
func spec(t testing.TB, changes ...func(*v1alpha1.FreezeSpec)) v1alpha1.FreezeSpec {
	t.Helper()
	s := v1alpha1.FreezeSpec{Owner: "sre@example.com", Reason: "Black Friday", Windows: []v1alpha1.FreezeWindow{dates(t, "2026-11-27T00:00:00Z", monday)}}
	for _, c := range changes {
		c(&s)
	}
	return s
}

func unread(s *v1alpha1.FreezeSpec) {
	s.Windows = append(s.Windows, recurs("FREQ=DAILY", "2026-01-01T00:00", "1h", "Europe/Atlantis"))
}

func selecting(key, value string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

// unreadable is a selector that the API server of an older Kubernetes may have let in.
func unreadable() metav1.LabelSelector {
	return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Perhaps"}}}
}

func local(name, namespace string, s v1alpha1.FreezeSpec) client.Object {
	return &v1alpha1.Freeze{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: s}
}

func cluster(name string, namespaces metav1.LabelSelector, s v1alpha1.FreezeSpec) client.Object {
	return &v1alpha1.ClusterFreeze{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ClusterFreezeSpec{FreezeSpec: s, NamespaceSelector: namespaces}}
}

func known(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	return s
}

func shop() *v1alpha1.Rollout {
	return &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "checkout", Namespace: "shop", Labels: map[string]string{"tier": "gold"}}}
}

func TestBind(t *testing.T) {
	for name, c := range map[string]struct {
		freezes []client.Object
		reason  string
		opens   string
		says    []string
	}{
		"none":                 {nil, "", "", nil},
		"of another namespace": {[]client.Object{local("a", "search", spec(t))}, "", "", nil},
		"of this one":          {[]client.Object{local("black-friday", "shop", spec(t))}, v1alpha1.ReasonFrozen, monday, []string{`held by Freeze shop/black-friday (owner: "sre@example.com"; reason: "Black Friday"), opens 2026-11-30 08:00 UTC`}},
		"of other Rollouts":    {[]client.Object{local("a", "shop", spec(t, func(s *v1alpha1.FreezeSpec) { s.RolloutSelector = selecting("tier", "tin") }))}, "", "", nil},
		"of these":             {[]client.Object{local("a", "shop", spec(t, func(s *v1alpha1.FreezeSpec) { s.RolloutSelector = selecting("tier", "gold") }))}, v1alpha1.ReasonFrozen, monday, nil},
		"not yet":              {[]client.Object{local("a", "shop", spec(t, func(s *v1alpha1.FreezeSpec) { s.Windows[0] = dates(t, monday, "2026-12-01T08:00:00Z") }))}, "", "", nil},
		"expired":              {[]client.Object{local("a", "shop", spec(t, func(s *v1alpha1.FreezeSpec) { e := metav1.NewTime(at(t, "2026-11-27T10:00:00Z")); s.Expires = &e }))}, "", "", nil},
		"expired, unreadable":  {[]client.Object{local("a", "shop", spec(t, unread, func(s *v1alpha1.FreezeSpec) { e := metav1.NewTime(at(t, "2026-11-27T10:00:00Z")); s.Expires = &e }))}, "", "", nil},
		"of all namespaces":    {[]client.Object{cluster("all", metav1.LabelSelector{}, spec(t))}, v1alpha1.ReasonFrozen, monday, []string{"held by ClusterFreeze all ("}},
		"of such namespaces":   {[]client.Object{cluster("all", selecting("env", "prod"), spec(t))}, v1alpha1.ReasonFrozen, monday, nil},
		"of other namespaces":  {[]client.Object{cluster("all", selecting("env", "test"), spec(t))}, "", "", nil},
		"the last that opens": {[]client.Object{local("a", "shop", spec(t)), cluster("b", metav1.LabelSelector{}, spec(t, func(s *v1alpha1.FreezeSpec) {
			s.Windows = append(s.Windows, dates(t, "2026-11-27T00:00:00Z", "2026-12-24T00:00:00Z"))
		}))}, v1alpha1.ReasonFrozen, "2026-12-24T00:00:00Z", []string{"ClusterFreeze b", "; Freeze shop/a"}},
		"one that cannot be read":  {[]client.Object{local("a", "shop", spec(t)), local("b", "shop", spec(t, unread))}, v1alpha1.ReasonFreezeUnclear, "", []string{"it is not known whether a freeze holds: Freeze shop/b (", `windows[1]: timeZone "Europe/Atlantis" is not known`, ": correct it"}},
		"unreadable, of others":    {[]client.Object{local("b", "shop", spec(t, unread, func(s *v1alpha1.FreezeSpec) { s.RolloutSelector = selecting("tier", "tin") }))}, "", "", nil},
		"an unreadable selector":   {[]client.Object{cluster("b", unreadable(), spec(t))}, v1alpha1.ReasonFreezeUnclear, "", []string{"namespaceSelector cannot be read"}},
		"that selector, and open":  {[]client.Object{cluster("b", unreadable(), spec(t, func(s *v1alpha1.FreezeSpec) { s.Windows[0] = dates(t, monday, "2026-12-01T08:00:00Z") }))}, "", "", nil},
		"that selector, of others": {[]client.Object{cluster("b", unreadable(), spec(t, func(s *v1alpha1.FreezeSpec) { s.RolloutSelector = selecting("tier", "tin") }))}, "", "", nil},
		"many": {[]client.Object{local("a", "shop", spec(t)), local("b", "shop", spec(t)), local("c", "shop", spec(t)), local("d", "shop", spec(t)), local("e", "shop", spec(t))},
			v1alpha1.ReasonFrozen, monday, []string{"Freeze shop/c", "; and 2 more"}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"env": "prod"}}}
			c1 := fake.NewClientBuilder().WithScheme(known(t)).WithObjects(append(c.freezes, namespace)...).Build()
			held := freezes.Bind(t.Context(), c1, shop(), at(t, "2026-11-27T12:00:00Z"))
			if held.Reason != c.reason || c.opens == "" != held.Opens.IsZero() || c.opens != "" && !held.Opens.Equal(at(t, c.opens)) {
				t.Errorf("%+v, want %s until %s", held, c.reason, c.opens)
			}
			for _, words := range c.says {
				if !strings.Contains(held.Message, words) {
					t.Errorf("the message lacks %q: %s", words, held.Message)
				}
			}
		})
	}
}

// TestAMessageIsBounded, whatever people write.
func TestAMessageIsBounded(t *testing.T) {
	var all []client.Object
	for _, name := range []string{"a", "b", "c", "d"} {
		all = append(all, local(strings.Repeat(name, 253), "shop", spec(t, func(s *v1alpha1.FreezeSpec) {
			s.Owner, s.Reason = strings.Repeat("\x01", 100), strings.Repeat("ä", 100)
		})))
	}
	held := freezes.Bind(t.Context(), fake.NewClientBuilder().WithScheme(known(t)).WithObjects(all...).Build(), shop(), at(t, "2026-11-27T12:00:00Z"))
	if len(held.Message) > 750 || strings.ContainsRune(held.Message, 1) {
		t.Errorf("%d bytes: %q", len(held.Message), held.Message)
	}
}

// TestWhatIsNotKnownHolds: an error is no open gate, but a cluster without the kinds has no
// freeze.
func TestWhatIsNotKnownHolds(t *testing.T) {
	missing := &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "belay.dev", Kind: "Freeze"}}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"not installed": {missing, ""},
		"refused":       {errors.New("forbidden"), v1alpha1.ReasonFreezeUnclear},
	} {
		t.Run(name, func(t *testing.T) {
			broken := fake.NewClientBuilder().WithScheme(known(t)).WithInterceptorFuncs(interceptor.Funcs{
				List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return c.err },
			}).Build()
			if held := freezes.Bind(t.Context(), broken, shop(), at(t, "2026-11-27T12:00:00Z")); held.Reason != c.want {
				t.Errorf("%+v, want %q", held, c.want)
			}
		})
	}
	without := fake.NewClientBuilder().WithScheme(known(t)).WithObjects(cluster("all", metav1.LabelSelector{}, spec(t))).Build()
	if held := freezes.Bind(t.Context(), without, shop(), at(t, "2026-11-27T12:00:00Z")); held.Reason != v1alpha1.ReasonFreezeUnclear {
		t.Errorf("without the labels of the namespace: %+v", held)
	}
}
