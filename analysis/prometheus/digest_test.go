package prometheus

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"testing"
)

func target(instance, total string) string {
	return fmt.Sprintf(`{"metric":{"namespace":"shop","pod":"web-d","instance":%q,"k":"total"},"value":[%d,%q]}`, instance, evaluated.Unix(), total)
}

// TestDigestIsWhatAStrangerComputes from the answer to the run's own query,
// whatever the order of its rows.
func TestDigestIsWhatAStrangerComputes(t *testing.T) {
	rows := []string{
		rowOf("web-b", "total", "1234567"), rowOf("web-a", "total", "10.5"), rowOf("web-b", "bad", "3"), rowOf("web-c", "total", "0"),
		target("10.0.0.1:80", "7"), target("10.0.0.1:81", "8"),
		rowOf("web-b", "ts", fmt.Sprintf("%d.25", evaluated.Unix())), rowOf("web-a", "ts", fmt.Sprint(evaluated.Unix()-9)),
	}
	text := fmt.Sprintf("/web-a  10.5 0 %d\n/web-b  1234567 3 %d\n/web-c  0 0 0\nshop/web-d 10.0.0.1:80 7 0 0\nshop/web-d 10.0.0.1:81 8 0 0\n", evaluated.UnixMilli()-9000, evaluated.UnixMilli()+250)
	want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	for range 2 {
		answer, err := ask(t, connect(t, defaults(serve(t, say(http.StatusOK, vector(rows...))))))
		if err != nil {
			t.Fatal(err)
		}
		if got := Digest(answer.Counters); got != want {
			t.Errorf("digest %s, want %s of\n%s", got, want, text)
		}
		slices.Reverse(rows)
	}
}
