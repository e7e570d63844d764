package stories

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// BenchmarkControllerOfARun measures the CPU time that cmd/belay-controller takes for
// one release: 3 replicas, one step, no metrics, one release after the other. The
// controller is a process of its own with its usual flags, and its CPU time is the
// metric process_cpu_seconds_total, which counts user and system time. It includes what
// watching the namespace costs, and not what the API server, Kubernetes' own controllers
// and the test take.
//
//	go test ./test/handover/stories -run '^$' -bench ControllerOfARun -benchtime 20x
func BenchmarkControllerOfARun(b *testing.B) {
	b.Run("pods", func(b *testing.B) { releaseByProcess(b, withoutTraffic) })
	b.Run("route", func(b *testing.B) { releaseByProcess(b, func(map[string]any) {}) })
}

func releaseByProcess(b *testing.B, traffic func(spec map[string]any)) {
	s := open(b, 3, nil, traffic, func(spec map[string]any) {
		delete(spec, "guardrails")
		spec["steps"] = []any{map[string]any{"weight": int64(50), "hold": "0s"}}
	})
	s.verdict(always(silent))
	s.belay.end()
	used := s.startProcess(b)
	made := 1
	release := func() {
		made++
		version := fmt.Sprintf("v%d", made)
		s.Push(version)
		s.promoted(version, 3)
		s.Eventually("the run is complete", func(g Gomega) {
			ended := &v1alpha1.RolloutRun{}
			g.Expect(admin.Get(b.Context(), client.ObjectKey{Namespace: s.Namespace, Name: s.rollout().Status.History[0].Run}, ended)).To(Succeed())
			g.Expect(ended.Labels[v1alpha1.LabelOutcome]).To(Equal(string(v1alpha1.OutcomePromoted)))
		})
	}
	// The first fills the caches and makes the Services.
	release()
	before := used()
	for b.Loop() {
		release()
	}
	b.ReportMetric((used()-before)/float64(b.N), "cpu-s/run")
}

// startProcess runs cmd/belay-controller, and returns what tells the seconds of CPU time
// that it has used.
func (s *shop) startProcess(b *testing.B) func() float64 {
	b.Helper()
	folder := b.TempDir()
	binary, access := filepath.Join(folder, "belay-controller"), filepath.Join(folder, "kubeconfig")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", binary, "belay.dev/belay/cmd/belay-controller").CombinedOutput(); err != nil {
		b.Fatalf("build the controller: %v\n%s", err, out)
	}
	config, err := clientcmd.LoadFromFile(kube.Kubeconfig)
	s.Must(err)
	for _, who := range config.AuthInfos {
		who.Impersonate = user
	}
	s.Must(clientcmd.WriteToFile(*config, access))
	address := freeAddress(b)
	process := exec.Command(binary, "--leader-elect=false", "--metrics-bind-address="+address, "--metrics-secure=false", "--health-probe-bind-address=0", "--handover-steady-for="+steadyFor.String())
	process.Env = append(process.Environ(), "KUBECONFIG="+access)
	log := &strings.Builder{}
	process.Stderr = log
	s.Must(process.Start())
	b.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		if err := process.Wait(); err != nil {
			b.Errorf("the controller ended with %v:\n%s", err, log)
		}
	})
	s.Eventually("the controller serves its metrics", func(g Gomega) {
		_, err := cpuSeconds(b.Context(), address)
		g.Expect(err).NotTo(HaveOccurred())
	})
	return func() float64 {
		seconds, err := cpuSeconds(b.Context(), address)
		s.Must(err)
		return seconds
	}
}

func freeAddress(b *testing.B) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func cpuSeconds(ctx context.Context, address string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "process_cpu_seconds_total "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s has no process_cpu_seconds_total", address)
}
