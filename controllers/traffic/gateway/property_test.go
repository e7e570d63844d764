package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/gateway"
	"belay.dev/belay/controllers/traffic/gateway/gatewaytest"
)

// generator makes routes as users write them, with fields that Belay does not know.
type generator struct{ *rand.Rand }

func (g generator) often(n int) bool { return g.IntN(10) < n }

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) match() map[string]any {
	m := map[string]any{"path": map[string]any{"type": g.one("PathPrefix", "Exact"), "value": g.one("/", "/api", "/<ä&>")}}
	if g.often(4) {
		m["method"] = g.one("GET", "POST")
	}
	if g.often(4) {
		m["headers"] = []any{map[string]any{"type": "Exact", "name": g.one("x-beta", "X-Canary", "x-region"), "value": g.one("1", "2")}}
	}
	if g.often(3) {
		m["queryParams"] = []any{map[string]any{"name": "q", "value": "1", "futureField": true}}
	}
	return m
}

func (g generator) reference(name string) map[string]any {
	ref := map[string]any{"group": "", "kind": "Service", "name": name, "port": int64(80)}
	if g.often(7) {
		ref["weight"] = int64(g.IntN(90))
	}
	if g.often(2) {
		ref["filters"] = []any{map[string]any{"type": "RequestHeaderModifier", "requestHeaderModifier": map[string]any{"remove": []any{"x-a"}}}}
	}
	return ref
}

func (g generator) rule(i int) map[string]any {
	r := map[string]any{}
	if g.often(8) {
		var matches []any
		for range 1 + g.IntN(3) {
			matches = append(matches, g.match())
		}
		r["matches"] = matches
	}
	if g.often(4) {
		r["name"] = fmt.Sprint("rule-", i)
	}
	if g.often(4) {
		r["filters"] = []any{map[string]any{"type": "URLRewrite", "urlRewrite": map[string]any{"hostname": "shop.example"}}, map[string]any{"type": "Future", "future": map[string]any{"n": int64(1), "list": []any{"b", "a"}}}}
	}
	if g.often(1) {
		r["filters"] = []any{}
	}
	if g.often(2) {
		own, _ := r["filters"].([]any)
		r["filters"] = append(own, map[string]any{"type": "RequestMirror", "requestMirror": map[string]any{"backendRef": map[string]any{"name": g.one("elsewhere", "shop-stable", "shop"), "port": int64(80)}, "percent": int64(5)}})
	}
	if g.often(3) {
		r["timeouts"], r["sessionPersistence"] = map[string]any{"request": "10s"}, map[string]any{"type": "Cookie", "sessionName": "s"}
	}
	if g.often(3) {
		r["futureField"] = map[string]any{"z": 1.5, "a": "<>&", "none": []any{}}
	}
	var refs []any
	switch g.IntN(5) {
	case 0:
		refs = append(refs, g.reference("elsewhere"))
	case 1:
		refs = append(refs, g.reference("shop"), g.reference("elsewhere"), g.reference("third"))
	default:
		refs = append(refs, g.reference("shop"))
	}
	r["backendRefs"] = refs
	return r
}

func (g generator) rules() []any {
	var out []any
	for i := range 1 + g.IntN(5) {
		out = append(out, g.rule(i))
	}
	shop := map[string]any{"backendRefs": []any{g.reference("shop")}}
	testers := map[string]any{"name": "my-testers", "matches": []any{g.match()}, "backendRefs": []any{g.reference("shop-canary")}}
	return append(out, shop, testers)
}

func (g generator) split() traffic.Split {
	s := traffic.Split{Canary: []int32{0, 0, 1, 10, 50, 99, 100}[g.IntN(7)]}
	switch g.IntN(5) {
	case 4:
		s.Mirror = []int32{1, 10, 99, 100}[g.IntN(4)]
	case 0:
		s.Testers = &v1alpha1.StepMatch{Headers: []v1alpha1.HeaderMatch{{Type: v1alpha1.MatchExact, Name: "x-canary", Value: "1"}}}
	case 1:
		s.Testers = &v1alpha1.StepMatch{Cookies: []v1alpha1.CookieMatch{{Name: "beta", Value: "a+b"}}, QueryParams: []v1alpha1.QueryParamMatch{{Type: v1alpha1.MatchExact, Name: "preview", Value: "1"}}}
	}
	return s
}

