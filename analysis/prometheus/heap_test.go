package prometheus

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// TestTheLargestAnswersStayWithinTheHeap: at the highest limits that the API
// allows, of pods with long names and with short ones.
func TestTheLargestAnswersStayWithinTheHeap(t *testing.T) {
	const series = 20_000
	long := "web-7f9c6d-" + strings.Repeat("a", 50)
	for name, tc := range map[string]struct {
		pods int
		rows func(i int) string
	}{
		"long names":  {series, func(i int) string { return counters(fmt.Sprintf("%s%05d", long, i), 1000, 0, 4) }},
		"short names": {series, func(i int) string { return counters(fmt.Sprintf("w%05d", i), 1000, 0, 4) }},
	} {
		t.Run(name, func(t *testing.T) {
			rows := make([]string, tc.pods)
			for i := range rows {
				rows[i] = tc.rows(i)
			}
			body := []byte(vector(rows...))
			spec := defaults(serve(t, func(w http.ResponseWriter, _ *http.Request) {
				date(w, evaluated)
				_, _ = w.Write(body)
			}))
			spec.Limits.Series, spec.Limits.Bytes = series, 16<<20
			c := connect(t, spec)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			answer, err := ask(t, c)
			runtime.ReadMemStats(&after)
			if err != nil || len(answer.Counters) != tc.pods {
				t.Fatalf("%d pods, %v; want %d", len(answer.Counters), err, tc.pods)
			}
			t.Logf("%d KiB of answer: %d KiB allocated", len(body)>>10, (after.TotalAlloc-before.TotalAlloc)>>10)
			if used := after.TotalAlloc - before.TotalAlloc; used > maxHeap {
				t.Errorf("the query allocated %d KiB, %d are allowed", used>>10, maxHeap>>10)
			}
		})
	}
}
