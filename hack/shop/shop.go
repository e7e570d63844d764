package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// catalogue prices in cents.
var catalogue = map[string]int64{"rope": 8990, "harness": 6450, "carabiner": 1195, "chalk": 690}

type line struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// everydayCart is what a checkout without a body buys.
var everydayCart = []line{{"rope", 1}, {"carabiner", 6}, {"chalk", 2}}

// shop is the service.
type shop struct {
	faults faults
	ledger *ledger
	ready  atomic.Bool
	orders atomic.Uint64
	chance func() float64
	// age is how long the shop has run.
	age func() time.Duration

	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	checks     prometheus.Counter
	violations prometheus.Counter
}

func newShop(f faults, chance func() float64, age func() time.Duration) *shop {
	s := &shop{faults: f, ledger: newLedger(10_000), chance: chance, age: age, registry: prometheus.NewRegistry()}
	s.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_requests_total", Help: "Requests answered, by status code, method and path.",
	}, []string{"code", "method", "path"})
	s.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds", Help: "Time to answer a request.",
		Buckets:                     []float64{.005, .01, .025, .05, .1, .2, .3, .5, 1, 2.5, 5},
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, []string{"method", "path"})
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_invariant_checks_total", Help: "How often an invariant was checked.",
	}, []string{"invariant"})
	violations := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_invariant_violations_total", Help: "How often a check found the invariant broken.",
	}, []string{"invariant"})
	// Created at once: a counter born at 1 has no increase to see.
	s.checks, s.violations = checks.WithLabelValues("no-double-charge"), violations.WithLabelValues("no-double-charge")
	for _, path := range []string{"/", "/checkout"} {
		for _, code := range []string{"200", "500"} {
			s.requests.WithLabelValues(code, http.MethodGet, path)
		}
	}
	s.registry.MustRegister(s.requests, s.duration, checks, violations,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.ready.Store(true)
	return s
}

func randomChance() float64 { return rand.Float64() }

// routes is the whole HTTP surface. Probes and metrics are not counted: they
// would dilute the error ratio that users feel.
func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("/metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	mux.Handle("/checkout", s.measured("/checkout", s.checkout))
	mux.Handle("/{$}", s.measured("/", s.home))
	mux.Handle("/", s.measured("other", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }))
	return mux
}

// measured counts, times and, if this version is a bad one, spoils a request.
func (s *shop) measured(path string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		w.Header().Set("X-Shop-Version", s.faults.version)
		errorRate, latency := s.faults.at(s.age())
		time.Sleep(latency)
		if errorRate > 0 && s.chance() < errorRate {
			http.Error(recorder, "this version fails a share of its requests", http.StatusInternalServerError)
		} else {
			next(recorder, r)
		}
		method := methodClass(r.Method)
		s.requests.WithLabelValues(strconv.Itoa(recorder.status), method, path).Inc()
		s.duration.WithLabelValues(method, path).Observe(time.Since(begin).Seconds())
	})
}

// methodClass keeps clients from inventing label values.
func methodClass(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func (s *shop) home(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"shop": "belay", "version": s.faults.version, "catalogue": catalogue})
}

// checkout prices a cart, charges it and checks the books.
func (s *shop) checkout(w http.ResponseWriter, r *http.Request) {
	cart := everydayCart
	if r.Method == http.MethodPost && r.ContentLength != 0 {
		cart = nil
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&cart); err != nil {
			http.Error(w, "read the cart: "+err.Error(), http.StatusBadRequest)
			return
		}
	}
	total, err := price(cart)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	order := s.orders.Add(1)
	charges := 1
	coupon := s.faults.doubleChargeCoupons && r.Header.Get("X-Shop-Coupon") != ""
	if coupon || s.faults.doubleChargeRate > 0 && s.chance() < s.faults.doubleChargeRate {
		charges = 2 // the bug: a retry without an idempotency key
	}
	for range charges {
		if err := s.ledger.charge(order, total); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	s.checks.Inc()
	if !s.ledger.chargedOnce(order, total) {
		s.violations.Inc()
	}
	// The receipt is honest about the bug, so that a customer can tell.
	w.Header().Set("X-Shop-Charges", strconv.Itoa(charges))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"order": order, "cents": total, "charges": charges, "version": s.faults.version})
}

func price(cart []line) (int64, error) {
	var total int64
	for _, l := range cart {
		cents, known := catalogue[l.SKU]
		if !known || l.Quantity < 1 || l.Quantity > 1000 {
			return 0, fmt.Errorf("cannot sell %d of %q", l.Quantity, l.SKU)
		}
		total += cents * l.Quantity
	}
	if total == 0 {
		return 0, fmt.Errorf("the cart is empty")
	}
	return total, nil
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}
