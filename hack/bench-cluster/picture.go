package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"belay.dev/belay/api/v1alpha1"
)

// moment is what a run's record said of a trigger at one poll.
type moment struct {
	at                            time.Time
	relative, absolute, threshold float64
	burn                          float64
}

// watchEvidence follows a trigger's statistics through a run until ctx ends.
func (s *shop) watchEvidence(ctx context.Context, trigger string) []moment {
	var out []moment
	_, _ = s.Await(ctx, "be followed", func(r *v1alpha1.Rollout) bool {
		run, err := s.Run(ctx, r.Status.Run)
		if err != nil || run.Status.Analysis == nil || run.Status.Outcome != "" {
			return false
		}
		for _, t := range run.Status.Analysis.Triggers {
			if t.Name != trigger || t.EvaluatedAt == nil || len(out) > 0 && !t.EvaluatedAt.After(out[len(out)-1].at) {
				continue
			}
			value := func(name string) float64 {
				i := slices.IndexFunc(t.Statistics, func(s v1alpha1.Statistic) bool { return s.Name == name })
				if i < 0 {
					return 0
				}
				v, _ := strconv.ParseFloat(t.Statistics[i].Value, 64)
				return v
			}
			out = append(out, moment{t.EvaluatedAt.Time, value("logRelative"), value("logAbsolute"), value("logThreshold"), value("burn")})
		}
		return false
	})
	return out
}

// Sizes of the pictures, in pixels.
const (
	width, height = 720, 300
	margin        = 56
)

// canvas is an SVG with a plain frame, readable on light and dark pages.
type canvas struct {
	strings.Builder
	maxX, maxY float64
}

func newCanvas(title string, maxX, maxY float64, xLabel, yLabel string) *canvas {
	c := &canvas{maxX: maxX, maxY: maxY}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12"><rect width="100%%" height="100%%" fill="#fff"/>`, width, height)
	fmt.Fprintf(c, `<text x="%d" y="20" font-size="14">%s</text>`, margin, title)
	for i := range 6 {
		x, y := maxX*float64(i)/5, maxY*float64(i)/5
		fmt.Fprintf(c, `<text x="%.0f" y="%d" text-anchor="middle" fill="#555">%.0f</text>`, c.x(x), height-margin+18, x)
		if yLabel == "" {
			continue
		}
		fmt.Fprintf(c, `<text x="%d" y="%.0f" text-anchor="end" fill="#555">%.0f</text><path d="M%d %.0fH%d" stroke="#ddd"/>`, margin-6, c.y(y)+4, y, margin, c.y(y), width-20)
	}
	fmt.Fprintf(c, `<text x="%d" y="%d" text-anchor="middle">%s</text>`, width/2, height-12, xLabel)
	fmt.Fprintf(c, `<text transform="translate(14 %d) rotate(-90)" text-anchor="middle">%s</text>`, height/2, yLabel)
	return c
}

func (c *canvas) x(v float64) float64 { return margin + v/c.maxX*(width-margin-20) }
func (c *canvas) y(v float64) float64 { return height - margin - max(0, v)/c.maxY*(height-margin-40) }

// line draws a curve. Its label stands so far above its end.
func (c *canvas) line(colour, label string, above float64, xs, ys []float64) {
	points := make([]string, len(xs))
	for i := range xs {
		points[i] = fmt.Sprintf("%.1f,%.1f", c.x(xs[i]), c.y(ys[i]))
	}
	last := len(xs) - 1
	fmt.Fprintf(c, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%.0f" y="%.0f" text-anchor="end" fill="%s">%s</text>`,
		strings.Join(points, " "), colour, c.x(xs[last])-10, c.y(ys[last])-above, colour, label)
}

func (c *canvas) save(directory, name string) error {
	c.WriteString("</svg>\n")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(directory, name), []byte(c.String()), 0o644)
}

// drawEvidence shows how the evidence of one run grew until it convicted.
func drawEvidence(directory string, moments []moment) error {
	moments = slices.DeleteFunc(slices.Clone(moments), func(m moment) bool { return m.threshold == 0 })
	if len(moments) < 2 {
		return fmt.Errorf("the run was polled %d times: too few to draw", len(moments))
	}
	var xs, relative, absolute, threshold []float64
	top := moments[0].threshold * 1.4
	for _, m := range moments {
		xs = append(xs, m.at.Sub(moments[0].at).Seconds())
		relative, absolute, threshold = append(relative, m.relative), append(absolute, m.absolute), append(threshold, moments[len(moments)-1].threshold)
		top = max(top, m.relative*1.1, m.absolute*1.1)
	}
	c := newCanvas("A release with 5 % errors: evidence of its regression", xs[len(xs)-1]+1, top, "seconds since the first poll", "ln E")
	c.line("#888", "convicts", -14, xs, threshold)
	c.line("#c0392b", "worse than stable", 22, xs, relative)
	c.line("#2471a3", "outside its budget", 6, xs, absolute)
	return c.save(directory, "evidence.svg")
}

// drawSeconds shows every bad version's seconds to weight 0.
func drawSeconds(directory string, results map[string][]result) error {
	top := 30.0
	for _, own := range results {
		for _, r := range own {
			top = max(top, r.took.Seconds()*1.1)
		}
	}
	c := newCanvas("Real cluster, 5 s scrape: from the first bad response to weight 0", top, 4, "seconds", "")
	row := 4.0
	for _, k := range kinds {
		if !k.bad {
			continue
		}
		row--
		fmt.Fprintf(c, `<text x="%.0f" y="%.0f" text-anchor="end">%s</text>`, float64(width-24), c.y(row)-8, k.name)
		for _, r := range results[k.name] {
			fmt.Fprintf(c, `<circle cx="%.1f" cy="%.1f" r="5" fill="#c0392b" fill-opacity=".5"/>`, c.x(r.took.Seconds()), c.y(row))
		}
	}
	return c.save(directory, "seconds.svg")
}
