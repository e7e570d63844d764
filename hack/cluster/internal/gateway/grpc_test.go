package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// gRPC is HTTP/2 without TLS, a POST to /service/method and trailers; a plain
// handler can say all of that.
func TestGRPCTravelsAsCleartextHTTP2(t *testing.T) {
	cleartext := new(http.Protocols)
	cleartext.SetUnencryptedHTTP2(true)
	serve := func(handler http.Handler) *httptest.Server {
		server := httptest.NewUnstartedServer(handler)
		server.Config.Protocols = cleartext
		server.Start()
		t.Cleanup(server.Close)
		return server
	}
	backend := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Backend", r.Proto)
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(http.StatusOK)
		w.Header().Set("Grpc-Status", "0")
	}))
	world := newWorld().service("a", strings.TrimPrefix(backend.URL, "http://"))
	service, port, namespace := "shop.Checkout", gatewayv1.PortNumber(80), gatewayv1.Namespace("gateway")
	world.GRPCRoutes = []*gatewayv1.GRPCRoute{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "g"},
		Spec: gatewayv1.GRPCRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "local", Namespace: &namespace}}},
			Rules: []gatewayv1.GRPCRouteRule{{
				Matches: []gatewayv1.GRPCRouteMatch{{Method: &gatewayv1.GRPCMethodMatch{Service: &service}}},
				BackendRefs: []gatewayv1.GRPCBackendRef{{BackendRef: gatewayv1.BackendRef{
					BackendObjectReference: gatewayv1.BackendObjectReference{Name: "a", Port: &port},
				}}},
			}},
		},
	}}
	front := serve(load(t, world))
	client := &http.Client{Transport: &http.Transport{Protocols: cleartext}}
	for path, want := range map[string]int{"/shop.Checkout/Pay": http.StatusOK, "/shop.Other/Pay": http.StatusNotFound} {
		response, err := client.Post(front.URL+path, "application/grpc", strings.NewReader("frame"))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		buffer := make([]byte, 64)
		for err == nil { // trailers arrive after the body
			_, err = response.Body.Read(buffer)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, response.StatusCode, want)
		}
		if want == http.StatusOK && (response.Header.Get("Backend") != "HTTP/2.0" || response.Trailer.Get("Grpc-Status") != "0") {
			t.Errorf("%s: backend saw %q, trailer %q", path, response.Header.Get("Backend"), response.Trailer.Get("Grpc-Status"))
		}
	}
}
