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
	if d.ordered {
		for _, p := range w.pods {
			sets = append(sets, fmt.Sprintf("%d:%s%s", p.ordinal, p.template[:1], w.stateOf(p)))
		}
	}
	return fmt.Sprintf("%-11s %-24s split %s acked %t narrowed %q declared %s held %s replicas %d lock %q | %s | %d endpoints",
		w.rollout.status.Phase, w.last.Rule, split, n.acknowledged(w.at), n.narrowed, d.declared[:min(1, len(d.declared))], d.holding(), d.replicas, d.lock,
		strings.Join(sets, " "), w.endpoints(""))
}

// holding says what keeps the declared template from rolling.
func (d *deployment) holding() string {
	switch {
	case !d.ordered:
		return fmt.Sprint(d.paused)
	case d.held():
		return "all"
	default:
		return fmt.Sprintf("below %d", d.partition)
	}
}

// stateOf is a pod's state in one sign: nothing for one that is ready.
func (w *World) stateOf(p pod) string {
	switch {
	case !p.stays(w.at):
		return "…"
	case !p.ready(w.at):
		return "!"
	default:
		return ""
	}
}
