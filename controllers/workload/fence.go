package workload

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"belay.dev/belay/api/v1alpha1"
)

// Fence is a merge patch that leaves a Rollout's epoch on a ReplicaSet. It changes the
// resource version, which a handover's write tests, and tests it itself: a handover that
// was faster is no fence's to hide.
func Fence(set *unstructured.Unstructured, rollout string, epoch int64) []byte {
	return fmt.Appendf(nil, `{"metadata":{"resourceVersion":%q,"annotations":{%q:%q}}}`, set.GetResourceVersion(), v1alpha1.AnnotationFence+rollout, strconv.FormatInt(epoch, 10))
}

// FenceOf is the epoch that the last fence of a Rollout has left on a ReplicaSet; 0
// without one.
func FenceOf(set *unstructured.Unstructured, rollout string) int64 {
	epoch, err := strconv.ParseInt(set.GetAnnotations()[v1alpha1.AnnotationFence+rollout], 10, 64)
	if err != nil {
		return 0
	}
	return epoch
}
