package prometheus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// Digest is SHA-256 over the counters of a run's pods, as sha256:hex. It is of one
// line for each target, in the order of the lines' bytes:
//
//	namespace/pod instance total bad sampledAt
//
// The numbers have no exponent and no more digits than they need; sampledAt is in
// Unix milliseconds, 0 for none. Who asks the run's own query at its evaluation
// time can compute it again, whoever else shared the query that was sent.
func Digest(pods []Counter) string {
	text, ends := make([]byte, 0, 96*len(pods)), make([]int, len(pods))
	for i := range pods {
		text = appendLine(text, &pods[i])
		ends[i] = len(text)
	}
	lines, begin := make([][]byte, len(pods)), 0
	for i, end := range ends {
		lines[i], begin = text[begin:end], end
	}
	slices.SortFunc(lines, bytes.Compare)
	sum := sha256.New()
	for _, line := range lines {
		// It never returns an error (package hash).
		_, _ = sum.Write(line)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func appendLine(to []byte, pod *Counter) []byte {
	to = append(append(append(to, pod.Namespace...), '/'), pod.Pod...)
	to = append(append(to, ' '), pod.Instance...)
	to = strconv.AppendFloat(append(to, ' '), pod.Total, 'f', -1, 64)
	to = strconv.AppendFloat(append(to, ' '), pod.Bad, 'f', -1, 64)
	at := int64(0)
	if !pod.SampledAt.IsZero() {
		at = pod.SampledAt.UnixMilli()
	}
	return append(strconv.AppendInt(append(to, ' '), at, 10), '\n')
}
