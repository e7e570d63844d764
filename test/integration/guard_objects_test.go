package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// Kubernetes' own controllers that delete, or write, what hangs on something gone.
const (
	garbageCollector    = "system:serviceaccount:kube-system:generic-garbage-collector"
	namespaceController = "system:serviceaccount:kube-system:namespace-controller"
	controllerManager   = "system:kube-controller-manager"
)

// TestReplicaSetTemplatesAreTheDeploymentControllers: on a set that Belay knows.
func TestReplicaSetTemplatesAreTheDeploymentControllers(t *testing.T) {
	replicas := int32(2)
	d := deployment("sets", "app:v1")
	for _, labelled := range []bool{true, false} {
		set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("sets-", labelled), Namespace: "shop", Labels: map[string]string{"app": "sets"}},
			Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: d.Spec.Selector, Template: d.Spec.Template}}
		if labelled {
			set.Labels[v1alpha1.LabelRollout] = "sets"
		}
		create(t, set)
	}
	template := func() string { return string(templateOf(image())) }
	const unlabel, relabel, scale = `{"metadata":{"labels":{"belay.dev/rollout":null}}}`, `{"metadata":{"labels":{"belay.dev/rollout":"b"}}}`, `{"spec":{"replicas":3},"metadata":{"annotations":{"a":"b"}}}`
	for who, c := range map[string]struct {
		as   client.Client
		free bool
	}{
		"dev": {dev(t), false}, "sre": {sre(t), false}, "cluster administrator": {admin, false}, "garbage collector": {as(t, garbageCollector, "system:masters"), false},
		"Deployment controller": {as(t, deploymentController, "system:masters"), true}, "controller manager": {as(t, controllerManager, "system:masters"), true},
		"Belay": {as(t, controller), true},
	} {
		for what, document := range map[string]string{"template": template(), "label removed": unlabel, "label changed": relabel, "scale": scale} {
			t.Run(who+", "+what, func(t *testing.T) {
				g := NewWithT(t)
				write := func(name, document string) error {
					set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
					return c.as.Patch(t.Context(), set, client.RawPatch(types.StrategicMergePatchType, []byte(document)), client.DryRunAll)
				}
				g.Expect(write("sets-false", document)).To(Succeed(), "a set of nobody's")
				err := write("sets-true", document)
				if c.free || what == "scale" {
					g.Expect(err).NotTo(HaveOccurred())
					return
				}
				g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
				g.Expect(err).To(MatchError(And(ContainSubstring("belay-guard-replicasets"), Not(ContainSubstring("failed expression")))))
			})
		}
	}
	for who, c := range map[string]client.Client{"garbage collector": as(t, garbageCollector, "system:masters"), "namespace controller": as(t, namespaceController, "system:masters")} {
		set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "sets-true", Namespace: "shop"}}
		NewWithT(t).Expect(c.Delete(t.Context(), set, client.DryRunAll)).To(Succeed(), who)
	}
}

// running makes a RolloutRun in progress, or one that has ended.
func running(t *testing.T, name, outcome string) *v1alpha1.RolloutRun {
	t.Helper()
	u := object(t, valid["RolloutRun"])
	u.SetName(name)
	belay := as(t, controller)
	if err := belay.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if outcome != "" {
		run := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
		document := fmt.Appendf(nil, `{"status":{"outcome":%q}}`, outcome)
		if err := belay.Status().Patch(t.Context(), run, client.RawPatch(types.MergePatchType, document)); err != nil {
			t.Fatal(err)
		}
	}
	return &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}}
}

