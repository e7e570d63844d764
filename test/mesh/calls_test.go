//go:build mesh

package mesh

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// rate of a client's calls, a second.
const rate = 150

// call is what hack/mesh/client prints of one.
type call struct {
	Began, Ended            time.Time
	Version, Error, Message string
}

// caller is an application in the mesh: grpc-go's xds client, which calls a Service by its name.
type caller struct {
	mu    sync.Mutex
	calls []call
	err   error
}

func startCaller(t *testing.T, mesh *istiod, namespace string) *caller {
	t.Helper()
	g := NewWithT(t)
	command := exec.Command(filepath.Join(set.Root, ".cluster", "bin", "mesh-client"), // #nosec G204 -- built by make test-mesh
		"-target=xds:///shop."+namespace+".svc.cluster.local:80", fmt.Sprintf("-rate=%d", rate))
	command.Env = append(os.Environ(), "GRPC_XDS_BOOTSTRAP_CONFIG="+mesh.bootstrap(namespace))
	command.Stderr = t.Output()
	out, err := command.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(command.Start()).To(Succeed())
	c := &caller{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.read(out)
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-read
		_ = command.Wait()
	})
	return c
}

func (c *caller) read(from io.Reader) {
	for decoder := json.NewDecoder(from); ; {
		one := call{}
		err := decoder.Decode(&one)
		c.mu.Lock()
		if err == nil {
			c.calls = append(c.calls, one)
		} else if !errors.Is(err, io.EOF) {
			c.err = err
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// tally is what became of calls.
type tally struct {
	of int
	// by version that answered, and failures by version whose fault they are: "" when no
	// version answered at all.
	by, failed map[string]int
	// why is one of the failures without a version.
	why string
	// refused are failures that grpc-go itself makes: see takingOver.
	refused []call
}

// takingOver is grpc-go's error for a call that comes between two steps of its own: a client takes
// over a route first and the route's new clusters after that (ClientConn.updateResolverStateAndUnlock,
// up to v1.85.0), and a call in between fails at once, without having been sent. So it may be
// whenever a route gets a new backend, whoever changes it. About one was seen in a story; by
// chance more than tolerated come once in a hundred million.
const (
	takingOver = "unknown cluster selected for RPC"
	tolerated  = 10
)

func (t tally) String() string {
	return fmt.Sprintf("%d calls: answered %v, failed %v, refused by grpc-go %d %s", t.of, t.by, t.failed, len(t.refused), t.why)
}

// since counts the calls that began at a time or later.
func (c *caller) since(begin time.Time) tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := tally{by: map[string]int{}, failed: map[string]int{}}
	if c.err != nil {
		t.failed[""], t.why = 1, c.err.Error()
	}
	for _, one := range c.calls {
		if one.Began.Before(begin) {
			continue
		}
		t.of++
		_, version := versions[one.Message]
		switch {
		case one.Error == "":
			t.by[one.Version]++
		case one.Error == "Internal" && version:
			t.failed[one.Message]++
		case one.Error == "Unavailable" && strings.HasPrefix(one.Message, takingOver):
			t.refused = append(t.refused, one)
		default:
			t.failed[""]++
			t.why = fmt.Sprintf("(%s: %s, after %s)", one.Error, one.Message, one.Ended.Sub(one.Began))
		}
	}
	return t
}

// falseAlarm bounds how often a share that is right counts as wrong.
const falseAlarm = 1e-6

// plausible says whether k of n calls may be a binomial count at this share. By Chernoff's
// bound a true share is refused with a probability of at most falseAlarm, for every n; at a
// share of 0 or 1 a single call of the other version is too many.
func plausible(k, n int, share float64) bool {
	got := float64(k) / float64(n)
	return float64(n)*(divergence(got, share)+divergence(1-got, 1-share)) <= math.Log(2/falseAlarm)
}

// divergence is one term of the Kullback-Leibler divergence.
func divergence(got, want float64) float64 {
	switch {
	case got == 0:
		return 0
	case want == 0:
		return math.Inf(1)
	}
	return got * math.Log(got/want)
}

// measure waits for n calls that begin from now on, and returns when these have a plausible
// share of the version and none has failed.
func (c *caller) measure(t *testing.T, version string, share float64, n int) {
	t.Helper()
	g := NewWithT(t)
	begin := time.Now()
	var got tally
	g.Eventually(func() int {
		got = c.since(begin)
		return got.of
	}).Should(BeNumerically(">=", n))
	t.Logf("%s %.2f %% of %s", version, 100*float64(got.by[version])/float64(got.of), got)
	g.Expect(got.failed).To(BeEmpty(), "%s", got)
	g.Expect(plausible(got.by[version], got.of, share)).To(BeTrue(), "%s of %s: want a share of %g", version, got, share)
}

func TestPlausible(t *testing.T) {
	for _, c := range []struct {
		k, n  int
		share float64
		want  bool
	}{
		{600, 3000, 0.2, true}, {680, 3000, 0.2, true}, {750, 3000, 0.2, false}, {460, 3000, 0.2, false}, {0, 3000, 0.2, false},
		{0, 3000, 0, true}, {1, 3000, 0, false}, {3000, 3000, 1, true}, {2999, 3000, 1, false},
	} {
		if got := plausible(c.k, c.n, c.share); got != c.want {
			t.Errorf("%d of %d at %g: %t, want %t", c.k, c.n, c.share, got, c.want)
		}
	}
}
