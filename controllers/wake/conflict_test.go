package wake

import (
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"belay.dev/belay/api/v1alpha1"
)

// TestALostLockIsNoFailure: it is looked at again soon. What fails otherwise is told.
func TestALostLockIsNoFailure(t *testing.T) {
	conflict := apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("rollouts").GroupResource(), "shop", errors.New("changed"))
	if result, err := AfterConflict(t.Context(), "record", conflict); err != nil || result.RequeueAfter <= 0 {
		t.Errorf("a conflict gives %+v, %v", result, err)
	}
	refused := errors.New("exceeded quota")
	if result, err := AfterConflict(t.Context(), "record", refused); !errors.Is(err, refused) || !strings.HasPrefix(err.Error(), "record: ") || result.RequeueAfter != 0 {
		t.Errorf("a refusal gives %+v, %v", result, err)
	}
}
