package workload

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
)

// Mark is the JSON merge patch (types.MergePatchType) that sets the Deployment's marks;
// nil when they are set already. It has the resource version, so that a write in between
// is a conflict.
func Mark(deployment *unstructured.Unstructured, marks v1alpha1.Marks) ([]byte, error) {
	labels, changed := deployment.GetLabels(), map[string]any{}
	for key, wanted := range marks.Labels() {
		switch present, ok := labels[key]; {
		case wanted == "" && ok:
			changed[key] = nil
		case wanted != "" && present != wanted:
			changed[key] = wanted
		}
	}
	return labelPatch(deployment, changed)
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
