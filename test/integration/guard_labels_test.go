package integration

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// guardLabels are Belay's on a Deployment.
var guardLabels = []string{v1alpha1.LabelRollout, v1alpha1.LabelRejected, v1alpha1.LabelRun, v1alpha1.LabelNarrowed, v1alpha1.LabelHandover}

// TestLabelsStayAsBelaySetThem: lost, changed or added by anybody else, they are
// put back, and the rest of the write goes through.
func TestLabelsStayAsBelaySetThem(t *testing.T) {
	users := map[string]client.Client{"dev": dev(t), "sre": sre(t), "admin": admin, "deployment-controller": as(t, deploymentController, "system:masters")}
	n := 0
	for who, user := range users {
		for _, all := range []bool{true, false} {
			name := fmt.Sprintf("labels-%s-%v", who, all)
			guarded(t, name, false)
			want := map[string]string{v1alpha1.LabelRollout: name}
			if all {
				for _, label := range guardLabels[1:] {
					want[label] = "set"
					adopt(t, name, fmt.Sprintf(`{"metadata":{"labels":{%q:"set"}}}`, label))
				}
			}
			expect := func(t *testing.T, write func(*appsv1.Deployment) error) {
				t.Helper()
				n++
				g := NewWithT(t)
				d := &appsv1.Deployment{}
				g.Expect(admin.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: name}, d)).To(Succeed())
				g.Expect(write(d)).To(Succeed())
				g.Expect(admin.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: name}, d)).To(Succeed())
				g.Expect(d.Labels).To(HaveKeyWithValue("team", fmt.Sprint(n)), "the rest of the write goes through")
				delete(d.Labels, "team")
				g.Expect(d.Labels).To(Equal(want))
			}
			for _, label := range guardLabels {
				for what, value := range map[string]string{"removed": "null", "changed": `"other"`, "made empty": `""`} {
					t.Run(fmt.Sprintf("%s, all set: %v, %s %s", who, all, label, what), func(t *testing.T) {
						expect(t, func(d *appsv1.Deployment) error {
							return user.Patch(t.Context(), d, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s,"team":"%d"}}}`, label, value, n)))
						})
					})
				}
			}
			t.Run(fmt.Sprintf("%s, all set: %v, replaced", who, all), func(t *testing.T) {
				expect(t, func(d *appsv1.Deployment) error {
					d.Labels = map[string]string{"team": fmt.Sprint(n)}
					return user.Update(t.Context(), d)
				})
			})
		}
	}
	// Without any label at all the map itself is gone.
	g := NewWithT(t)
	guarded(t, "labels-none", false)
	adopt(t, "labels-none", `{"metadata":{"labels":{"belay.dev/rejected":"set"}}}`)
	d, err := patch(t.Context(), dev(t), "labels-none", `{"metadata":{"labels":null}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Labels).To(Equal(map[string]string{v1alpha1.LabelRollout: "labels-none", v1alpha1.LabelRejected: "set"}))
}

// TestABypassTakesTheGuardOff: the label goes with the verb and a fresh reason,
// and by the same rules as everything else. Then nothing is guarded any more.
func TestABypassTakesTheGuardOff(t *testing.T) {
	for name, c := range map[string]struct {
		as      client.Client
		reason  string
		refused string
		off     bool
	}{
		"dev":               {dev(t), "", "", false},
		"dev-with-reason":   {dev(t), "GEN: mine", "needs the verb bypass", false},
		"sre":               {sre(t), "", "", false},
		"sre-stale":         {sre(t), "0: old", "", false},
		"sre-not-named":     {sre(t), "GEN: outage", "a bypass has to name it", false},
		"sre-with-reason":   {sre(t), "GEN: aaaaaaaaaa outage", "", true},
		"admin-with-reason": {admin, "GEN: aaaaaaaaaa outage", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			deployment := "off-" + name
			guarded(t, deployment, false)
			held(t, dev(t), deployment)
			d := adopt(t, deployment, `{"metadata":{"labels":{"belay.dev/rejected":"aaaaaaaaaa","belay.dev/run":"r"}}}`)
			d, err := patch(t.Context(), c.as, deployment, fmt.Sprintf(`{"metadata":{"labels":{"belay.dev/rollout":null,"belay.dev/run":null},"annotations":{%q:%q}}}`,
				v1alpha1.AnnotationBypassReason, strings.ReplaceAll(c.reason, "GEN", fmt.Sprint(d.Generation))))
			if c.refused != "" {
				g.Expect(err).To(MatchError(ContainSubstring(c.refused)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			if !c.off {
				g.Expect(d.Labels).To(And(HaveKeyWithValue(v1alpha1.LabelRollout, deployment), HaveKeyWithValue(v1alpha1.LabelRun, "r")))
				return
			}
			g.Expect(d.Labels).NotTo(Or(HaveKey(v1alpha1.LabelRollout), HaveKey(v1alpha1.LabelRun)))
			g.Expect(d.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationBypassBy, HavePrefix(strings.Split(name, "-")[0])))
			resumed, err := patch(t.Context(), dev(t), deployment, `{"spec":{"paused":false}}`)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(resumed.Spec.Paused).To(BeFalse())
		})
	}
}

// TestAStaleBypassKeepsTheGuard: whoever takes the label off and resumes with a reason that
// is stale changes nothing, in whatever order the API server asks the policies.
func TestAStaleBypassKeepsTheGuard(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "off-and-resumed", false)
	held(t, dev(t), "off-and-resumed")
	d, err := patch(t.Context(), sre(t), "off-and-resumed", fmt.Sprintf(
		`{"metadata":{"labels":{"belay.dev/rollout":null},"annotations":{%q:"0: outage"}},"spec":{"paused":false}}`, v1alpha1.AnnotationBypassReason))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Spec.Paused).To(BeTrue())
	g.Expect(d.Labels).To(HaveKeyWithValue(v1alpha1.LabelRollout, "off-and-resumed"))
	g.Expect(d.Annotations).NotTo(HaveKey(v1alpha1.AnnotationBypassReason))
}

// TestABypassKeepsBelaysOtherLabels: a replace with a reason does not unlock or
// forget a rejection by the way.
func TestABypassKeepsBelaysOtherLabels(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "bypass-labels", false)
	d := adopt(t, "bypass-labels", `{"metadata":{"labels":{"belay.dev/rejected":"aaaaaaaaaa","belay.dev/run":"r"}}}`)
	d, err := patch(t.Context(), sre(t), "bypass-labels", fmt.Sprintf(
		`{"metadata":{"labels":{"belay.dev/rejected":null,"belay.dev/run":"other","belay.dev/handover":"r"},"annotations":{%q:"%d: aaaaaaaaaa"}}}`, v1alpha1.AnnotationBypassReason, d.Generation))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Labels).To(Equal(map[string]string{v1alpha1.LabelRollout: "bypass-labels", v1alpha1.LabelRejected: "aaaaaaaaaa", v1alpha1.LabelRun: "r"}))
}

