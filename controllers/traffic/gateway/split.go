package gateway

import (
	"errors"
	"fmt"
	"math"

	"belay.dev/belay/controllers/traffic"
)

// The functions in this file work on rules only, and do not change their arguments.

const (
	// maxWeight and maxReferences are the limits of Gateway API.
	maxWeight     = 1_000_000
	maxReferences = 16
	// finest is the smallest weight of which every whole percent is a whole number.
	finest = 100
)

// change is the new list of a rule's backendRefs.
type change struct {
	index      int
	references []reference
}

// share replaces, in every rule that concerns the Rollout, the references to the user's
// Service by two to the generated Services with the split's weights, and saves the
// originals. A rule that cannot express the split is not changed; the errors say which
// and why.
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

// restore returns the original references of every shared rule.
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

// fault says why references cannot express a split; empty when they can. A split of 0 or
// 100 percent fits every weight, so that a rollback is never refused because of weights.
func (n names) fault(original []reference, split traffic.Split) string {
	scale, grown := scaleOf(original), len(original)
	for _, ref := range original {
		if n.roleOf(ref) != roleService {
			continue
		}
		grown++
		weight := ref.weight() * scale
		if len(original) > 1 && split.Canary > 0 && split.Canary < 100 && weight > 0 && weight < finest {
			return fmt.Sprintf("%d %% of the weight %.0f is not a whole number beside a weight of %.0f: bring the rule's weights closer together",
				split.Canary, ref.weight(), maxWeight/scale)
		}
	}
	if grown > maxReferences {
		return fmt.Sprintf("it has %d backendRefs, with the split it would have %d, and Gateway API allows %d: remove some", len(original), grown, maxReferences)
	}
	return ""
}

// sharedReferences replaces each reference to the user's Service by two to the generated
// Services. When the rule has other backends, all weights are scaled first, so that their
// proportions stay the same.
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

// scaleOf is the factor for weights: 100, which keeps all proportions exact, or less when
// the largest weight would exceed the limit.
func scaleOf(refs []reference) float64 {
	scale := 100.0
	for _, ref := range refs {
		if w := ref.weight(); w > 0 {
			scale = min(scale, maxWeight/w)
		}
	}
	return scale
}

// ruleShare is the candidate's share in one rule. split is nil when the rule refers to the
// user's Service. serves is false when the weights of the Service and of the generated
// Services are all 0: such a rule has no share to compare.
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

// percent rounds a share, but never to 0 or 100 unless it is exactly that.
func percent(part, total float64) int32 {
	if total == 0 || part == 0 {
		return 0
	}
	if part == total {
		return 100
	}
	return int32(min(99, max(1, math.Round(100*part/total))))
}

// agree is the share in the rules; mixed is set when they disagree, and split is then the
// first one.
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
		// The weights are 0, so the candidate gets no requests.
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
