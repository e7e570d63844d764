package state

import (
	"fmt"
	"net"
	"strconv"
)

// The search starts below the kernel's ephemeral range (32768 and up), so that
// no outgoing connection takes a chosen port between two runs.
const (
	firstPort = 21400
	lastPort  = 29999
)

// Port returns the named port: the stored one when `keep` says its owner still
// runs or when it is free, else the first free one nobody else here was given.
func (c *Cluster) Port(name string, keep bool) (int, error) {
	if port, ok := c.Ports[name]; ok && (keep || free(port)) {
		return port, nil
	}
	taken := map[int]bool{}
	for other, port := range c.Ports {
		taken[port] = other != name
	}
	for port := firstPort; port <= lastPort; port++ {
		if !taken[port] && free(port) {
			c.Ports[name] = port
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free TCP port between %d and %d for %s", firstPort, lastPort, name)
}

// free asks for the port on every address: binding one address alone would
// succeed beside a listener on another and fail later.
func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
