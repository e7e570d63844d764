package replicas_test

import (
	"context"
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"belay.dev/belay/controllers/traffic"
	"belay.dev/belay/controllers/traffic/contract"
	"belay.dev/belay/controllers/traffic/replicas"
)

const stable, canary = "6c77698f9a", "9fd21c3b07"

// world is a Deployment's two ReplicaSets, and one of another Deployment.
type world struct {
	t      *testing.T
	client client.Client
	target traffic.Target
}

func open(t *testing.T) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	selector, err := labels.Parse("app=shop")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, client: fake.NewClientBuilder().WithScheme(scheme).Build(),
		target: traffic.Target{Namespace: "shop", Owner: "shop", Workload: selector, StableHash: stable, CanaryHash: canary, Epoch: 1}}
	w.set("shop", stable, "shop", 2)
	w.set("shop", "another", "cart", 7)
	w.set("other", stable, "shop", 7)
	return w
}

// set makes a ReplicaSet with so many ready pods.
func (w *world) set(namespace, hash, app string, ready int32) {
	w.t.Helper()
	s := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: app + "-" + hash, Labels: map[string]string{"app": app, "pod-template-hash": hash}}}
	err := w.client.Create(w.t.Context(), s)
	if err == nil || apierrors.IsAlreadyExists(err) {
		err = w.client.Get(w.t.Context(), client.ObjectKeyFromObject(s), s)
	}
	if err == nil {
		s.Status.ReadyReplicas = ready
		err = w.client.Status().Update(w.t.Context(), s)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) Router() traffic.Router { return replicas.New(w.client) }
func (w *world) Target() traffic.Target { return w.target }
func (w *world) Follow()                {}

// Writes are none: the router is given a reader.
func (w *world) Writes() int { return 0 }

func (w *world) Run(stables, canaries int) {
	w.set("shop", stable, "shop", int32(stables))
	w.set("shop", canary, "shop", int32(canaries))
}

func TestContract(t *testing.T) {
	contract.Run(t, contract.Capabilities{}, func(t *testing.T) contract.World { return open(t) })
}

func TestWithoutADeploymentNobodysPodsCount(t *testing.T) {
	w := open(t)
	w.target.Workload = nil
	o, err := w.Router().Observe(t.Context(), w.target)
	if err != nil || o != (traffic.Observation{Acknowledged: true, PairCurrent: true}) {
		t.Errorf("observed %+v, %v", o, err)
	}
}

// TestOtherVersionsCountAsPods: a set without a hash, or with a third one, is of
// neither side.
func TestOtherVersionsCountAsPods(t *testing.T) {
	w := open(t)
	w.Run(3, 1)
	w.set("shop", "third", "shop", 2)
	w.set("shop", "", "shop", 1)
	w.target.StableHash = ""
	o, err := w.Router().Observe(t.Context(), w.target)
	if err != nil || o.Service != 7 || o.Stable != 0 || o.Canary != 1 || o.ServiceStable != 0 || o.ServiceCanary != 1 {
		t.Errorf("observed %+v, %v", o, err)
	}
}

func TestAReadThatFailsIsAnError(t *testing.T) {
	w := open(t)
	refused := errors.New("refused")
	failing := interceptor.NewClient(w.client.(client.WithWatch), interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return refused }})
	if _, err := replicas.New(failing).Observe(t.Context(), w.target); !errors.Is(err, refused) {
		t.Errorf("a refused list says %v", err)
	}
}
