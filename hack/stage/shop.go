package stage

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

//go:embed manifests/shop.yaml
var shopManifest string

//go:embed manifests/belay.yaml
var belayManifest string

// Name of everything the shop consists of, in its namespace.
const Name = "shop"

// lookEvery is how often a condition is looked at.
const lookEvery = 200 * time.Millisecond

// Shop is one shop: a Deployment, a Service, a route, a Guardrail, a Rollout.
type Shop struct {
	Namespace string
	// Ordered makes it a StatefulSet whose pods have a volume each, which Belay releases without
	// touching the route. Who serves it makes the volumes.
	Ordered bool

	stage *Stage
}

// Host its route answers to.
func (s Shop) Host() string { return s.Namespace + ".example" }

// Key of its Rollout, and of all the rest.
func (s Shop) Key() types.NamespacedName {
	return types.NamespacedName{Namespace: s.Namespace, Name: Name}
}

// Shop names a shop on this stage; nothing is created.
func (s *Stage) Shop(namespace string) Shop { return Shop{Namespace: namespace, stage: s} }

// label marks what a stage made. Nothing without it is removed or played in.
const label = "belay.dev/stage"

// made reports whether a stage made an object.
func made(object client.Object) bool { return object.GetLabels()[label] == "true" }

// Serve deploys the shop without Belay, and waits until all of its pods are
// ready. A namespace that no stage made is refused.
func (s Shop) Serve(ctx context.Context, image string) error {
	namespace, err := s.namespace(ctx)
	if err != nil {
		return err
	}
	if namespace != nil && !made(namespace) {
		return fmt.Errorf("namespace %[1]s is somebody else's: it has no label %[2]s=true, and the shop needs a namespace of that name to itself."+
			" Use another cluster; or, when nothing in it is of use, `kubectl delete namespace %[1]s`", s.Namespace, label)
	}
	// What an earlier stage left, with KEEP=1 or after a crash, would play along.
	if err := s.Remove(ctx); err != nil {
		return fmt.Errorf("remove what is left of an earlier shop: %w", err)
	}
	if err := s.stage.Apply(ctx, s.Declared(image)); err != nil {
		return err
	}
	if err := s.stage.kubectl(ctx, "-n", s.Namespace, "rollout", "status", s.workload(), "--timeout=90s"); err != nil {
		return err
	}
	return s.AwaitAnswers(ctx)
}

// answer is the status of a response, or why there is none.
func answer(request *http.Request) string {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	_ = response.Body.Close()
	return response.Status
}

// AwaitAnswers waits until the gateway knows the route and the pods. After restarts of the
// API server its watches may come back a minute later.
func (s Shop) AwaitAnswers(ctx context.Context) error {
	last := ""
	err := wait.PollUntilContextTimeout(ctx, lookEvery, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.stage.Addresses.Gateway+"/readyz", nil)
		if err != nil {
			return false, err
		}
		request.Host = s.Host()
		last = answer(request)
		return last == "200 OK", nil
	})
	if err != nil {
		return fmt.Errorf("wait until %s answers for %s: %w; the last answer: %s", s.stage.Addresses.Gateway, s.Host(), err, last)
	}
	return nil
}

// Guard declares the Guardrail and the Rollout, each changed by the replacements,
// old and new by turns, and waits until the Rollout is Ready.
func (s Shop) Guard(ctx context.Context, replacements ...string) error {
	if err := s.stage.Apply(ctx, s.DeclaredGuard(replacements...)); err != nil {
		return err
	}
	_, err := s.Await(ctx, "be Ready and guarded", func(r *v1alpha1.Rollout) bool {
		return r.Status.Phase == v1alpha1.PhaseStable && IsTrue(r, v1alpha1.ConditionReady) && IsTrue(r, v1alpha1.ConditionGuarded)
	})
	return err
}

// Short are replacements for Guard that give the Rollout short steps, so that a journey is about
// behaviour and not about waiting. Those given come first, and may keep a time longer.
func Short(replacements ...string) []string {
	return append(replacements, "hold: 15s", "hold: 6s", "hold: 10s", "hold: 5s", "bake: 10s", "bake: 5s", "weight: 10,", "weight: 20,")
}

// Declared is what Git declares of a shop that a GitOps tool deploys: its namespace, Deployment,
// Service and route.
func (s Shop) Declared(image string) string {
	replacements := []string{"IMAGE", image}
	if s.Ordered {
		replacements = append(replacements, orderedShop...)
	}
	return s.fill(shopManifest, replacements...)
}

// DeclaredGuard is the Guardrail and the Rollout of such a shop, changed as in Guard.
func (s Shop) DeclaredGuard(replacements ...string) string {
	if s.Ordered {
		replacements = slices.Concat(replacements, orderedGuard)
	}
	return s.fill(belayManifest, replacements...)
}