// TestEverythingOfTheUsersStays: whatever a route has, and whatever is applied to it in which
// order, by however many controllers one after another, everything but the backendRefs of the
// user's Service and the rules for testers stays byte by byte, other Services keep their
// proportions, and a release leaves the route as it was.
func TestEverythingOfTheUsersStays(t *testing.T) {
	known := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(known))
	for _, drops := range []bool{false, true} {
		for seed := range uint64(50) {
			g := generator{rand.New(rand.NewPCG(seed, 12))}
			t.Run(fmt.Sprintf("names dropped %t, seed %d", drops, seed), func(t *testing.T) { g.tell(t, known, drops) })
		}
	}
}

func (g generator) tell(t *testing.T, known *runtime.Scheme, drops bool) {
	object := gateway.Route(v1alpha1.KindHTTPRoute)
	object.SetNamespace("shop")
	object.SetName("shop")
	rules := g.rules()
	if drops {
		dropNames(rules)
	}
	object.Object["spec"] = map[string]any{"parentRefs": []any{map[string]any{"name": "gateway"}}, "hostnames": []any{"shop.example"}, "rules": rules, "futureField": "x"}
	if g.often(5) {
		object.SetAnnotations(map[string]string{"mine": "yes"})
	}
	before := content(t, object)
	c := fake.NewClientBuilder().WithScheme(known).WithObjects(object.DeepCopy()).Build()
	if drops {
		c = interceptor.NewClient(c, interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := c.Patch(ctx, o, p, opts...); err != nil {
				return err
			}
			dropNames(rulesIn(o.(*unstructured.Unstructured)))
			return c.Update(ctx, o)
		}})
	}
	c = gatewaytest.DryRuns(c, nil)
	target := traffic.Target{Namespace: "shop", Owner: "shop", Routes: []traffic.Route{{Kind: v1alpha1.KindHTTPRoute, Name: "shop"}}, Service: "shop", Epoch: 1}
	get := func() *unstructured.Unstructured {
		now := gateway.Route(v1alpha1.KindHTTPRoute)
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "shop"}, now); err != nil {
			t.Fatal(err)
		}
		return now
	}
	for range 1 + g.IntN(5) {
		split := g.split()
		// Each is another controller, which knows nothing but the route.
		router := gateway.New(c, gatewaytest.Manager)
		if err := router.Apply(t.Context(), target, split); err != nil {
			t.Fatalf("apply %+v: %v", split, err)
		}
		o, _ := router.Observe(t.Context(), target)
		if o.Split == nil || o.Mixed || o.Split.Canary != split.Canary || o.Split.Testers.String() != split.Testers.String() || o.Split.Mirror != split.Mirror {
			t.Fatalf("applied %+v, observed %+v (%+v)", split, o.Split, o)
		}
		compare(t, rules, rulesIn(get()), split)
	}
	if err := gateway.New(c, gatewaytest.Manager).Release(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if after := content(t, get()); after != before {
		t.Errorf("released, it is\n%s\nand was\n%s", after, before)
	}
}

func rulesIn(o *unstructured.Unstructured) []any {
	list, _ := o.Object["spec"].(map[string]any)["rules"].([]any)
	return list
}

func dropNames(rules []any) {
	for _, one := range rules {
		delete(one.(map[string]any), "name")
	}
}

