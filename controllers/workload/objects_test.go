package workload

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/api/v1alpha1"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// object reads a Deployment or ReplicaSet as the API machinery does.
func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return u
}

const theTemplate = `{"metadata":{"labels":{"app":"shop"},"annotations":{"a":"b"}},"spec":{"aField":{"new":1},"containers":[{"name":"app","image":"shop:2","resources":{"limits":{"cpu":"1"}}}]}}`

// deployment of three replicas, paused, on theTemplate.
func deployment(t testing.TB) *unstructured.Unstructured {
	t.Helper()
	return object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"team","name":"shop","uid":"d-1","resourceVersion":"41","generation":3,
		"labels":{"team":"a"}},"spec":{"replicas":3,"paused":true,"minReadySeconds":7,
		"selector":{"matchLabels":{"app":"shop"},"matchExpressions":[{"key":"app","operator":"Exists"}]},
		"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}},"template":`+theTemplate+`}}`)
}

// set is a ReplicaSet of theTemplate, owned by the kind given.
func set(t testing.TB, owner string, uid types.UID, replicas int) *unstructured.Unstructured {
	t.Helper()
	group := map[string]string{"Deployment": "apps/v1", "RolloutRun": "belay.dev/v1alpha1", "Rollout": "argoproj.io/v1alpha1"}[owner]
	u := object(t, `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"namespace":"team","name":"shop-1","uid":"s-1","resourceVersion":"77","labels":{"app":"shop"},
		"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"other","uid":"c-1"},{"apiVersion":"`+group+`","kind":"`+owner+`","name":"its-owner","uid":"`+string(uid)+`","controller":true,"blockOwnerDeletion":true}]},
		"spec":{"selector":{"matchLabels":{"app":"shop","pod-template-hash":"abc"}},"template":`+theTemplate+`},"status":{"replicas":0}}`)
	if err := unstructured.SetNestedField(u.Object, int64(replicas), "spec", "replicas"); err != nil {
		t.Fatal(err)
	}
	return u
}

func run(t testing.TB) *v1alpha1.RolloutRun {
	t.Helper()
	r := &v1alpha1.RolloutRun{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "shop-run-" + strings.Repeat("x", 60) + "-1", UID: "r-1"}}
	r.Spec.Rollout.Name = "the-rollout"
	r.Spec.Revision = revision(t, templateOf(t, theTemplate))
	stable := strings.ReplaceAll(theTemplate, "shop:2", "shop:1")
	r.Spec.Stable.Template = runtime.RawExtension{Raw: []byte(stable)}
	r.Spec.Stable.Revision.Revision = revision(t, templateOf(t, stable))
	return r
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
