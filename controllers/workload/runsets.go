package workload

import (
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"belay.dev/belay/api/v1alpha1"
)

// RunOwner says whose ReplicaSets RunSetsOf looks for.
type RunOwner struct {
	// Rollout is the Rollout's name, RolloutUID its UID.
	Rollout    string
	RolloutUID types.UID
	// Deployment is the UID of its Deployment; empty while there is none.
	Deployment types.UID
	// Run is the name of the run in progress; empty without one.
	Run string
	// HandOverDecided is whether a handover of the run's set was decided.
	HandOverDecided bool
	// FencedAt is the epoch of the rollback in progress; 0 without one. Of a set with a
	// fence of that epoch, which FenceOf reads, no handover has succeeded.
	FencedAt int64
	FenceOf  func(*Set) int64
}

// RunSets are the ReplicaSets of a Rollout's runs.
type RunSets struct {
	// Canary is the set of the run in progress; nil when it has none.
	Canary *Set
	// Handed means that the Deployment controls it, by a handover.
	Handed bool
	// Former means that the Rollout controls it, as the first edition of Belay left it.
	Former bool
	// Adopted is the name of the run's set when the run is not its owner any more,
	// although no handover was decided: the Deployment owns it, or nobody yet.
	Adopted string
	// Leftover is the name of a set of a former run; empty when there is none.
	Leftover string
}

// RunSetsOf finds the ReplicaSet of the run in progress by its owner and its label,
// whatever its template has become, and those of former runs.
func RunSetsOf(sets []Set, o RunOwner) RunSets {
	var found RunSets
	label := v1alpha1.RunLabel(o.Run)
	for i := range sets {
		set := &sets[i]
		// Without its label a set is known by the name of its run, which begins with the
		// Rollout's.
		ours := set.ControllerKind == "RolloutRun" && (set.Rollout == o.Rollout || set.Rollout == "" && strings.HasPrefix(set.ControllerName, o.Rollout+"-"))
		// A set that the Deployment owns although no handover was decided is none that
		// was judged: the planner takes it out as any wrong version.
		fenced := o.FencedAt > 0 && o.FenceOf(set) == o.FencedAt
		handed := o.HandOverDecided && !fenced && o.Deployment != "" && set.ControllerUID == o.Deployment
		// Its owner tells a canary: labels can be taken away.
		byOwner := set.ControllerKind == "RolloutRun" && set.ControllerName == o.Run
		byLabel := handed && set.Run == label
		// Until somebody adopts a set without an owner it stays the run's.
		orphaned := set.ControllerUID == "" && set.Rollout == o.Rollout && set.Run == label
		switch inRun := o.Run != ""; {
		case inRun && (byOwner || byLabel || orphaned):
			found.Canary, found.Handed, found.Former = set, handed, false
		case inRun && set.ControllerUID == o.RolloutUID:
			found.Canary, found.Handed, found.Former = set, false, true
		case set.Deleting:
			// It is on its way.
		case inRun && (!o.HandOverDecided || fenced) && set.Run == label && (set.ControllerUID == "" || set.ControllerUID == o.Deployment):
			found.Adopted = set.Name
		case ours || set.ControllerUID == o.RolloutUID:
			found.Leftover = set.Name
		}
	}
	return found
}
