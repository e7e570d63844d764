package node

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"belay.dev/belay/hack/cluster/internal/state"
)

const (
	networkName = "belay-local"
	ipForward   = "/proc/sys/net/ipv4/ip_forward"
)

// ForwardingNow reads net.ipv4.ip_forward, which the CNI bridge plugin sets.
func ForwardingNow() string {
	raw, _ := os.ReadFile(ipForward)
	return strings.TrimSpace(string(raw))
}

// EnsureBridge makes the bridge pods hang on. It carries two addresses: the
// pods' gateway, and the API server's service address, which makes the host
// answer for it without kube-proxy.
//
// The bridge of another cluster is an error if `inUse` says so of that one's
// state folder. Otherwise whatever ended its processes left the bridge behind:
// it is removed and made anew.
func EnsureBridge(dir state.Dir, inUse func(root string) bool) error {
	alias := bridgeOwner(dir)
	if owner := ownerOfBridge(); owner != "" && owner != alias {
		root := strings.TrimPrefix(owner, ownerPrefix)
		if inUse(root) {
			return fmt.Errorf("bridge %s belongs to the cluster in %s, which is in use: run `down` there first", state.Bridge, root)
		}
		if err := ip("link", "delete", state.Bridge); err != nil {
			return err
		}
	}
	if _, err := os.Stat("/sys/class/net/" + state.Bridge); err != nil {
		if err := ip("link", "add", state.Bridge, "type", "bridge"); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"link", "set", state.Bridge, "alias", alias},
		{"addr", "replace", state.BridgeIP + "/24", "dev", state.Bridge},
		{"addr", "replace", state.ServiceIP + "/32", "dev", state.Bridge},
		{"link", "set", state.Bridge, "up"},
	} {
		if err := ip(args...); err != nil {
			return err
		}
	}
	return nil
}

const ownerPrefix = "belay "

// bridgeOwner is the bridge's alias (at most 255 bytes): whose it is.
func bridgeOwner(dir state.Dir) string {
	owner := ownerPrefix + dir.Root
	return owner[:min(len(owner), 255)]
}

// RemoveBridge deletes the bridge if it is this cluster's, and puts forwarding back.
func RemoveBridge(dir state.Dir, forwarding string) error {
	if owner := ownerOfBridge(); owner == bridgeOwner(dir) {
		if err := ip("link", "delete", state.Bridge); err != nil {
			return err
		}
	}
	if forwarding == "" || forwarding == ForwardingNow() {
		return nil
	}
	if err := os.WriteFile(ipForward, []byte(forwarding+"\n"), 0o644); err != nil {
		return fmt.Errorf("put net.ipv4.ip_forward back to %s: %w", forwarding, err)
	}
	return nil
}

// ownerOfBridge is the mark of the cluster whose bridge is there, empty without one.
func ownerOfBridge() string {
	alias, err := os.ReadFile("/sys/class/net/" + state.Bridge + "/ifalias")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(alias))
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// writeCNI configures pod networking: routed through the bridge and not
// masqueraded, so host and pods see each other's real addresses.
func writeCNI(dir state.Dir) error {
	conf := fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": %q,
  "plugins": [{
    "type": "bridge",
    "bridge": %q,
    "isGateway": true,
    "ipMasq": false,
    "hairpinMode": true,
    "ipam": {
      "type": "host-local",
      "dataDir": %q,
      "ranges": [[{"subnet": %q, "gateway": %q}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
`, networkName, state.Bridge, dir.Path("cni", "networks"), state.PodCIDR, state.BridgeIP)
	return state.WriteFile(dir.Path("cni", "net.d", "10-belay.conflist"), []byte(conf), 0o644)
}
