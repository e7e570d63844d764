package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"belay.dev/belay/controllers/view"
)

// pseudoTerminal opens one of the given size: what is written to the terminal is read from
// the other end.
func pseudoTerminal(t *testing.T, rows, columns uint16) (other, terminal *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = other.Close() })
	fd := int(other.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return other, terminal
}

// TestATerminalIsRecognised, with its size, and NO_COLOR and TERM=dumb are heeded.
func TestATerminalIsRecognised(t *testing.T) {
	_, tty := pseudoTerminal(t, 24, 91)
	t.Setenv("TERM", "xterm")
	if got, want := terminalOf(tty), (terminal{live: true, colour: true, width: 91, height: 24}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	t.Setenv("NO_COLOR", "")
	if got := terminalOf(tty); got.colour || !got.live {
		t.Errorf("with NO_COLOR %+v", got)
	}
	t.Setenv("TERM", "dumb")
	if got := terminalOf(tty); got.colour || got.live {
		t.Errorf("with TERM=dumb %+v", got)
	}
	pipe, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = pipe.Close(), end.Close() }()
	if got := terminalOf(end); got.colour || got.live || got.width != usualWidth {
		t.Errorf("a pipe is %+v", got)
	}
}

// TestALiveScreenFitsItsTerminal: nothing scrolls, also when the screen has more lines than
// the terminal.
func TestALiveScreenFitsItsTerminal(t *testing.T) {
	other, tty := pseudoTerminal(t, 12, 80)
	t.Setenv("TERM", "xterm")
	a, _, _ := testApp()
	a.streams.Out, a.terminal = tty, terminalOf(tty)
	in := read(t, "held")
	ctx, stop := context.WithCancel(t.Context())
	text := statusScreen(a.terminal, view.Rollout(in), in.Now, nil)
	drawn := make(chan string)
	go func() {
		seen := ""
		for buffer := make([]byte, 4096); !strings.Contains(seen, leaveScreen); {
			n, err := other.Read(buffer)
			if err != nil {
				break
			}
			if seen += string(buffer[:n]); strings.Count(seen, home) > 1 {
				stop()
			}
		}
		drawn <- seen
	}()
	if err := a.repeat(ctx, true, func(context.Context) (frame, error) { return frame{text: text}, nil }); err != nil {
		t.Fatal(err)
	}
	seen := <-drawn
	stop()
	drawing, _, left := strings.Cut(seen, leaveScreen)
	if !left {
		t.Fatalf("the terminal was not given back:\n%q", seen)
	}
	screens := strings.Split(drawing, home)
	for _, screen := range screens[1:] {
		if lines := strings.Count(screen, "\n"); lines >= 12 {
			t.Errorf("%d lines on a terminal of 12:\n%s", lines, screen)
		}
	}
	if !strings.Contains(screens[1], "HOLDING at 5 %") {
		t.Errorf("drawn is %q", screens[1])
	}
}

// TestABypassIsConfirmed by the name, typed on a terminal.
func TestABypassIsConfirmed(t *testing.T) {
	for typed, confirmed := range map[string]bool{"shop\n": true, "yes\n": false, "\n": false} {
		other, tty := pseudoTerminal(t, 24, 80)
		a, out, _ := testApp()
		a.streams.In = tty
		if _, err := other.WriteString(typed); err != nil {
			t.Fatal(err)
		}
		if err := a.confirm("shop"); (err == nil) != confirmed || !strings.Contains(out.String(), "Type shop") {
			t.Errorf("%q: %v, %s", typed, err, out)
		}
	}
}