// content is what users write of a route, as JSON.
func content(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	annotations := o.GetAnnotations()
	if len(annotations) == 0 {
		// The API server keeps no empty map.
		annotations = nil
	}
	return encoded(t, map[string]any{"spec": o.Object["spec"], "annotations": annotations})
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// compare holds a route with a split to what it was before.
func compare(t *testing.T, before, now []any, split traffic.Split) {
	t.Helper()
	at, added := 0, 0
	for _, one := range now {
		r := one.(map[string]any)
		if at < len(before) && split.Mirror > 0 {
			r = unmirrored(t, before[at].(map[string]any), r, split.Mirror)
		}
		if at < len(before) && encoded(t, without(before[at])) == encoded(t, without(r)) && encoded(t, services(before[at])) == encoded(t, services(r)) {
			proportions(t, before[at].(map[string]any), r)
			at++
			continue
		}
		if split.Testers == nil || !onlyCanary(r) {
			t.Fatalf("a rule that was not there: %s", encoded(t, r))
		}
		for _, match := range r["matches"].([]any) {
			if text := strings.ToLower(encoded(t, match)); !strings.Contains(text, `"x-canary","type":"exact","value":"1"`) && !strings.Contains(text, `"preview"`) {
				t.Fatalf("a rule for testers that others match too: %s", text)
			}
		}
		added++
	}
	if at != len(before) || split.Testers != nil && added == 0 {
		t.Fatalf("%d of the user's %d rules are left, and %d rules for testers (%s): %s", at, len(before), added, split.Testers, encoded(t, now))
	}
}

// unmirrored holds a rule to the one filter more that mirrors, the last, and is the rule without.
func unmirrored(t *testing.T, before, r map[string]any, percent int32) map[string]any {
	t.Helper()
	weight := 0.0
	for _, one := range before["backendRefs"].([]any) {
		if ref := one.(map[string]any); ref["name"] == "shop" {
			w, has := ref["weight"].(int64)
			if !has {
				w = 1
			}
			weight += float64(w)
		}
	}
	if weight == 0 {
		return r
	}
	want := `{"requestMirror":{"backendRef":{"group":"","kind":"Service","name":"shop-canary","port":80}` + fmt.Sprintf(`,"percent":%d},"type":"RequestMirror"}`, percent)
	if percent == 100 {
		want = strings.Replace(want, `,"percent":100`, "", 1)
	}
	filters, _ := r["filters"].([]any)
	if len(filters) == 0 || encoded(t, filters[len(filters)-1]) != want {
		t.Fatalf("its last filter is not %s: %s", want, encoded(t, r))
	}
	out := without(r)
	out["backendRefs"] = r["backendRefs"]
	if out["filters"] = filters[:len(filters)-1]; before["filters"] == nil {
		delete(out, "filters")
	}
	return out
}

// without is a rule without its backendRefs.
func without(r any) map[string]any {
	out := map[string]any{}
	for key, value := range r.(map[string]any) {
		if key != "backendRefs" {
			out[key] = value
		}
	}
	return out
}

// services are a rule's backendRefs without weights, with the user's Service in the place of
// the pair that stands for it.
func services(r any) []any {
	var out []any
	refs, _ := r.(map[string]any)["backendRefs"].([]any)
	for i := 0; i < len(refs); i++ {
		ref := map[string]any{}
		for key, value := range refs[i].(map[string]any) {
			if key != "weight" {
				ref[key] = value
			}
		}
		if ref["name"] == "shop-stable" {
			ref["name"] = "shop"
			i++
		}
		out = append(out, ref)
	}
	return out
}

// onlyCanary reports whether a rule leads to the canary alone.
func onlyCanary(r map[string]any) bool {
	of, _ := weights(r)
	_, canary := of["shop-canary"]
	return canary && len(of) == 1
}

// proportions: what the rule gave other Services they still get.
func proportions(t *testing.T, before, now map[string]any) {
	t.Helper()
	was, wasAll := weights(before)
	is, isAll := weights(now)
	for name, w := range was {
		if name == "shop" || name == "shop-canary" || wasAll == 0 {
			continue
		}
		if math.Abs(w/wasAll-is[name]/isAll) > 0.005 {
			t.Fatalf("%s had %.4f of the requests of a rule, and has %.4f", name, w/wasAll, is[name]/isAll)
		}
	}
}

func weights(r map[string]any) (of map[string]float64, all float64) {
	of = map[string]float64{}
	refs, _ := r["backendRefs"].([]any)
	for _, one := range refs {
		ref := one.(map[string]any)
		w := 1.0
		if n, ok := ref["weight"].(int64); ok {
			w = float64(n)
		}
		of[ref["name"].(string)] += w
		all += w
	}
	return of, all
}
