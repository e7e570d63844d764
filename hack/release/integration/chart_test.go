// Package integration proves what a release installs: the Helm chart beside
// install.yaml, and both on a real API server.
package integration

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	packing "belay.dev/belay/hack/release/internal/archive"
	"belay.dev/belay/hack/release/internal/manifests"
)

const (
	root    = "../../.."
	version = "v0.1.0"
	digest  = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	image   = "registry.example.com/belay/belay-controller@" + digest
)

// values are what a user sets.
type values = map[string]any

// packed are the files of the chart.
var packed = sync.OnceValues(func() ([]packing.File, error) { return manifests.Chart(root, version, image) })

// loaded is the chart of a release, as Helm reads it.
func loaded(t *testing.T) *chart.Chart {
	t.Helper()
	files, err := packed()
	if err != nil {
		t.Fatal(err)
	}
	var buffered []*archive.BufferedFile
	for _, file := range files {
		buffered = append(buffered, &archive.BufferedFile{Name: file.Name, Data: file.Content})
	}
	out, err := loader.LoadFiles(buffered)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// render is `helm template`: what the chart installs into a namespace.
func render(t *testing.T, namespace string, set values) ([]*unstructured.Unstructured, error) {
	t.Helper()
	of := loaded(t)
	all, err := util.ToRenderValues(of, set, common.ReleaseOptions{Name: "belay", Namespace: namespace, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Engine{Strict: true}.RenderWithContext(t.Context(), of, all)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for name, text := range rendered {
		if strings.HasSuffix(name, ".yaml") {
			objects = append(objects, parsed(t, name, []byte(text))...)
		}
	}
	return objects, nil
}

func rendered(t *testing.T, namespace string, set values) []*unstructured.Unstructured {
	t.Helper()
	objects, err := render(t, namespace, set)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func parsed(t *testing.T, name string, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// byName are objects by what tells them apart.
func byName(objects []*unstructured.Unstructured) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, object := range objects {
		out[object.GroupVersionKind().GroupKind().String()+" "+object.GetNamespace()+"/"+object.GetName()] = object.Object
	}
	return out
}

// installed is install.yaml.
func installed(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	text, err := manifests.Install(root, image)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, "install.yaml", text)
}

// TestInstallYAMLMakesItsNamespaceFirst: kubectl applies a file from its top to its end, and
// an empty cluster has no namespace for what is above it. Then CRDs, policies and roles
// come before the controller that needs them.
func TestInstallYAMLMakesItsNamespaceFirst(t *testing.T) {
	g := NewWithT(t)
	there := map[string]bool{}
	for _, o := range installed(t) {
		if o.GetNamespace() != "" {
			g.Expect(there).To(HaveKey("Namespace "+o.GetNamespace()), "%s %s", o.GetKind(), o.GetName())
		}
		if o.GetKind() == "Deployment" {
			for _, before := range []string{"CustomResourceDefinition rollouts.belay.dev", "ValidatingAdmissionPolicyBinding belay-guard-release", "ClusterRoleBinding belay-controller", "ServiceAccount controller"} {
				g.Expect(there).To(HaveKey(before))
			}
		}
		there[o.GetKind()+" "+o.GetName()] = true
	}
	g.Expect(there).To(HaveKey("Deployment belay-controller"))
}

// TestNoGroupWithoutAUser: a container runtime refuses a pod that names a group and no user, and
// a named user is refused where namespaces have ranges of their own (OpenShift).
func TestNoGroupWithoutAUser(t *testing.T) {
	g := NewWithT(t)
	found := 0
	for _, o := range append(installed(t), rendered(t, "belay", nil)...) {
		if o.GetKind() != "Deployment" {
			continue
		}
		context, _, err := unstructured.NestedMap(o.Object, "spec", "template", "spec", "securityContext")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(context).To(HaveKey("runAsNonRoot"))
		g.Expect(context).NotTo(Or(HaveKey("runAsGroup"), HaveKey("runAsUser")))
		found++
	}
	g.Expect(found).To(Equal(2))
}

// TestTheChartInstallsWhatInstallYAMLDoes: object by object, but for the namespace,
// which Helm makes, and the note that keeps CRDs.
func TestTheChartInstallsWhatInstallYAMLDoes(t *testing.T) {
	g := NewWithT(t)
	want := byName(installed(t))
	g.Expect(want).To(HaveKey("Namespace /belay"))
	delete(want, "Namespace /belay")
	got := rendered(t, "belay", nil)
	for _, object := range got {
		if object.GetKind() == "CustomResourceDefinition" {
			annotations := object.GetAnnotations()
			g.Expect(annotations).To(HaveKeyWithValue("helm.sh/resource-policy", "keep"))
			delete(annotations, "helm.sh/resource-policy")
			object.SetAnnotations(annotations)
		}
	}
	g.Expect(keys(byName(got))).To(Equal(keys(want)))
	for name, object := range byName(got) {
		g.Expect(object).To(Equal(want[name]), name)
	}
}

// TestTheChartMonitorsAsConfigDoes: the same for config/prometheus.
func TestTheChartMonitorsAsConfigDoes(t *testing.T) {
	g := NewWithT(t)
	monitoring, err := manifests.Objects(root, "prometheus")
	g.Expect(err).NotTo(HaveOccurred())
	got := byName(rendered(t, "belay", values{"podMonitor": values{"enabled": true}, "prometheusRule": values{"enabled": true}}))
	for name := range byName(rendered(t, "belay", nil)) {
		delete(got, name)
	}
	want := byName(monitoring)
	g.Expect(keys(got)).To(Equal(keys(want)))
	for name, object := range got {
		g.Expect(object).To(Equal(want[name]), name)
	}
}

func keys(objects map[string]map[string]any) []string {
	var out []string
	for name := range objects {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// TestNamesAreFree: with other names nothing has those of config.
func TestNamesAreFree(t *testing.T) {
	g := NewWithT(t)
	objects := rendered(t, "delivery", values{
		"serviceAccount": values{"name": "releaser", "guardProbeName": "prober"}, "podMonitor": values{"enabled": true, "interval": "1m"},
	})
	text := ""
	for _, object := range objects {
		raw, err := object.MarshalJSON()
		g.Expect(err).NotTo(HaveOccurred())
		text += string(raw)
		if object.GetNamespace() != "" {
			g.Expect(object.GetNamespace()).To(Equal("delivery"), object.GetName())
		}
	}
	g.Expect(text).NotTo(ContainSubstring("serviceaccount:belay:"))
	g.Expect(text).NotTo(MatchRegexp(`"namespace":"belay"|"(name|serviceAccountName)":"(controller|guard-probe)","namespace"|"guard-probe"`))
	g.Expect(text).To(And(ContainSubstring("system:serviceaccount:delivery:releaser"), ContainSubstring("--guard-probe-user=system:serviceaccount:delivery:prober"),
		ContainSubstring("--namespace=delivery"), ContainSubstring(`"interval":"1m"`), ContainSubstring(`"resourceNames":["prober"]`)))
}

// TestEveryValueArrives: values that a plain install leaves out reach the pods.
func TestEveryValueArrives(t *testing.T) {
	g := NewWithT(t)
	objects := byName(rendered(t, "belay", values{
		"image": values{"repository": "mirror.example.com:5000/belay", "tag": "v0.1.0", "pullPolicy": "Always"}, "imagePullSecrets": []any{values{"name": "pull"}},
		"replicas": 3, "extraArgs": []any{"--zap-log-level=debug"}, "podAnnotations": values{"a": "1"}, "podLabels": values{"b": "2"},
		"serviceAccount": values{"annotations": values{"role": "arn"}}, "priorityClassName": "system-cluster-critical", "nodeSelector": values{"kubernetes.io/os": "linux"},
		"tolerations":               []any{values{"key": "infra", "operator": "Exists"}},
		"topologySpreadConstraints": []any{values{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}},
		"podDisruptionBudget":       values{"maxUnavailable": "50%"}, "networkPolicy": values{"metricsFrom": []any{values{"namespaceSelector": values{}}}},
		"crds": values{"keep": false}, "resources": values{"limits": values{"memory": "2Gi"}},
	}))
	deployment := &unstructured.Unstructured{Object: objects["Deployment.apps belay/belay-controller"]}
	spec := func(path ...string) any {
		value, _, err := unstructured.NestedFieldNoCopy(deployment.Object, append([]string{"spec", "template"}, path...)...)
		g.Expect(err).NotTo(HaveOccurred())
		return value
	}
	g.Expect(deployment.Object["spec"]).To(HaveKeyWithValue("replicas", BeNumerically("==", 3)))
	g.Expect(spec("metadata", "annotations")).To(HaveKeyWithValue("a", "1"))
	g.Expect(spec("metadata", "labels")).To(And(HaveKeyWithValue("b", "2"), HaveKeyWithValue("app", "belay-controller")))
	g.Expect(spec("spec")).To(And(
		HaveKeyWithValue("imagePullSecrets", HaveLen(1)), HaveKeyWithValue("priorityClassName", "system-cluster-critical"), HaveKeyWithValue("nodeSelector", HaveLen(1)),
		HaveKeyWithValue("tolerations", HaveLen(1)), HaveKeyWithValue("topologySpreadConstraints", HaveLen(1))))
	containers, ok := spec("spec", "containers").([]any)
	g.Expect(ok).To(BeTrue())
	g.Expect(containers[0]).To(And(
		HaveKeyWithValue("image", "mirror.example.com:5000/belay:v0.1.0"), HaveKeyWithValue("imagePullPolicy", "Always"),
		HaveKeyWithValue("args", ContainElement("--zap-log-level=debug")),
		HaveKeyWithValue("resources", HaveKeyWithValue("limits", HaveKeyWithValue("memory", "2Gi")))))
	account := unstructured.Unstructured{Object: objects["ServiceAccount belay/controller"]}
	g.Expect(account.GetAnnotations()).To(HaveKeyWithValue("role", "arn"))
	g.Expect(objects["PodDisruptionBudget.policy belay/belay-controller"]["spec"]).To(HaveKeyWithValue("maxUnavailable", "50%"))
	g.Expect(objects["NetworkPolicy.networking.k8s.io belay/belay-controller"]["spec"]).To(HaveKeyWithValue("ingress", ConsistOf(HaveKey("from"))))
	crd := unstructured.Unstructured{Object: objects["CustomResourceDefinition.apiextensions.k8s.io /rollouts.belay.dev"]}
	g.Expect(crd.GetAnnotations()).NotTo(HaveKey("helm.sh/resource-policy"))

	without := keys(byName(rendered(t, "belay", values{
		"crds": values{"install": false}, "podDisruptionBudget": values{"enabled": false}, "networkPolicy": values{"enabled": false}})))
	g.Expect(without).NotTo(ContainElement(Or(HavePrefix("CustomResource"), HavePrefix("PodDisruption"), HavePrefix("NetworkPolicy"))))
}

// TestNonsenseIsRefused: the message names the value and what is wrong with it.
func TestNonsenseIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		set  values
		want []string
	}{
		"a misspelt value":       {values{"replica": 3}, []string{"additional properties 'replica' not allowed"}},
		"a misspelt inner value": {values{"image": values{"repo": "x"}}, []string{"/image", "additional properties 'repo' not allowed"}},
		"no pods":                {values{"replicas": 0}, []string{"/replicas", "minimum: got 0, want 1"}},
		"a number in words":      {values{"replicas": "two"}, []string{"/replicas", "got string, want integer"}},
		"a repository with tag":  {values{"image": values{"repository": "x:y:Latest"}}, []string{"/image/repository", "does not match pattern"}},
		"a digest that is none":  {values{"image": values{"digest": "sha256:12"}}, []string{"/image/digest", "does not match pattern"}},
		"a pull policy":          {values{"image": values{"pullPolicy": "Sometimes"}}, []string{"/image/pullPolicy", "'IfNotPresent', 'Always', 'Never'"}},
		"a ServiceAccount":       {values{"serviceAccount": values{"name": "The Boss"}}, []string{"/serviceAccount/name", "does not match pattern"}},
		"a quantity":             {values{"resources": values{"limits": values{"memory": "lots"}}}, []string{"/resources/limits/memory", "does not match pattern"}},
		"a budget of none":       {values{"podDisruptionBudget": values{"maxUnavailable": 0}}, []string{"/podDisruptionBudget/maxUnavailable", "minimum: got 0, want 1"}},
		"a flag without dashes":  {values{"extraArgs": []any{"workers=3"}}, []string{"/extraArgs/0", "does not match pattern"}},
		"a switch in words":      {values{"crds": values{"install": "yes"}}, []string{"/crds/install", "got string, want boolean"}},
		"no namespace":           {values{"watchNamespaces": []any{"Shop"}}, []string{"/watchNamespaces/0", "does not match pattern"}},
		"no image":               {values{"image": values{"digest": ""}}, []string{"image.digest and image.tag are both empty"}},
		"one identity for both":  {values{"serviceAccount": values{"guardProbeName": "controller"}}, []string{"serviceAccount.guardProbeName must not be the controller's"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, "belay", c.set)
			g := NewWithT(t)
			g.Expect(err).To(HaveOccurred())
			for _, part := range c.want {
				g.Expect(err.Error()).To(ContainSubstring(part))
			}
		})
	}
}

// TestHelmFindsNothingToSay: Helm's own linter.
func TestHelmFindsNothingToSay(t *testing.T) {
	g := NewWithT(t)
	files, err := packed()
	g.Expect(err).NotTo(HaveOccurred())
	folder := filepath.Join(t.TempDir(), "belay")
	for _, file := range files {
		path := filepath.Join(folder, file.Name)
		g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
		g.Expect(os.WriteFile(path, file.Content, 0o644)).To(Succeed())
	}
	kubernetes, err := common.ParseKubeVersion("v1.37.2")
	g.Expect(err).NotTo(HaveOccurred())
	for _, message := range lint.RunAll(folder, nil, "belay", lint.WithKubeVersion(kubernetes)).Messages {
		if !strings.Contains(message.Error(), "icon is recommended") {
			t.Error(message)
		}
	}
	metadata := loaded(t).Metadata
	g.Expect(metadata.Version).To(Equal("0.1.0"))
	g.Expect(metadata.AppVersion).To(Equal("v0.1.0"))
}
