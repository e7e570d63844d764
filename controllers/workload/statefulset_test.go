package workload

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
)

// statefulSet of four replicas and its partition, with more of its spec where given.
func statefulSet(t testing.TB, partition int, more string) *unstructured.Unstructured {
	t.Helper()
	return object(t, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"namespace":"team","name":"db","uid":"s-1","resourceVersion":"41"},
		"spec":{"replicas":4,"selector":{"matchLabels":{"app":"shop"}},"template":%s,"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":%d}}%s},
		"status":{"currentRevision":"db-a","updateRevision":"db-b"}}`, theTemplate, partition, more))
}

func controllerRevision(t testing.TB, name, owner string, number int, template string) unstructured.Unstructured {
	t.Helper()
	return *object(t, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"namespace":"team","name":%q,
		"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","uid":%q,"controller":true}]},
		"revision":%d,"data":{"spec":{"template":%s}}}`, name, owner, number, strings.Replace(template, "{", `{"$patch":"replace",`, 1)))
}

// TestAVersionHasTheRevisionOfItsTemplate, as the StatefulSet itself has.
func TestAVersionHasTheRevisionOfItsTemplate(t *testing.T) {
	older := strings.ReplaceAll(theTemplate, "shop:2", "shop:1")
	all := []unstructured.Unstructured{
		controllerRevision(t, "db-b", "s-1", 7, theTemplate), controllerRevision(t, "db-other", "s-2", 1, theTemplate), controllerRevision(t, "db-a", "s-1", 2, older),
	}
	versions, err := Versions(all, "s-1")
	if err != nil || len(versions) != 2 {
		t.Fatalf("%+v, %v", versions, err)
	}
	want := []Version{
		{Name: "db-a", Revision: revision(t, templateOf(t, older)), Image: "shop:1", Number: 2, UID: "s-1"},
		{Name: "db-b", Revision: revision(t, templateOf(t, theTemplate)), Image: "shop:2", Number: 7, UID: "s-1"},
	}
	for i := range want {
		if versions[i] != want[i] {
			t.Errorf("%+v, want %+v", versions[i], want[i])
		}
	}
	if declared := revision(t, Template(statefulSet(t, 0, ""))); declared != want[1].Revision {
		t.Errorf("the StatefulSet declares %s, its ControllerRevision says %s", declared, want[1].Revision)
	}
	if _, err := Versions([]unstructured.Unstructured{*object(t, `{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"x","ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","uid":"s-1","controller":true}]},"data":{}}`)}, "s-1"); err == nil {
		t.Error("a ControllerRevision without a template is read")
	}
}

// place is a pod of the StatefulSet.
func place(ordinal int, version string, ready bool, change ...func(*corev1.Pod)) corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("db-%d", ordinal), UID: "p", Labels: map[string]string{"controller-revision-hash": version},
			OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", UID: "s-1", Controller: new(true)}},
		},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(now.Add(-5 * time.Second))}}},
	}
	for _, c := range change {
		c(&p)
	}
	return p
}

func placesText(places []Place) string {
	var all []string
	for _, p := range places {
		all = append(all, fmt.Sprintf("%d:%s", p.Index, p.Version))
	}
	return strings.Join(all, " ")
}

func TestThePlacesAreTheStatefulSetsOwn(t *testing.T) {
	going := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }
	orphan := func(p *corev1.Pod) { p.OwnerReferences = nil }
	named := func(p *corev1.Pod) { p.Name = "db-x" }
	pods := []corev1.Pod{place(12, "db-b", true), place(10, "db-a", true), place(11, "db-a", true, going), place(13, "db-a", true, orphan), place(14, "db-a", true), place(1, "db-a", true), place(2, "db-a", true, named)}
	if got := placesText(PlacesOf(statefulSet(t, 0, `,"ordinals":{"start":10}`), pods)); got != "0:db-a 2:db-b" {
		t.Errorf("places %q", got)
	}
	first := PlacesOf(statefulSet(t, 0, ""), pods[5:6])[0]
	if !first.IsAvailable(5*time.Second, now) || first.IsAvailable(6*time.Second, now) {
		t.Error("a pod is available too early, or too late")
	}
}

