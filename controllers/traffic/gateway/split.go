package gateway

import (
	"errors"
	"fmt"
	"math"

	"belay.dev/belay/controllers/traffic"
)

// Everything here works on rules alone and leaves the ones it is given as they are.

const (
	// maxWeight and maxReferences are the largest that Gateway API takes.
	maxWeight     = 1_000_000
	maxReferences = 16
	// finest is the smallest weight that every whole percent can be taken of.
	finest = 100
)

// change is what a rule's backendRefs become.
type change struct {
	index      int
	references []reference
}

// share replaces, in every rule that concerns the Rollout, the references to the
// user's Service by the pair with the split's weights, and saves what it replaced.
// A rule that cannot carry the split stays as it is; the errors say which and why.
func share(rules []rule, n names, split traffic.Split, saved originals) (changes []change, kept originals, err error) {
	var refused []error
	assigned := saved.assign(rules, n)
	found := false
	for i, r := range rules {
		original := n.unshared(r, assigned[i])
		if original == nil {
			continue
		}
		found = true
		refs := n.sharedReferences(original, split)
		if fault := n.fault(original, split); fault != "" {
			refused = append(refused, fmt.Errorf("%w: rule %d: %s", traffic.ErrUnusable, i, fault))
			if n.standingOf(r, assigned[i] != nil) != whole {
				kept = append(kept, save(r, original))
			}
			continue
		}
		kept = append(kept, save(r, original))
		changes = append(changes, change{index: i, references: refs})
	}
	if !found {
		return nil, nil, fmt.Errorf("%w: no backendRef names Service %q", traffic.ErrNotRouted, n.service)
	}
	return changes, kept, errors.Join(refused...)
}

// restore puts the references of every shared rule back.
func restore(rules []rule, n names, saved originals) []change {
	var changes []change
	assigned := saved.assign(rules, n)
	for i, r := range rules {
		if s := n.standingOf(r, assigned[i] != nil); s == shared || s == torn {
			changes = append(changes, change{index: i, references: n.unshared(r, assigned[i])})
		}
	}
	return changes
}

// fault says in words why references cannot carry a split; empty when they can.
// All or nothing fits every weight, so that a rollback is never refused for one.
func (n names) fault(original []reference, split traffic.Split) string {
	scale, grown := scaleOf(original), len(original)
	for _, ref := range original {
		if n.roleOf(ref) != roleService {
			continue
		}
		grown++
		weight := ref.weight() * scale
		if len(original) > 1 && split.Canary > 0 && split.Canary < 100 && weight > 0 && weight < finest {
			return fmt.Sprintf("%d %% of the weight %.0f cannot be written beside a weight of %.0f: bring the rule's weights closer together",
				split.Canary, ref.weight(), maxWeight/scale)
		}
	}
	if grown > maxReferences {
		return fmt.Sprintf("it has %d backendRefs, sharing makes it %d, and Gateway API allows %d: remove some", len(original), grown, maxReferences)
	}
	return ""
}

// sharedReferences replaces each reference to the user's Service by the pair.
// Where other backends share the rule, all weights are scaled first, so that
// their proportions stay as they are.
func (n names) sharedReferences(original []reference, split traffic.Split) []reference {
	scale := scaleOf(original)
	var refs []reference
	for _, ref := range original {
		weight := ref.weight() * scale
		if len(original) == 1 && weight > 0 {
			weight = 100
		}
		if n.roleOf(ref) != roleService {
			refs = append(refs, ref.with(ref.text("name"), int64(math.Round(weight))))
			continue
		}
		given := int64(math.Round(weight * float64(split.Canary) / 100))
		refs = append(refs, ref.with(n.stable, int64(math.Round(weight))-given), ref.with(n.canary, given))
	}
	return refs
}

// scaleOf is 100, which keeps all proportions exact, or as much as the largest
// weight leaves room for.
func scaleOf(refs []reference) float64 {
	scale := 100.0
	for _, ref := range refs {
		if w := ref.weight(); w > 0 {
			scale = min(scale, maxWeight/w)
		}
	}
	return scale
}

// ruleShare is what one rule says of the candidate's share. split is nil when it
// names the user's Service. serves is false when the rule gives neither the
// Service nor the pair anything: it has no share to agree on.
type ruleShare struct {
	split        *traffic.Split
	serves, torn bool
}

// sharesOf has one entry for every rule that concerns the Rollout.
func sharesOf(rules []rule, n names, saved originals) []ruleShare {
	var out []ruleShare
	assigned := saved.assign(rules, n)
	for i, r := range rules {
		s := n.standingOf(r, assigned[i] != nil)
		if s == foreign {
			continue
		}
		var weights [roleCanary + 1]float64
		for _, ref := range r.references() {
			weights[n.roleOf(ref)] += ref.weight()
		}
		total := weights[roleService] + weights[roleStable] + weights[roleCanary]
		one := ruleShare{serves: total > 0, torn: s == torn}
		if s != whole {
			one.split = &traffic.Split{Canary: percent(weights[roleCanary], total)}
		}
		out = append(out, one)
	}
	return out
}

// percent never rounds a share to nothing or to everything that is not.
func percent(part, total float64) int32 {
	if total == 0 || part == 0 {
		return 0
	}
	if part == total {
		return 100
	}
	return int32(min(99, max(1, math.Round(100*part/total))))
}

// agree is the share that rules carry, or the first of them when they disagree.
func agree(shares []ruleShare) (split *traffic.Split, mixed bool) {
	var serving []ruleShare
	shut := false
	for _, one := range shares {
		if one.serves {
			serving = append(serving, one)
		}
		shut = shut || !one.serves && one.split != nil
	}
	if len(serving) == 0 && shut {
		// Whatever the share is, nobody gets it.
		return &traffic.Split{}, false
	}
	for _, one := range serving {
		mixed = mixed || one.torn || !sameSplit(one.split, serving[0].split)
		if split == nil {
			split = one.split
		}
	}
	return split, mixed
}

func sameSplit(a, b *traffic.Split) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
