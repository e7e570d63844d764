package main

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

// counts are the metrics. The labels of the versions have names that no scrape configuration sets,
// such as service or namespace: Prometheus would rename them.
type counts struct {
	requests, different, skipped *prometheus.CounterVec
}

// newCounts registers them. Every series is there from the start: one that comes with its first
// increment would be a metric that may be misspelt.
func newCounts(registry prometheus.Registerer, namespace string, services ...service) *counts {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "belay", Subsystem: "comparer", Name: name, Help: help}, labels)
	}
	c := &counts{
		requests:  counter("requests_total", "Requests whose answers were compared. For the stable Service: its second answer with its first. For the canary Service: its answer with stable's first.", "compared_service"),
		different: counter("different_total", "Requests whose answers were different, each once; in is where: answer (there was none), status, or json (a selected value).", "compared_service", "in"),
		skipped:   counter("skipped_total", "Copies that were not compared, by reason.", "reason"),
	}
	for _, of := range services {
		c.requests.WithLabelValues(of.name)
		for _, in := range []string{inAnswer, inStatus, inJSON} {
			c.different.WithLabelValues(of.name, in)
		}
	}
	for _, reason := range []string{skippedMethod, skippedTarget, skippedBusy, skippedTooLarge, skippedCutOff, skippedNoReference, skippedNoCandidate} {
		c.skipped.WithLabelValues(reason)
	}
	prometheus.WrapRegistererWith(prometheus.Labels{"compared_namespace": namespace}, registry).MustRegister(c.requests, c.different, c.skipped)
	return c
}

func (c *counts) skip(reason string) { c.skipped.WithLabelValues(reason).Inc() }

// examples logs a difference, once a second at most, without users' data: neither values nor the
// query.
type examples struct {
	clock clock.PassiveClock
	log   *slog.Logger

	lock sync.Mutex
	last time.Time
}

func (e *examples) show(r request, of service, d difference) {
	e.lock.Lock()
	defer e.lock.Unlock()
	now := e.clock.Now()
	if now.Sub(e.last) < time.Second {
		return
	}
	e.last = now
	e.log.Info("different answers", "service", of.name, "method", r.method, "path", r.path(), "difference", d.words)
}
