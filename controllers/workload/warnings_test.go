package workload

import (
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestHPAWarning(t *testing.T) {
	const end = `, which does not fall when pods are added: with a full-size canary beside stable it may scale both to its maximum of 20 pods; set spec.promotion.mode to Native, or scale on another metric`
	for metrics, want := range map[string]string{
		`{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}`:                                                                           "",
		`{"type":"ContainerResource","containerResource":{"name":"cpu","container":"app","target":{"type":"Utilization"}}}`:                                                               "",
		`{"type":"Pods","pods":{"metric":{"name":"rps"},"target":{"type":"AverageValue","averageValue":"10"}}}`:                                                                           "",
		`{"type":"External","external":{"metric":{"name":"queue"},"target":{"type":"AverageValue","averageValue":"10"}}}`:                                                                 "",
		`{"type":"Object","object":{"metric":{"name":"rps"},"describedObject":{"kind":"Ingress","name":"i"},"target":{"type":"AverageValue"}}}`:                                           "",
		`{"type":"Resource","resource":{"name":"memory","target":{"type":"Utilization","averageUtilization":80}}}`:                                                                        "memory",
		`{"type":"ContainerResource","containerResource":{"name":"memory","container":"app","target":{"type":"Utilization"}}}`:                                                            "memory of container app",
		`{"type":"External","external":{"metric":{"name":"queue length"},"target":{"type":"Value","value":"10"}}}`:                                                                        `external metric "queue length" (target type Value)`,
		`{"type":"Object","object":{"metric":{"name":"rps"},"describedObject":{"kind":"Ingress","name":"i"},"target":{"type":"Value"}}}`:                                                  "metric rps of Ingress i (target type Value)",
		`{"type":"Resource","resource":{"name":"cpu"}},{"type":"Resource","resource":{"name":"memory"}},{"type":"External","external":{"metric":{"name":"q"},"target":{"type":"Value"}}}`: "memory, external metric q (target type Value)",
		strings.Repeat(`{"type":"Resource","resource":{"name":"memory"}},`, 4) + `{"type":"Resource","resource":{"name":"memory"}}`:                                                       "memory, memory, memory and 2 more",
	} {
		u := object(t, `{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"shop"},"spec":{"maxReplicas":20,"metrics":[`+metrics+`]}}`)
		var hpa autoscalingv2.HorizontalPodAutoscaler
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &hpa); err != nil {
			t.Fatal(err)
		}
		if want != "" {
			want = "HorizontalPodAutoscaler shop scales on " + want + end
		}
		if got := HPAWarning(&hpa); got != want {
			t.Errorf("%s:\n%s, want\n%s", metrics, got, want)
		}
	}
}

// TestHPAWarningOfAStatefulSet: whatever it scales on, the pods that it adds are the candidate's.
func TestHPAWarningOfAStatefulSet(t *testing.T) {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "auto"}, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{Kind: "StatefulSet", Name: "web"}, MinReplicas: new(int32(3)), MaxReplicas: 20,
		Metrics: []autoscalingv2.MetricSpec{{Resource: &autoscalingv2.ResourceMetricSource{Name: "memory"}}},
	}}
	const want = "HorizontalPodAutoscaler auto scales StatefulSet web: pods that it adds during a step run the candidate, until Belay has replaced those that the weight does not ask for; to keep weights exact, set minReplicas to maxReplicas (20) until the run ends"
	if got := HPAWarning(hpa); got != want {
		t.Errorf("%q", got)
	}
	hpa.Spec.MinReplicas = new(int32(20))
	if got := HPAWarning(hpa); got != "" {
		t.Errorf("of a fixed size: %q", got)
	}
}

func TestHistoryWarning(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*unstructured.Unstructured)
		want   string
	}{
		"default": {func(*unstructured.Unstructured) {}, ""},
		"two":     {field(int64(2), "spec", "revisionHistoryLimit"), ""},
		"none":    {field(int64(0), "spec", "revisionHistoryLimit"), "revisionHistoryLimit 0"},
		"one":     {field(int64(1), "spec", "revisionHistoryLimit"), "revisionHistoryLimit 1"},
	} {
		d := deployment(t)
		tc.change(d)
		if got := HistoryWarning(d); !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
