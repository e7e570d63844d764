package view

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"belay.dev/belay/api/v1alpha1"
)

// Text makes text from outside safe to show: one line, without control, formatting and
// private characters, at most limit characters.
func Text(s string, limit int) string {
	// A hostile value is not scanned to its end.
	if most := limit*utf8.UTFMax + utf8.UTFMax; len(s) > most {
		s = s[:most]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || unicode.Is(unicode.Zs, r):
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, s)
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return s
}

// Tag is a short name of a version: the tag of its image, or else its revision.
func Tag(r *v1alpha1.Revision) string {
	if r == nil {
		return "?"
	}
	return tag(r.Image, r.Revision)
}

func tag(image, revision string) string {
	image, _, _ = strings.Cut(image, "@")
	name := image[strings.LastIndexByte(image, '/')+1:]
	if _, tag, ok := strings.Cut(name, ":"); ok && tag != "" {
		return Text(tag, 40)
	}
	return Text(revision, 10)
}

// Short is a duration as people say it: "40s", "4m12s", "3h20m", "2d". It is never
// negative.
func Short(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	switch h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60; {
	case h >= 48:
		return fmt.Sprintf("%dd", h/24)
	case h > 0 && m > 0:
		return fmt.Sprintf("%dh%02dm", h, m)
	case h > 0:
		return fmt.Sprintf("%dh", h)
	case m >= 10 || m > 0 && s == 0:
		return fmt.Sprintf("%dm", m)
	case m > 0:
		return fmt.Sprintf("%dm%02ds", m, s)
	default:
		return fmt.Sprintf("%ds", s)
	}
}

// Moment is a time in UTC as people say it: "14:05:13Z", and of another day than now
// "20 Nov 14:05:13Z".
func Moment(at, now time.Time) string {
	if at.UTC().Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		return at.UTC().Format(time.TimeOnly) + "Z"
	}
	return at.UTC().Format("2 Jan 15:04:05") + "Z"
}

// Percent is a ratio between 0 and 1 as a percentage, with more digits when it is small.
func Percent(ratio float64) string {
	switch {
	case ratio > 0 && ratio < 0.001:
		return fmt.Sprintf("%.3f %%", 100*ratio)
	case ratio == 0 || ratio == 1:
		return fmt.Sprintf("%.0f %%", 100*ratio)
	default:
		return fmt.Sprintf("%.1f %%", 100*ratio)
	}
}
