package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReadFaults(t *testing.T) {
	tests := map[string]struct {
		env     map[string]string
		want    faults
		wantErr string
	}{
		"an empty environment is a healthy version": {
			want: faults{version: "dev", drain: 3 * time.Second},
		},
		"every fault is read": {
			env: map[string]string{
				"SHOP_VERSION": "v2", "SHOP_ERROR_RATE": "0.05", "SHOP_ADDED_LATENCY": "300ms",
				"SHOP_DOUBLE_CHARGE_RATE": "1", "SHOP_CRASH_AFTER": "10s", "SHOP_DRAIN": "0s",
			},
			want: faults{version: "v2", errorRate: 0.05, addedLatency: 300 * time.Millisecond, doubleChargeRate: 1, crashAfter: 10 * time.Second},
		},
		"a cold start without its length is refused": {env: map[string]string{"SHOP_COLD_ERROR_RATE": "0.05"}, wantErr: "SHOP_COLD_START"},
		"a rate above one is refused":                {env: map[string]string{"SHOP_ERROR_RATE": "5"}, wantErr: "SHOP_ERROR_RATE"},
		"a rate that is NaN is refused":              {env: map[string]string{"SHOP_ERROR_RATE": "NaN"}, wantErr: "SHOP_ERROR_RATE"},
		"a bare latency number is refused":           {env: map[string]string{"SHOP_ADDED_LATENCY": "300"}, wantErr: "SHOP_ADDED_LATENCY"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readFaults(func(key string) string { return tc.env[key] })
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want one naming %s", err, tc.wantErr)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

// warm is a shop that has run for a long time.
func warm() time.Duration { return time.Hour }

func TestAColdStartEnds(t *testing.T) {
	f := faults{errorRate: 0.5, addedLatency: time.Millisecond, coldStart: 20 * time.Second, coldErrorRate: 0.2, coldLatency: time.Second}
	for age, want := range map[time.Duration]struct {
		rate    float64
		latency time.Duration
	}{
		0:                {0.6, time.Second + time.Millisecond},
		20 * time.Second: {0.5, time.Millisecond},
	} {
		if rate, latency := f.at(age); rate != want.rate || latency != want.latency {
			t.Errorf("at %s: %v errors, %s; want %v, %s", age, rate, latency, want.rate, want.latency)
		}
	}
}

func TestCheckout(t *testing.T) {
	always := func() float64 { return 0 }
	tests := map[string]struct {
		faults         faults
		body           string
		wantStatus     int
		wantChecks     int
		wantViolations int
	}{
		"a healthy version charges once":                  {wantStatus: 200, wantChecks: 1},
		"a double charge breaks the books behind a 200":   {faults: faults{doubleChargeRate: 1}, wantStatus: 200, wantChecks: 1, wantViolations: 1},
		"an error fault answers 500 and charges nothing":  {faults: faults{errorRate: 1}, wantStatus: 500},
		"an unknown article is the customer's mistake":    {body: `[{"sku":"yacht","quantity":1}]`, wantStatus: 400},
		"a negative quantity cannot make money disappear": {body: `[{"sku":"rope","quantity":-1}]`, wantStatus: 400},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newShop(tc.faults, always, warm)
			w := httptest.NewRecorder()
			s.routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/checkout", strings.NewReader(tc.body)))
			if w.Code != tc.wantStatus {
				t.Errorf("status %d, want %d: %s", w.Code, tc.wantStatus, w.Body)
			}
			metrics := scrape(t, s)
			for _, want := range []string{
				fmt.Sprintf(`app_invariant_checks_total{invariant="no-double-charge"} %d`, tc.wantChecks),
				fmt.Sprintf(`app_invariant_violations_total{invariant="no-double-charge"} %d`, tc.wantViolations),
				fmt.Sprintf(`http_requests_total{code="%d",method="POST",path="/checkout"} 1`, tc.wantStatus),
			} {
				if !strings.Contains(metrics, want+"\n") {
					t.Errorf("/metrics lacks %s", want)
				}
			}
		})
	}
}

func scrape(t *testing.T, s *shop) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func TestViolationsAreVisibleBeforeTheFirstOne(t *testing.T) {
	metrics := scrape(t, newShop(faults{}, randomChance, warm))
	for _, want := range []string{
		`app_invariant_violations_total{invariant="no-double-charge"} 0`, `app_invariant_checks_total{invariant="no-double-charge"} 0`,
		`http_requests_total{code="500",method="GET",path="/"} 0`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestLedgerForgetsOldOrdersButNotTheirMoney(t *testing.T) {
	l := newLedger(2)
	for order := uint64(1); order <= 5; order++ {
		if err := l.charge(order, 100); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.orders) != 2 || len(l.arrival) != 2 || l.balances[revenue] != 500 {
		t.Errorf("kept %d orders and %d cents, want 2 and 500", len(l.orders), l.balances[revenue])
	}
}

func TestTerminationServesWhileDraining(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newShop(faults{drain: 300 * time.Millisecond}, randomChance, warm)
	ctx, terminate := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, s, listener) }()
	url := "http://" + listener.Addr().String()
	terminate()
	// Readiness goes at once; poll because serve notices in its own goroutine.
	for deadline := time.Now().Add(200 * time.Millisecond); s.ready.Load() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 200, "/": 200} {
		response, err := http.Get(url + path)
		if err != nil {
			t.Fatalf("%s while draining: %v", path, err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s while draining: %d, want %d", path, response.StatusCode, want)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestAFolderKeepsTheStartsOfAllVersions(t *testing.T) {
	folder := t.TempDir()
	for _, version := range []string{"v1", "v2"} {
		if err := noteStart(folder, "shop-3", version); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(filepath.Join(folder, "starts"))
	if err != nil || string(content) != "shop-3 v1\nshop-3 v2\n" {
		t.Errorf("starts: %q, %v", content, err)
	}
	if err := noteStart(filepath.Join(folder, "none"), "shop-3", "v1"); err == nil {
		t.Error("a shop without its folder should not start")
	}
}
