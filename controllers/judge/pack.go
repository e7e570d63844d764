package judge

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
)

// packAbove is how many bytes of JSON a judge's state may have as it is. The state of a
// promotion of 5,000 pods has 600 KB for each indicator, and a third of it compressed.
const packAbove = 64 << 10

// maxUnpacked bounds what a compressed state may grow to, in bytes.
const maxUnpacked = 64 << 20

// packed is a compressed state.
type packed struct {
	Gzip []byte `json:"gzip,omitempty"`
}

// pack returns the state as JSON, compressed if it is large.
func pack(s judgeState) ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil || len(raw) <= packAbove {
		return raw, err
	}
	var small bytes.Buffer
	w := gzip.NewWriter(&small)
	// A buffer returns no errors.
	_, _ = w.Write(raw)
	_ = w.Close()
	return json.Marshal(packed{small.Bytes()})
}

func unpack(raw []byte) (s judgeState, err error) {
	var p packed
	if err := json.Unmarshal(raw, &p); err != nil {
		return s, err
	}
	if p.Gzip == nil {
		return s, json.Unmarshal(raw, &s)
	}
	r, err := gzip.NewReader(bytes.NewReader(p.Gzip))
	if err != nil {
		return s, err
	}
	// What is cut off is not JSON.
	whole, err := io.ReadAll(io.LimitReader(r, maxUnpacked))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(whole, &s)
}
