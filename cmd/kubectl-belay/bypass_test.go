package main

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/workload"
)

// guardedDeployment is held, in generation 7, and has the containers app and proxy.
func guardedDeployment(labels map[string]string) *unstructured.Unstructured {
	d := workload.NewDeployment()
	d.Object["spec"] = map[string]any{"paused": true, "template": map[string]any{"spec": map[string]any{
		"containers":     []any{map[string]any{"name": "proxy", "image": "p:1"}, map[string]any{"name": "app", "image": "a:1"}},
		"initContainers": []any{map[string]any{"name": "migrate", "image": "m:1"}},
	}}}
	d.SetName("shop")
	d.SetUID("u")
	d.SetGeneration(7)
	d.SetLabels(labels)
	return d
}

func TestTheWriteOfABypass(t *testing.T) {
	rejected := guardedDeployment(map[string]string{v1alpha1.LabelRollout: "shop", v1alpha1.LabelRejected: "9fd21c3b07"})
	images := map[string]string{"app": "a:2", "migrate": "m:2"}
	got, err := bypassOf(rejected, "outage", images)
	if err != nil || got.annotation != "7: 9fd21c3b07 outage" || len(images) != 2 {
		t.Fatalf("%q, %v, images %v", got.annotation, err, images)
	}
	for _, want := range []string{`{"op":"test","path":"/metadata/generation","value":7}`, `{"op":"add","path":"/metadata/annotations","value":{}}`,
		`{"op":"add","path":"/spec/paused","value":false}`, `"/spec/template/spec/containers/1/image","value":"a:2"`, `"/spec/template/spec/initContainers/0/image","value":"m:2"`} {
		if !strings.Contains(string(got.patch), want) {
			t.Errorf("want %s in %s", want, got.patch)
		}
	}
	for want, bad := range map[string]struct {
		reason string
		images map[string]string
	}{
		`no container "ap"`: {"outage", map[string]string{"ap": "a:2"}},
		"242 are kept":      {strings.Repeat("x", 243), nil},
	} {
		if _, err := bypassOf(rejected, bad.reason, bad.images); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestAPlaceholderIsNoImage: a line that status offers, pasted as it stands, changes nothing.
func TestAPlaceholderIsNoImage(t *testing.T) {
	offered := map[string]string{"app": "IMAGE"}
	for want, bad := range map[string]struct {
		reason string
		images map[string]string
	}{
		"IMAGE is a placeholder: give the image of your fix": {"outage", offered},
		"… is a placeholder: give the image":                 {"outage", map[string]string{"app": "…"}},
		"CONTAINER is a placeholder":                         {"outage", map[string]string{"CONTAINER": "a:2"}},
		"--reason … is a placeholder":                        {"…", map[string]string{"app": "a:2"}},
		"--reason WHY is a placeholder":                      {"WHY", nil},
		"a bypass needs --reason":                            {" ", nil},
	} {
		if err := writtenOut(bad.reason, bad.images); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if err := writtenOut("outage", map[string]string{"app": "registry.example.com/IMAGE:1"}); err != nil {
		t.Error(err)
	}
	// The whole command refuses before it looks for a cluster.
	streams, _, _, stderr := genericiooptions.NewTestIOStreams()
	args := []string{"bypass", "--image", "app=IMAGE", "checkout", "-n", "shop", "--reason", "outage", "--yes"}
	if code := execute(t.Context(), args, streams); code != exitError || !strings.Contains(stderr.String(), "IMAGE is a placeholder") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// TestTheQuestionNamesTheImage in full, and each that is given.
func TestTheQuestionNamesTheImage(t *testing.T) {
	version := &v1alpha1.Revision{Revision: "aaaaaaaaaa", Image: "registry.example.com/checkout"}
	if got := whole(version, nil); got != version.Image {
		t.Error(got)
	}
	if got := whole(version, map[string]string{"proxy": "p:2", "app": "a:2"}); got != "app=a:2, proxy=p:2" {
		t.Error(got)
	}
}

func TestABypassThatWouldDoNothing(t *testing.T) {
	version := v1alpha1.Revision{Revision: "aaaaaaaaaa", Image: "a:1"}
	r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Status: v1alpha1.RolloutStatus{Stable: &version}}
	rolling := guardedDeployment(map[string]string{v1alpha1.LabelRollout: "shop"})
	if err := unstructured.SetNestedField(rolling.Object, false, "spec", "paused"); err != nil {
		t.Fatal(err)
	}
	other := v1alpha1.Revision{Revision: "bbbbbbbbbb", Image: "a:2"}
	stopped := r.DeepCopy()
	stopped.Status.Phase = v1alpha1.PhaseHandingOver
	stopped.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonTriggerFired}}
	held := guardedDeployment(map[string]string{v1alpha1.LabelRollout: "shop"})
	for name, c := range map[string]struct {
		rollout    *v1alpha1.Rollout
		deployment *unstructured.Unstructured
		declared   v1alpha1.Revision
		pushes     bool
		want       string
	}{
		"held":                     {r, held, other, false, ""},
		"stable declared":          {r, rolling, version, false, "which is the stable version"},
		"stable, with an image":    {r, rolling, version, true, ""},
		"rolls out already":        {r, rolling, other, false, "rolls out 2 already"},
		"stopped native promotion": {stopped, rolling, other, false, ""},
		"not guarded":              {r, guardedDeployment(nil), other, false, "does not guard Deployment shop yet"},
		"another Rollout's":        {r, guardedDeployment(map[string]string{v1alpha1.LabelRollout: "store"}), other, false, "kubectl belay bypass store"},
	} {
		got := needless(c.rollout, c.deployment, c.declared, c.pushes)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestABypassNeedsAReason(t *testing.T) {
	for _, args := range [][]string{{"bypass", "shop"}, {"bypass", "shop", "--reason", " "}} {
		a, _, errOut := testApp()
		cmd := a.root()
		cmd.SetArgs(args)
		if code := codeOf(cmd.Execute(), errOut); code != exitError || !strings.Contains(errOut.String(), "a bypass needs --reason") {
			t.Errorf("%v: exit code %d, %s", args, code, errOut)
		}
	}
}

// TestNobodyConfirms where there is no terminal.
func TestNobodyConfirms(t *testing.T) {
	a, _, _ := testApp()
	if err := a.confirm("shop"); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("%v", err)
	}
}
