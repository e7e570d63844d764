package workload

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
)

// Mark is the JSON patch (types.JSONPatchType) that makes the Deployment's marks
// these; nil when they are. It tests the marks that it changes, and that the
// Deployment is still the Rollout's, not the resource version: status and size change
// all the time. Only the first mark of a Deployment tests that it has not changed.
func Mark(deployment *unstructured.Unstructured, marks v1alpha1.Marks) ([]byte, error) {
	var p jsonPatch
	p.Test(string(deployment.GetUID()), "metadata", "uid")
	labels, added := deployment.GetLabels(), map[string]string{}
	if labels[v1alpha1.LabelRollout] == marks.Rollout {
		p.Test(marks.Rollout, "metadata", "labels", v1alpha1.LabelRollout)
	} else {
		p.testUnchanged(deployment)
	}
	changed := false
	wanted := marks.Labels()
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		present, ok := labels[key]
		if present == wanted[key] && ok == (wanted[key] != "") {
			continue
		}
		changed = true
		switch {
		case wanted[key] == "":
			p.RemoveLabels(labels, key)
			continue
		case ok:
			p.Test(present, "metadata", "labels", key)
		}
		added[key] = wanted[key]
	}
	if !changed {
		return nil, nil
	}
	p.entries(deployment, "labels", added)
	return p.Encode()
}

// MarkSet is the JSON merge patch (types.MergePatchType) that labels a ReplicaSet with its
// Rollout, so that its template is guarded, and with its role; nil when it has the labels.
// It has the resource version.
func MarkSet(set *unstructured.Unstructured, rollout, role string) ([]byte, error) {
	labels, changed := set.GetLabels(), map[string]any{}
	for key, wanted := range map[string]string{v1alpha1.LabelRollout: rollout, v1alpha1.LabelRole: role} {
		if labels[key] != wanted {
			changed[key] = wanted
		}
	}
	return labelPatch(set, changed)
}

func labelPatch(object *unstructured.Unstructured, changed map[string]any) ([]byte, error) {
	if len(changed) == 0 {
		return nil, nil
	}
	raw, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": object.GetResourceVersion(), "labels": changed}})
	if err != nil {
		return nil, fmt.Errorf("encode a patch: %w", err)
	}
	return raw, nil
}

// Unlabel removes Belay's labels from a Deployment or ReplicaSet; nil when it has none. It
// is a JSON patch (types.JSONPatchType), because a label that the guard has put back has
// no field owner, and so no apply can remove it.
func Unlabel(object *unstructured.Unstructured) ([]byte, error) {
	var p jsonPatch
	p.Test(string(object.GetUID()), "metadata", "uid")
	keys := append(v1alpha1.WorkloadLabels(), v1alpha1.LabelBorrowed, v1alpha1.LabelRole)
	if removed := p.RemoveLabels(object.GetLabels(), keys...); len(removed) == 0 {
		return nil, nil
	}
	return p.Encode()
}