// What makes the manifests those of a shop that is Ordered.
var (
	orderedShop = []string{
		"kind: Deployment", "kind: StatefulSet",
		"  replicas: 4\n", `  replicas: 4
  serviceName: shop
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: "" # made by whoever serves the shop
      resources: {requests: {storage: 1Mi}}
`,
		"        resources:\n", `        env: [{name: SHOP_DATA, value: /data}]
        volumeMounts: [{name: data, mountPath: /data}]
        resources:
`,
		"  selector: {app: shop}\n", "  clusterIP: None\n  selector: {app: shop}\n",
	}
	orderedGuard = []string{
		"workloadRef: {name: shop}", "workloadRef: {kind: StatefulSet, name: shop}",
		"  traffic:\n    service: shop\n    routes: [{name: shop}]\n    drain: 2s\n", "",
	}
)

func (s Shop) fill(manifest string, replacements ...string) string {
	namespace, name, _ := strings.Cut(s.stage.Addresses.GatewayName, "/")
	manifest = strings.NewReplacer("GATEWAY_NAMESPACE", namespace, "GATEWAY_NAME", name).Replace(manifest)
	return strings.NewReplacer(append([]string{"NAMESPACE", s.Namespace, "HOST", s.Host()}, replacements...)...).Replace(manifest)
}

// workload is the Deployment, or the StatefulSet, as kubectl calls it.
func (s Shop) workload() string {
	if s.Ordered {
		return "statefulset/" + Name
	}
	return "deployment/" + Name
}

// Release pushes an image into the workload, as any deploy tool would.
func (s Shop) Release(ctx context.Context, image string) error {
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":%q,"image":%q}]}}}}`, Name, image)
	var workload client.Object = &appsv1.Deployment{}
	if s.Ordered {
		workload = &appsv1.StatefulSet{}
	}
	workload.SetName(Name)
	workload.SetNamespace(s.Namespace)
	return s.stage.Client.Patch(ctx, workload, client.RawPatch(types.StrategicMergePatchType, []byte(patch)))
}

// Scale sets the workload's size, as kubectl scale does.
func (s Shop) Scale(ctx context.Context, replicas int) error {
	return s.stage.kubectl(ctx, "-n", s.Namespace, "scale", s.workload(), fmt.Sprintf("--replicas=%d", replicas))
}

// Undo declares the former version again, as kubectl does it.
func (s Shop) Undo(ctx context.Context) error {
	return s.stage.kubectl(ctx, "-n", s.Namespace, "rollout", "undo", "deployment/"+Name)
}

// Resume is what kubectl advises for a Deployment that is paused. The guard
// refuses it.
func (s Shop) Resume(ctx context.Context) error {
	return s.stage.kubectl(ctx, "-n", s.Namespace, "patch", "deployment", Name, "--type=merge", "-p", `{"spec":{"paused":false}}`)
}

// Bypass lets the Deployment roll without a judgement, for a reason.
func (s Shop) Bypass(ctx context.Context, reason string) error {
	d, err := s.Deployment(ctx)
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"%d: %s"}},"spec":{"paused":false}}`, v1alpha1.AnnotationBypassReason, d.Generation, reason)
	return s.stage.Client.Patch(ctx, d, client.RawPatch(types.MergePatchType, []byte(patch)))
}

// Act gives the Rollout a command by annotation.
func (s Shop) Act(ctx context.Context, action v1alpha1.Action, token, reason string) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q,%q:%q,%q:%q}}}`, v1alpha1.AnnotationAction, action,
		v1alpha1.AnnotationActionToken, token, v1alpha1.AnnotationActionReason, reason)
	rollout := &v1alpha1.Rollout{}
	rollout.Name, rollout.Namespace = Name, s.Namespace
	return s.stage.Client.Patch(ctx, rollout, client.RawPatch(types.MergePatchType, []byte(patch)))
}

// Rollout reads the shop's Rollout.
func (s Shop) Rollout(ctx context.Context) (*v1alpha1.Rollout, error) {
	rollout := &v1alpha1.Rollout{}
	return rollout, s.stage.Client.Get(ctx, s.Key(), rollout)
}

// Run reads a RolloutRun of the shop.
func (s Shop) Run(ctx context.Context, name string) (*v1alpha1.RolloutRun, error) {
	run := &v1alpha1.RolloutRun{}
	return run, s.stage.Client.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: name}, run)
}

// Deployment reads the shop's Deployment.
func (s Shop) Deployment(ctx context.Context) (*appsv1.Deployment, error) {
	deployment := &appsv1.Deployment{}
	return deployment, s.stage.Client.Get(ctx, s.Key(), deployment)
}

