package world

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Disturbance is something that goes wrong at one of the controller's writes.
type Disturbance struct {
	// Kind is one of Kinds, At the write, from 1; 0 for what is wrong from the start.
	Kind string
	At   int
}

// Plan is a story with the delays of a seed, and what goes wrong in it. The same plan
// always plays the same way.
type Plan struct {
	Story        string
	Seed         uint64
	Disturbances []Disturbance
}

// String is a plan in one word: promote/crash-after-effect@7, with #3 for the seed 3
// and a plus before each further disturbance.
func (p Plan) String() string {
	var all []string
	for _, d := range p.Disturbances {
		all = append(all, fmt.Sprintf("%s@%d", d.Kind, d.At))
	}
	if len(all) == 0 {
		all = []string{"undisturbed"}
	}
	text := p.Story + "/" + strings.Join(all, "+")
	if p.Seed != 1 {
		text += fmt.Sprintf("#%d", p.Seed)
	}
	return text
}

// ParsePlan reads what String wrote.
func ParsePlan(text string) (Plan, error) {
	p := Plan{Seed: 1}
	text, seed, seeded := strings.Cut(text, "#")
	if seeded {
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			return p, fmt.Errorf("the seed %q is not a number", seed)
		}
		p.Seed = n
	}
	slash := strings.LastIndexByte(text, '/')
	if slash < 0 {
		return p, fmt.Errorf("%q is not story/kind@write", text)
	}
	p.Story = text[:slash]
	if text[slash+1:] == "undisturbed" {
		return p, nil
	}
	for one := range strings.SplitSeq(text[slash+1:], "+") {
		name, at, _ := strings.Cut(one, "@")
		n, err := strconv.Atoi(at)
		if err != nil || n < 0 {
			return p, fmt.Errorf("%q is not kind@write", one)
		}
		if _, ok := kindNamed(name); !ok {
			return p, fmt.Errorf("%q is no kind of disturbance", name)
		}
		p.Disturbances = append(p.Disturbances, Disturbance{name, n})
	}
	return p, nil
}

// World is the world at the plan's beginning.
func (p Plan) World() (*World, error) {
	s, err := p.story()
	if err != nil {
		return nil, err
	}
	return s.Begin(p.Seed, p.Disturbances...), nil
}

// Judge says what is wrong with the end that a plan has come to.
func (p Plan) Judge(w *World) []string {
	s, err := p.story()
	if err != nil {
		return []string{err.Error()}
	}
	return s.Judge(w, p)
}

func (p Plan) story() (Story, error) {
	all := Stories()
	i := slices.IndexFunc(all, func(s Story) bool { return s.Name == p.Story })
	if i < 0 {
		return Story{}, fmt.Errorf("there is no story %q", p.Story)
	}
	return all[i], nil
}

// Judge says what is wrong with the end that a plan of this story has come to.
func (s Story) Judge(w *World, p Plan) []string {
	for _, d := range p.Disturbances {
		if k, _ := kindNamed(d.Kind); k.ends != nil {
			s = k.ends(s)
		}
	}
	return s.Ends(w)
}

// Played is a plan that was played.
type Played struct {
	Plan
	// Wrong is what was wrong with it; empty when nothing was.
	Wrong []string
	World *World
}

// Each plays plans of single disturbances of the story: of all that mean something,
// the nth being counted from 1, those that choose takes. The course up to a write is
// played once for all that strike there.
func (s Story) Each(seed uint64, choose func(d Disturbance, nth int) bool, played func(Played)) {
	nth := 0
	w := s.Begin(seed)
	w.atWrite = func(write Write, before *World) {
		for i := range kinds {
			k := &kinds[i]
			if !k.applies(s, write) {
				continue
			}
			nth++
			p := Plan{s.Name, seed, []Disturbance{{k.name, write.Number}}}
			if !choose(p.Disturbances[0], nth) {
				continue
			}
			fork := before.fork()
			fork.disturbances = p.Disturbances
			fork.Run()
			played(Played{p, s.Judge(fork, p), fork})
		}
	}
	w.Run()
}
