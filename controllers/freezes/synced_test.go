package freezes

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"

	"belay.dev/belay/api/v1alpha1"
)

// TestAListThatNeverComesHolds, and nobody waits for it: neither a start, which it holds, nor a
// rollback, which it must not.
func TestAListThatNeverComesHolds(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	unread := &informertest.FakeInformers{Scheme: scheme}
	for _, kind := range Kinds() {
		informer, err := unread.FakeInformerFor(t.Context(), kind)
		if err != nil {
			t.Fatal(err)
		}
		*informer = *controllertest.NewFakeInformer()
	}
	held := Bind(t.Context(), Synced(unread, unread), &v1alpha1.Rollout{}, time.Now())
	if held.Reason != v1alpha1.ReasonFreezeUnclear || !strings.Contains(held.Message, "has not given a list of them yet") {
		t.Errorf("%+v", held)
	}
}