// Await waits until the Rollout is as wanted; what says so in the error. A read
// that fails is tried again.
func (s Shop) Await(ctx context.Context, what string, wanted func(*v1alpha1.Rollout) bool) (*v1alpha1.Rollout, error) {
	var last *v1alpha1.Rollout
	err := wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		rollout, err := s.Rollout(ctx)
		if err != nil {
			return false, client.IgnoreNotFound(retryable(err))
		}
		last = rollout
		return wanted(rollout), nil
	})
	if err != nil {
		return last, fmt.Errorf("waited for Rollout %s to %s: %w\n%s", s.Key(), what, err, Describe(last))
	}
	return last, nil
}

// retryable hides an error that another try may not meet.
func retryable(err error) error {
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		return err
	}
	return nil
}

// Finished waits until the run of an image has its history entry.
func (s Shop) Finished(ctx context.Context, image string) (v1alpha1.HistoryEntry, error) {
	var entry v1alpha1.HistoryEntry
	_, err := s.Await(ctx, "finish the run of "+image, func(r *v1alpha1.Rollout) bool {
		for _, h := range r.Status.History {
			if h.Image == image {
				entry = h
				return true
			}
		}
		return false
	})
	return entry, err
}

// Remove deletes the shop, as Leave does, and waits until its namespace is gone.
func (s Shop) Remove(ctx context.Context) error {
	namespace, err := s.Leave(ctx)
	if err != nil || namespace == nil {
		return err
	}
	return s.await(ctx, namespace)
}

// Leave deletes the Rollout, lets it release the route, and then begins to delete the namespace,
// which it returns: its pods take some seconds to end. It returns nil, and leaves a namespace
// alone, when no stage made it.
func (s Shop) Leave(ctx context.Context) (*corev1.Namespace, error) {
	namespace, err := s.namespace(ctx)
	if err != nil || namespace == nil || !made(namespace) {
		return nil, err
	}
	rollout := &v1alpha1.Rollout{}
	rollout.Name, rollout.Namespace = Name, s.Namespace
	if err := s.stage.Client.Delete(ctx, rollout); err != nil && !absent(err) {
		return nil, err
	}
	if err := s.await(ctx, rollout); err != nil {
		return nil, fmt.Errorf("wait for Rollout %s to release its route: %w", s.Key(), err)
	}
	// The one that was looked at: another may have taken its name meanwhile.
	err = s.stage.Client.Delete(ctx, namespace, client.Preconditions{UID: &namespace.UID})
	return namespace, client.IgnoreNotFound(err)
}

// AwaitRemovals waits until no namespace that a stage made is on its way out.
func (s *Stage) AwaitRemovals(ctx context.Context) error {
	var leaving []string
	err := wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		namespaces := &corev1.NamespaceList{}
		if err := s.Client.List(ctx, namespaces, client.MatchingLabels{label: "true"}); err != nil {
			return false, retryable(err)
		}
		leaving = nil
		for i := range namespaces.Items {
			if n := &namespaces.Items[i]; n.DeletionTimestamp != nil {
				leaving = append(leaving, n.Name)
			}
		}
		return len(leaving) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait until these namespaces are removed: %s: %w", strings.Join(leaving, ", "), err)
	}
	return nil
}

// namespace is the shop's, nil when there is none.
func (s Shop) namespace(ctx context.Context) (*corev1.Namespace, error) {
	namespace := &corev1.Namespace{}
	err := s.stage.Client.Get(ctx, types.NamespacedName{Name: s.Namespace}, namespace)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // no namespace is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("look for namespace %s: %w", s.Namespace, err)
	}
	return namespace, nil
}

// absent reports that an object is not there, or not even its kind: a stage may
// have ended between installing Belay and removing it.
func absent(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }

// await waits until an object is gone.
func (s Shop) await(ctx context.Context, object client.Object) error {
	return wait.PollUntilContextCancel(ctx, lookEvery, true, func(ctx context.Context) (bool, error) {
		err := s.stage.Client.Get(ctx, client.ObjectKeyFromObject(object), object)
		return absent(err), nil
	})
}

// IsTrue reports whether a condition of the Rollout is True.
func IsTrue(r *v1alpha1.Rollout, condition string) bool {
	for _, c := range r.Status.Conditions {
		if c.Type == condition {
			return c.Status == "True"
		}
	}
	return false
}

// Describe puts a Rollout in a few lines.
func Describe(r *v1alpha1.Rollout) string {
	if r == nil {
		return "no such Rollout"
	}
	out := fmt.Sprintf("phase %s, run %q: %s", r.Status.Phase, r.Status.Run, r.Status.Message)
	for _, c := range r.Status.Conditions {
		out += fmt.Sprintf("\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return out
}
