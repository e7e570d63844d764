package world

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// Trace hands the whole world in one line, after the seconds since its start, to a
// function whenever it has changed.
func (w *World) Trace(changed func(line string)) {
	last := ""
	w.trace = func(w *World) {
		if now := w.portrait(); now != last {
			last = now
			changed(fmt.Sprintf("%9.2f %s", w.at.Sub(w.start).Seconds(), now))
		}
	}
}

// Statuses hands the Rollout, with the run that its status names or nil, to a function
// whenever the controller has written its status.
func (w *World) Statuses(written func(r *v1alpha1.Rollout, run *v1alpha1.RolloutRun, now time.Time)) {
	var seen *v1alpha1.RolloutStatus
	w.trace = func(w *World) {
		if w.rollout.status == seen {
			return
		}
		seen = w.rollout.status
		r := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop"}, Spec: w.spec, Status: *seen}
		written(r, w.history.named(seen.Run), w.at)
	}
}

// portrait is the whole world in one line.
func (w *World) portrait() string {
	d, n := &w.deployment, &w.network
	split := "-"
	if n.split != nil {
		split = fmt.Sprint(*n.split)
		if n.testers != nil {
			split += " and testers"
		}
		if n.mirror > 0 {
			split += fmt.Sprintf(" and copies of %d", n.mirror)
		}
	}
	var sets []string
	for _, s := range w.byAge() {
		owner := "D"
		if !w.own(s) {
			owner = s.ownerRun
		}
		sets = append(sets, fmt.Sprintf("%s(%s %d: %d pods, %d ready)", s.name, owner, s.size, w.podsOf(s), w.readyOf(s)))
	}
	return fmt.Sprintf("%-11s %-24s split %s acked %t narrowed %q declared %s paused %t replicas %d lock %q | %s | %d endpoints",
		w.rollout.status.Phase, w.last.Rule, split, n.acknowledged(w.at), n.narrowed, d.declared[:min(1, len(d.declared))], d.paused, d.replicas, d.lock,
		strings.Join(sets, " "), w.endpoints(""))
}
