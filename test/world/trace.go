package world

import (
	"fmt"
	"strings"
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

// portrait is the whole world in one line.
func (w *World) portrait() string {
	d, n := &w.deployment, &w.network
	split := "-"
	if n.split != nil {
		split = fmt.Sprint(*n.split)
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
