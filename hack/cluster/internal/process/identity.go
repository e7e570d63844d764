package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// identity says which process a pid meant when it was written down. Pids are
// reused, also after a reboot; a pid with its start time and boot is not.
type identity struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
	Boot  string `json:"boot"`
}

// identify reads the identity of a live process. Zombies count as gone: they
// hold a pid and nothing else.
func identify(pid int) (identity, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return identity{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	state, start, err := parseStat(string(raw))
	if err != nil {
		return identity{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	if state == "Z" || state == "X" {
		return identity{}, fmt.Errorf("process %d has ended: %w", pid, os.ErrProcessDone)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, fmt.Errorf("read the boot id: %w", err)
	}
	return identity{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// parseStat finds state (field 3) and start time (field 22). The command name
// in field 2 may hold spaces and parentheses, hence the search from the right.
func parseStat(stat string) (state, start string, err error) {
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 20 {
		return "", "", fmt.Errorf("unexpected content of /proc/PID/stat: %q", stat)
	}
	return fields[0], fields[19], nil
}

func (i identity) alive() bool {
	now, err := identify(i.PID)
	return err == nil && now == i
}

// marked lists the live processes whose environment carries the marker, and
// the child name each was given. It finds what no record names: a child started
// just before a kill -9, or a container shim that inherited its environment.
func marked(marker string) map[identity]string {
	found := map[identity]string{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return found
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err != nil {
			continue
		}
		for _, variable := range bytes.Split(environ, []byte{0}) {
			name, ok := strings.CutPrefix(string(variable), marker)
			if !ok {
				continue
			}
			if id, err := identify(pid); err == nil {
				found[id] = name
			}
		}
	}
	return found
}
