package freezes

import (
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"belay.dev/belay/api/v1alpha1"
)

// Seen is what the status of a freeze says of its spec.
type Seen struct {
	// Ready, Reason and Message are its condition Ready.
	Ready           metav1.ConditionStatus
	Reason, Message string
	// Active is whether it holds now; one that cannot be read does.
	Active bool
	// Opens is when it ends to hold, while it is active; Closes when it begins, while it is
	// not. Both are zero where that is not known.
	Opens, Closes time.Time
}

// Look says what there is to say of a Freeze's spec, and with cluster of a ClusterFreeze's.
func Look(spec v1alpha1.FreezeSpec, cluster *v1alpha1.ClusterFreeze, now time.Time) Seen {
	_, err := v1alpha1.Selects("rolloutSelector", spec.RolloutSelector, nil)
	if cluster != nil {
		_, in := v1alpha1.Selects("namespaceSelector", cluster.Spec.NamespaceSelector, nil)
		err = errors.Join(err, in)
	}
	calendar, unread := Read(spec)
	if err = errors.Join(err, unread); err != nil && !calendar.Expired(now) {
		return Seen{Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonInvalid, Active: true,
			Message: fmt.Sprintf("%s: correct it; until then it holds every Rollout that it may be for", v1alpha1.Bounded(err.Error(), 600))}
	}
	s := Seen{Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonValid}
	if calendar.Expired(now) {
		s.Reason, s.Message = v1alpha1.ReasonExpired, "it holds nothing since "+calendar.expires.UTC().Format(shown)
		return s
	}
	if s.Opens, s.Active = calendar.Opens(now); s.Active {
		s.Message = "closed, opens " + s.Opens.Format(shown)
		return s
	}
	s.Message = "open, and closes not within 366 days"
	closes := false
	if s.Closes, closes = calendar.Closes(now); closes {
		s.Message = "open, closes " + s.Closes.Format(shown)
	}
	return s
}

// shown is how messages have a time.
const shown = "2006-01-02 15:04 MST"

// Concerns reports whether a Freeze, or with cluster a ClusterFreeze, is for a Rollout with
// these labels, or may be.
func Concerns(spec v1alpha1.FreezeSpec, cluster *v1alpha1.ClusterFreeze, namespace, rollout map[string]string) bool {
	selected, _ := freeze{spec: spec, namespaces: cluster}.selects(namespace, rollout)
	return selected
}
