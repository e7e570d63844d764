package workload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"belay.dev/belay/api/v1alpha1"
)

// NewStatefulSet is an empty StatefulSet to read into.
func NewStatefulSet() *unstructured.Unstructured { return empty(v1alpha1.KindStatefulSet) }

// NewControllerRevision is an empty ControllerRevision to read into.
func NewControllerRevision() *unstructured.Unstructured { return empty("ControllerRevision") }

// Versions reads those of the ControllerRevisions that the StatefulSet controls, oldest first.
func Versions(revisions []unstructured.Unstructured, statefulSet types.UID) ([]Version, error) {
	var all []Version
	for i := range revisions {
		v, ok, err := ReadVersion(&revisions[i])
		if err != nil {
			return nil, err
		}
		if ok && v.UID == statefulSet {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b Version) int {
		if a.Number != b.Number {
			return int(a.Number - b.Number)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

// Partition is the index of the first pod that a StatefulSet gives the version that it declares.
// The index counts from spec.ordinals.start.
func Partition(statefulSet *unstructured.Unstructured) int32 {
	return count(statefulSet, "spec", "updateStrategy", "rollingUpdate", "partition")
}

// UnusableStrategy says why a StatefulSet's strategy does not hold a version back, and what to
// do; empty when it does.
func UnusableStrategy(statefulSet *unstructured.Unstructured) string {
	kind, _, _ := unstructured.NestedString(statefulSet.Object, "spec", "updateStrategy", "type")
	if kind == "" || kind == string(appsv1.RollingUpdateStatefulSetStrategyType) {
		return ""
	}
	return fmt.Sprintf("the updateStrategy of StatefulSet %s is %s, which holds no version back: a pod that is lost comes back in the one that is declared: set spec.updateStrategy.type to RollingUpdate", token(statefulSet.GetName(), 253), quoted(kind, 63))
}

// MaxUnavailable is how many pods may be missing while a StatefulSet replaces them, 1 by default
// (getStatefulSetMaxUnavailable in pkg/controller/statefulset/stateful_set_utils.go).
func MaxUnavailable(statefulSet *unstructured.Unstructured) int32 {
	value, found, err := unstructured.NestedFieldNoCopy(statefulSet.Object, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable")
	if err != nil || !found {
		return 1
	}
	declared := intstr.FromString(fmt.Sprint(value))
	if n, ok := integer(statefulSet, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable"); ok {
		declared = intstr.FromInt32(int32(n)) //nolint:gosec // the API bounds it
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&declared, int(Replicas(statefulSet)), false)
	if err != nil {
		return 1
	}
	return max(1, int32(n)) //nolint:gosec // at most the replicas
}

// Place is a pod of a StatefulSet with what it runs.
type Place struct {
	*corev1.Pod
	// Index counts from spec.ordinals.start.
	Index int32
	// Version is the name of its ControllerRevision.
	Version string
}

// PlacesOf returns the pods that the StatefulSet controls and that are neither being deleted nor
// beyond its size, by index. A pod whose name ends in no ordinal is none of them.
func PlacesOf(statefulSet *unstructured.Unstructured, pods []corev1.Pod) []Place {
	start := count(statefulSet, "spec", "ordinals", "start")
	var all []Place
	for i := range pods {
		pod := &pods[i]
		owner := metav1.GetControllerOfNoCopy(pod)
		ordinal, err := strconv.ParseInt(strings.TrimPrefix(pod.Name, statefulSet.GetName()+"-"), 10, 32)
		if owner == nil || owner.UID != statefulSet.GetUID() || err != nil || !isActive(pod) {
			continue
		}
		index := int32(ordinal) - start
		if index >= 0 && index < Replicas(statefulSet) {
			all = append(all, Place{Pod: pod, Index: index, Version: pod.Labels[appsv1.ControllerRevisionHashLabelKey]})
		}
	}
	slices.SortFunc(all, func(a, b Place) int { return int(a.Index - b.Index) })
	return all
}

// IsAvailable reports whether the pod has been ready for so long.
func (p Place) IsAvailable(minReady time.Duration, now time.Time) bool {
	since, ready := ReadySince(p.Pod)
	return ready && !since.Add(minReady).After(now)
}

// MinReady is the StatefulSet's minReadySeconds.
func MinReady(statefulSet *unstructured.Unstructured) time.Duration {
	return time.Duration(count(statefulSet, "spec", "minReadySeconds")) * time.Second
}

// CurrentVersion and UpdateVersion are the names of the ControllerRevisions that its controller
// makes pods of: below the partition, and from it on.
func CurrentVersion(statefulSet *unstructured.Unstructured) string {
	name, _, _ := unstructured.NestedString(statefulSet.Object, "status", "currentRevision")
	return name
}

// UpdateVersion is empty before its controller has seen it.
func UpdateVersion(statefulSet *unstructured.Unstructured) string {
	name, _, _ := unstructured.NestedString(statefulSet.Object, "status", "updateRevision")
	return name
}

// Misplaced returns the pods that the StatefulSet controller would make again in another version
// and does not replace by itself: those below the partition that do not run the current version.
// With blocked also those from it on that are not ready and do not run the declared one: with
// OrderedReady the controller waits for them for ever. Those that are not ready come first, then
// the last ordinal.
func Misplaced(statefulSet *unstructured.Unstructured, places []Place, blocked bool) []Place {
	partition, current, update := Partition(statefulSet), CurrentVersion(statefulSet), UpdateVersion(statefulSet)
	var unready, ready []Place
	for _, p := range slices.Backward(places) {
		below := p.Index < partition && current != "" && p.Version != current
		waits := blocked && p.Index >= partition && update != "" && p.Version != update && !IsReady(p.Pod)
		switch {
		case !below && !waits:
		case IsReady(p.Pod):
			ready = append(ready, p)
		default:
			unready = append(unready, p)
		}
	}
	return append(unready, ready...)
}

// PartitionWriter is a field manager that wrote the partition, other than the given one, when
// that did not; empty when it did, or when nobody is known.
func PartitionWriter(statefulSet *unstructured.Unstructured, except string) string {
	other := ""
	for _, m := range statefulSet.GetManagedFields() {
		if m.Subresource != "" || m.FieldsV1 == nil || !ownsPartition(m.FieldsV1) {
			continue
		}
		if m.Manager == except {
			return ""
		}
		other = m.Manager
	}
	return other
}

func ownsPartition(fields *metav1.FieldsV1) bool {
	var tree struct {
		Spec struct {
			Strategy struct {
				Rolling map[string]json.RawMessage `json:"f:rollingUpdate"`
			} `json:"f:updateStrategy"`
		} `json:"f:spec"`
	}
	if err := json.Unmarshal(fields.GetRawBytes(), &tree); err != nil {
		return false
	}
	_, owns := tree.Spec.Strategy.Rolling["f:partition"]
	return owns
}

// SetPartition is the JSON patch (types.JSONPatchType) that gives a StatefulSet this partition;
// nil when it has it. It tests the uid and, unless it holds every pod back, the partition, the
// size and the whole template: what the partition leaves to the candidate is decided on those,
// and the guard may have raised it meanwhile. It does not test the resource version, because
// the status changes with every pod.
func SetPartition(statefulSet *unstructured.Unstructured, partition int32) ([]byte, error) {
	present := Partition(statefulSet)
	if present == partition {
		return nil, nil
	}
	var p jsonPatch
	p.Test(string(statefulSet.GetUID()), "metadata", "uid")
	if partition != v1alpha1.PartitionHold {
		p.Test(present, "spec", "updateStrategy", "rollingUpdate", "partition")
		p.Test(size(statefulSet), "spec", "replicas")
		p.Test(Template(statefulSet), "spec", "template")
	}
	if _, found, _ := unstructured.NestedMap(statefulSet.Object, "spec", "updateStrategy", "rollingUpdate"); !found {
		p.Add(map[string]any{"partition": partition}, "spec", "updateStrategy", "rollingUpdate")
		return p.Encode()
	}
	p.Add(partition, "spec", "updateStrategy", "rollingUpdate", "partition")
	return p.Encode()
}