// TestARunInProgressStays: its ReplicaSet hangs on it.
func TestARunInProgressStays(t *testing.T) {
	for who, c := range map[string]struct {
		as      client.Client
		deletes bool
	}{
		"dev": {as(t, "dev", "system:masters"), false}, "cluster administrator": {admin, false}, "Deployment controller": {as(t, deploymentController, "system:masters"), false},
		"Belay": {as(t, controller), true}, "garbage collector": {as(t, garbageCollector, "system:masters"), true},
		"namespace controller": {as(t, namespaceController, "system:masters"), true}, "controller manager": {as(t, controllerManager, "system:masters"), true},
	} {
		t.Run(who, func(t *testing.T) {
			g := NewWithT(t)
			name := strings.ReplaceAll(strings.ToLower("stays-"+who), " ", "-")
			ended := running(t, name+"-ended", "RolledBack")
			g.Expect(c.as.Delete(t.Context(), ended)).To(Succeed(), "a run that has ended is history")
			run := running(t, name, "")
			err := c.as.Delete(t.Context(), run)
			if c.deletes {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			g.Expect(err).To(MatchError(ContainSubstring("kubectl -n shop annotate --overwrite rollouts.belay.dev rules belay.dev/action=Abort")))
			err = c.as.DeleteAllOf(t.Context(), &v1alpha1.RolloutRun{}, client.InNamespace("shop"), client.MatchingFields{"metadata.name": name})
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
			g.Expect(as(t, controller).Delete(t.Context(), run)).To(Succeed())
		})
	}
}

// TestCollectorsFinishARunsDeletion: a deletion in the foreground leaves a
// finalizer that the garbage collector takes away; it changes nothing else.
func TestCollectorsFinishARunsDeletion(t *testing.T) {
	g := NewWithT(t)
	run := running(t, "foreground", "RolledBack")
	collector := as(t, garbageCollector, "system:masters")
	g.Expect(admin.Delete(t.Context(), run, client.PropagationPolicy(metav1.DeletePropagationForeground))).To(Succeed())
	g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(run), run)).To(Succeed())
	g.Expect(run.Finalizers).To(ContainElement(metav1.FinalizerDeleteDependents))
	for who, c := range map[string]client.Client{"garbage collector": collector, "administrator": admin} {
		err := c.Patch(t.Context(), run.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"belay.dev/outcome":"Promoted"}}}`)))
		g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%s: %v", who, err)
	}
	release := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	g.Expect(apierrors.IsForbidden(admin.Patch(t.Context(), run.DeepCopy(), release))).To(BeTrue())
	g.Expect(collector.Patch(t.Context(), run, release)).To(Succeed())
	g.Expect(apierrors.IsNotFound(admin.Get(t.Context(), client.ObjectKeyFromObject(run), run))).To(BeTrue())
}

// TestPatchWithoutUpdateReachesCommandsOnly: what belay-sre may write of a Rollout.
func TestPatchWithoutUpdateReachesCommandsOnly(t *testing.T) {
	guarded(t, "annotate", true)
	grant(t, admin, "annotator", "belay-sre")
	annotator, editor := as(t, "annotator"), dev(t)
	write := func(ctx context.Context, c client.Client, document string) error {
		r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "annotate", Namespace: "shop"}}
		return c.Patch(ctx, r, client.RawPatch(types.MergePatchType, []byte(document)), client.DryRunAll)
	}
	for what, c := range map[string]struct {
		document string
		command  bool
	}{
		"abort":      {`{"metadata":{"annotations":{"belay.dev/action":"Abort","belay.dev/action-token":"1","belay.dev/action-reason":"r","belay.dev/action-revision":"a"}}}`, true},
		"retry":      {`{"metadata":{"annotations":{"belay.dev/action":"Retry","belay.dev/action-token":"1"}}}`, true},
		"nothing":    {`{}`, true},
		"annotation": {`{"metadata":{"annotations":{"note":"a"}}}`, false},
		"removed":    {`{"metadata":{"annotations":{"kept":null}}}`, false},
		"changed":    {`{"metadata":{"annotations":{"kept":"b"}}}`, false},
		"label":      {`{"metadata":{"labels":{"a":"b"}}}`, false},
		"finalizer":  {`{"metadata":{"finalizers":["example.com/f"]}}`, false},
		"owner":      {`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"u"}]}}`, false},
		"spec":       {`{"spec":{"mode":"Observe"}}`, false},
		"command and spec": {`{"metadata":{"annotations":{"belay.dev/action":"Abort","belay.dev/action-token":"1"}},
			"spec":{"steps":[{"weight":100}]}}`, false},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			err := admin.Patch(t.Context(), &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "annotate", Namespace: "shop"}},
				client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"kept":"a"}}}`)))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(write(t.Context(), editor, c.document)).To(Succeed(), "who may update may do all of it")
			err = write(t.Context(), annotator, c.document)
			if c.command {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(And(ContainSubstring("belay-guard-annotate"), ContainSubstring("you may give commands"), Not(ContainSubstring("failed expression")))))
		})
	}
}

func TestStatusAndRunsAreTheControllersAlone(t *testing.T) {
	g := NewWithT(t)
	user := dev(t)
	guarded(t, "status", true)
	rollout := &v1alpha1.Rollout{}
	g.Expect(user.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "status"}, rollout)).To(Succeed())
	rollout.Status.Phase = v1alpha1.PhaseStable
	for who, c := range map[string]client.Client{"dev": user, "admin": admin, "collector": as(t, garbageCollector, "system:masters")} {
		g.Expect(apierrors.IsForbidden(c.Status().Update(t.Context(), rollout))).To(BeTrue(), who)
		run := object(t, valid["RolloutRun"])
		run.SetName("forged-" + who)
		g.Expect(apierrors.IsForbidden(c.Create(t.Context(), run))).To(BeTrue(), who)
	}
}