// TestThePushedLabelGuardsAtOnce: a write that brings the label with a new
// template is held like any other.
func TestThePushedLabelGuardsAtOnce(t *testing.T) {
	g := NewWithT(t)
	create(t, deployment("labelled-late", "app:v1"))
	d, err := patch(t.Context(), dev(t), "labelled-late", fmt.Sprintf(
		`{"metadata":{"labels":{"belay.dev/rollout":"labelled-late"}},"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image()))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Spec.Paused).To(BeTrue())
}

// stamps are what the guard says of who did it, and the reason given.
func stamps(d *appsv1.Deployment) [3]string {
	return [3]string{d.Annotations[v1alpha1.AnnotationPushedBy], d.Annotations[v1alpha1.AnnotationBypassBy], d.Annotations[v1alpha1.AnnotationBypassReason]}
}

// TestStampsNameTheAuthor, and nobody forges, removes or inherits one.
func TestStampsNameTheAuthor(t *testing.T) {
	g := NewWithT(t)
	developer, sre := dev(t), sre(t)
	guarded(t, "stamps", false)
	forged := `{"metadata":{"annotations":{"belay.dev/pushed-by":"root","belay.dev/bypass-by":"root","belay.dev/bypass-reason":"forged"}}}`
	d, err := patch(t.Context(), developer, "stamps", forged)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Annotations).To(BeEmpty(), "nobody has pushed or bypassed yet")

	d, err = patch(t.Context(), developer, "stamps", `{"metadata":{"annotations":{"belay.dev/pushed-by":"root","note":"kept"}},"spec":{"template":{"metadata":{"annotations":{"a":"1"}}}}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Annotations).To(Equal(map[string]string{v1alpha1.AnnotationPushedBy: "dev (tests)", "note": "kept"}))

	d, err = patch(t.Context(), sre, "stamps", `{`+reasoned(d, "GEN: outage")+`,"spec":{"paused":false}}`)
	g.Expect(err).NotTo(HaveOccurred())
	want := [3]string{"dev (tests)", "sre (tests)", d.Annotations[v1alpha1.AnnotationBypassReason]}
	g.Expect(stamps(d)).To(Equal(want))

	for what, write := range map[string]func() error{
		"forged":          func() error { _, err := patch(t.Context(), developer, "stamps", forged); return err },
		"forged by admin": func() error { _, err := patch(t.Context(), admin, "stamps", forged); return err },
		"removed": func() error {
			_, err := patch(t.Context(), developer, "stamps", `{"metadata":{"annotations":null}}`)
			return err
		},
		"dropped by a replace": func() error {
			whole := d.DeepCopy()
			whole.Annotations, whole.ResourceVersion = nil, ""
			return developer.Update(t.Context(), whole)
		},
		"scaled": func() error {
			_, err := patch(t.Context(), developer, "stamps", `{"spec":{"replicas":7}}`)
			return err
		},
		"written by the Deployment controller": func() error {
			whole := &appsv1.Deployment{}
			if err := admin.Get(t.Context(), client.ObjectKeyFromObject(d), whole); err != nil {
				return err
			}
			whole.Annotations["deployment.kubernetes.io/revision"] = "2"
			return as(t, deploymentController, "system:masters").Update(t.Context(), whole)
		},
	} {
		g.Expect(write()).To(Succeed(), what)
		after := &appsv1.Deployment{}
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(d), after)).To(Succeed())
		g.Expect(stamps(after)).To(Equal(want), what)
	}

	// A bypass that pushes is stamped as both.
	g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(d), d)).To(Succeed())
	d, err = patch(t.Context(), sre, "stamps", `{`+reasoned(d, "GEN: hotfix")+`,"spec":{"template":{"metadata":{"annotations":{"a":"2"}}}}}`)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stamps(d)).To(Equal([3]string{"sre (tests)", "sre (tests)", d.Annotations[v1alpha1.AnnotationBypassReason]}))
	g.Expect(d.Annotations[v1alpha1.AnnotationBypassReason]).To(HaveSuffix("hotfix"))
}

func TestStampsAreBounded(t *testing.T) {
	g := NewWithT(t)
	guarded(t, "bounded-stamp", false)
	long := strings.Repeat("ü", 300)
	d, err := push(t.Context(), as(t, long, "system:masters"), "bounded-stamp", image())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationPushedBy, strings.Repeat("ü", 256)))
	// Without a field manager there are no empty brackets.
	plain := &appsv1.Deployment{}
	plain.Name, plain.Namespace = "bounded-stamp", "shop"
	g.Expect(dev(t).Patch(t.Context(), plain, client.RawPatch(types.StrategicMergePatchType, templateOf(image())))).To(Succeed())
	g.Expect(plain.Annotations).To(HaveKeyWithValue(v1alpha1.AnnotationPushedBy, "dev"))
}