func TestMisplacedPodsAreThoseThatComeBackOtherwise(t *testing.T) {
	pods := []corev1.Pod{place(0, "db-b", true), place(1, "db-b", false), place(2, "db-b", true), place(3, "db-a", false)}
	for _, c := range []struct {
		partition int
		blocked   bool
		want      string
	}{
		{0, false, ""}, {0, true, "3:db-a"}, {1, false, "0:db-b"}, {2, false, "1:db-b 0:db-b"}, {3, false, "1:db-b 2:db-b 0:db-b"}, {int(v1alpha1.PartitionHold), true, "1:db-b 2:db-b 0:db-b"},
	} {
		s := statefulSet(t, c.partition, "")
		if got := placesText(Misplaced(s, PlacesOf(s, pods), c.blocked)); got != c.want {
			t.Errorf("partition %d, blocked %v: %q, want %q", c.partition, c.blocked, got, c.want)
		}
		// Once all pods run the candidate, Kubernetes calls that current.
		unstructured.SetNestedField(s.Object, "db-b", "status", "currentRevision") //nolint:errcheck // it is a map
		if got := placesText(Misplaced(s, PlacesOf(s, pods[:3]), false)); got != "" {
			t.Errorf("partition %d: %q would come back as they are", c.partition, got)
		}
	}
}

func TestMaxUnavailable(t *testing.T) {
	for declared, want := range map[string]int32{"": 1, `"maxUnavailable":2`: 2, `"maxUnavailable":"50%"`: 2, `"maxUnavailable":"10%"`: 1, `"maxUnavailable":"many"`: 1} {
		s := object(t, `{"spec":{"replicas":4,"updateStrategy":{"rollingUpdate":{`+declared+`}}},"apiVersion":"apps/v1","kind":"StatefulSet"}`)
		if got := MaxUnavailable(s); got != want {
			t.Errorf("%s: %d, want %d", declared, got, want)
		}
	}
}

func TestOnlyARollingUpdateHolds(t *testing.T) {
	for kind, want := range map[string]string{"RollingUpdate": "", "": "", "OnDelete": `db is "OnDelete", which holds no version back`, "Recreate": "set spec.updateStrategy.type to RollingUpdate"} {
		s := object(t, `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db"},"spec":{"updateStrategy":{"type":"`+kind+`"}}}`)
		if got := UnusableStrategy(s); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

// TestAPartitionIsSetOnWhatItWasDecidedOn: what lets pods of the candidate come tests the
// template, the size and the partition, so that it does not undo the guard's; what holds them
// back waits for nothing.
func TestAPartitionIsSetOnWhatItWasDecidedOn(t *testing.T) {
	for _, c := range []struct {
		from   int
		to     int32
		tested []string
	}{
		{3, 3, nil},
		{3, 2, []string{"uid", "partition", "replicas", "template"}},
		{2, 3, []string{"uid", "partition", "replicas", "template"}},
		{3, v1alpha1.PartitionHold, []string{"uid"}},
		{0, v1alpha1.PartitionHold, []string{"uid"}},
	} {
		patch, err := SetPartition(statefulSet(t, c.from, ""), c.to)
		if err != nil || (patch == nil) != (c.tested == nil) {
			t.Fatalf("%d to %d: %s, %v", c.from, c.to, patch, err)
		}
		if patch == nil {
			continue
		}
		if got := strings.Count(string(patch), `"test"`); got != len(c.tested) || !strings.Contains(string(patch), fmt.Sprintf(`"value":%d}]`, c.to)) {
			t.Errorf("%d to %d: %s", c.from, c.to, patch)
		}
		for _, path := range c.tested {
			if !strings.Contains(string(patch), "/"+path+`"`) {
				t.Errorf("%d to %d does not test the %s: %s", c.from, c.to, path, patch)
			}
		}
	}
	bare := object(t, `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db","uid":"s-1"},"spec":{"updateStrategy":{"type":"RollingUpdate"}}}`)
	if patch, err := SetPartition(bare, v1alpha1.PartitionHold); err != nil || !strings.Contains(string(patch), `"path":"/spec/updateStrategy/rollingUpdate","value":{"partition":2147483647}`) {
		t.Errorf("without the stanza: %s, %v", patch, err)
	}
}

func TestThePartitionsWriterIsKnown(t *testing.T) {
	owned := func(manager, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	const partition, other = `{"f:spec":{"f:updateStrategy":{"f:rollingUpdate":{".":{},"f:partition":{}}}}}`, `{"f:spec":{"f:replicas":{}}}`
	for name, c := range map[string]struct {
		fields []metav1.ManagedFieldsEntry
		want   string
	}{
		"nobody": {nil, ""}, "Belay": {[]metav1.ManagedFieldsEntry{owned("belay", partition), owned("kubectl", other)}, ""},
		"both":     {[]metav1.ManagedFieldsEntry{owned("argocd", partition), owned("belay", partition)}, ""},
		"a person": {[]metav1.ManagedFieldsEntry{owned("belay", other), owned("kubectl-patch", partition)}, "kubectl-patch"},
	} {
		s := statefulSet(t, 0, "")
		s.SetManagedFields(c.fields)
		if got := PartitionWriter(s, "belay"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
