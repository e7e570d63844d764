package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// screen prints lines that stay, and on a terminal a block below them that is
// drawn anew; without a terminal only the lines.
type screen struct {
	mu       sync.Mutex
	to       io.Writer
	terminal bool
	now      func() time.Time
	begin    time.Time
	block    []string
	partial  bytes.Buffer
}

func newScreen(to io.Writer, terminal bool, now func() time.Time) *screen {
	return &screen{to: to, terminal: terminal, now: now, begin: now()}
}

// say prints a line with the time since the start.
func (s *screen) say(line string) {
	elapsed := s.now().Sub(s.begin)
	s.lines(fmt.Sprintf("%3d:%04.1f  %s", int(elapsed.Minutes()), elapsed.Seconds()-60*float64(int(elapsed.Minutes())), line))
}

// title starts a part.
func (s *screen) title(line string) { s.lines("", s.bold("== "+line), "") }

// Write takes the output of commands, whole lines at a time.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.partial.Write(p)
	whole := bytes.LastIndexByte(s.partial.Bytes(), '\n')
	text := ""
	if whole >= 0 {
		text = string(s.partial.Next(whole + 1))
	}
	s.mu.Unlock()
	if text != "" {
		s.lines(strings.Split("         "+strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n         "), "\n")...)
	}
	return len(p), nil
}

func (s *screen) lines(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	block := s.block
	s.erase()
	_, _ = io.WriteString(s.to, strings.Join(lines, "\n")+"\n")
	s.draw(block)
}

// show replaces the block.
func (s *screen) show(block []string) {
	if !s.terminal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.draw(block)
}

// clear removes the block.
func (s *screen) clear() { s.show(nil) }

func (s *screen) erase() {
	if len(s.block) > 0 {
		fmt.Fprintf(s.to, "\x1b[%dA\x1b[J", len(s.block))
	}
	s.block = nil
}

func (s *screen) draw(block []string) {
	for _, line := range block {
		// A wrapped line would break the count of lines to erase.
		_, _ = io.WriteString(s.to, cut(line, 110)+"\n")
	}
	s.block = block
}

func (s *screen) bold(text string) string {
	if !s.terminal {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}
