package prometheus

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
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
	lines := make([]string, len(pods))
	var line []byte
	for i := range pods {
		line = appendLine(line[:0], &pods[i])
		lines[i] = string(line)
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return "sha256:" + hex.EncodeToString(sum[:])
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
