package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// settings of the judge in place of its defaults, for the tables of choices.
type settings struct {
	// warmUp is 0 for the default, and burst and bar nil.
	warmUp time.Duration
	burst  *time.Duration
	bar    *float64
	// texts are what was set.
	texts []string
}

// set reads name=value.
func (s *settings) set(text string) error {
	name, value, _ := strings.Cut(text, "=")
	switch name {
	case "warm-up":
		d, err := time.ParseDuration(value)
		if err != nil || d < time.Second {
			return fmt.Errorf("%q is no warm-up of at least 1s: write one such as warm-up=30s", value)
		}
		s.warmUp = d
	case "burst":
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is no duration: write one such as burst=10s", value)
		}
		s.burst = &d
	case "bar":
		bar, err := strconv.ParseFloat(value, 64)
		if err != nil || !(bar >= 0) || math.IsInf(bar, 0) {
			return fmt.Errorf("%q is no logarithm of at least 0: write one such as bar=4", value)
		}
		s.bar = &bar
	default:
		return fmt.Errorf("there is no setting %q: write warm-up, burst or bar", name)
	}
	s.texts = append(s.texts, text)
	return nil
}

// start is startDefault with these settings.
func (s *settings) start(of *scenario) rule {
	d := byDefaultOf(of)
	if s.burst != nil {
		d.Burst = *s.burst
	}
	if s.bar != nil {
		d.Bar = *s.bar
	}
	return d
}
