package prometheus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// Digest is the SHA-256 of the counters of a run's pods, as sha256:hex. It hashes one
// line for each target, sorted by bytes:
//
//	namespace/pod instance total bad sampledAt
//
// A counter within 1e-9 of a whole number, as a part of it, is that number. The numbers have
// no exponent and no more digits than they need; sampledAt is in
// Unix milliseconds, 0 for none. Anybody can compute it again by sending the run's
// own query for the same evaluation time, even when Belay sent a query that several
// runs shared.
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
