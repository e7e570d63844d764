package build

import (
	"maps"
	"net/http"
	"testing"
)

func TestRequestsAreCountedByVerbAndResource(t *testing.T) {
	status := http.StatusOK
	c := &Requests{}
	counted := c.Wrap(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: http.NoBody}, nil
	}))
	send := func(method, path string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "https://kube.example"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := counted.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	for range 2 {
		send("PATCH", "/apis/belay.dev/v1alpha1/namespaces/shop/rollouts/shop/status?fieldManager=belay")
	}
	send("GET", "/apis/apps/v1/namespaces/shop/deployments/shop")
	send("GET", "/apis/apps/v1/deployments?limit=500")
	send("PATCH", "/apis/apps/v1/namespaces/shop/deployments/shop?dryRun=All")
	send("POST", "/apis/events.k8s.io/v1/namespaces/shop/events")
	send("GET", "/api/v1/namespaces/shop")
	send("GET", "/apis/apps/v1/deployments?watch=true")
	send("PUT", "/apis/coordination.k8s.io/v1/namespaces/belay/leases/belay-controller")
	send("GET", "/apis/apps/v1")
	send("GET", "/version")
	status = http.StatusConflict
	send("PATCH", "/api/v1/namespaces/shop/services/shop")
	want := map[string]int{
		"PATCH rollouts/status": 2, "GET deployments": 1, "LIST deployments": 1, "PATCH deployments (dry run)": 1, "POST events": 1, "GET namespaces": 1,
	}
	if rows, conflicts := c.Counts(); !maps.Equal(rows, want) || !maps.Equal(conflicts, map[string]int{"PATCH services": 1}) {
		t.Errorf("counted %v, and %v with a conflict", rows, conflicts)
	}
	c.Reset()
	if rows, conflicts := c.Counts(); len(rows)+len(conflicts) != 0 {
		t.Errorf("after a reset %v and %v are left", rows, conflicts)
	}
}
