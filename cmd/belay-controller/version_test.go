package main

import (
	"strings"
	"testing"
)

func TestCheckVersion(t *testing.T) {
	tests := map[string]struct {
		server  string
		wantErr string
	}{
		"the minimum is enough":             {server: "v1.36.0"},
		"a vendor's suffix does not matter": {server: "v1.37.2-eks-1234"},
		"an older one is refused":           {server: "v1.35.9", wantErr: "needs 1.36.0 or newer"},
		"nonsense is refused":               {server: "latest", wantErr: "says its version is"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := checkVersion(tc.server)
			if tc.wantErr == "" && err != nil || tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("got %v, want %q", err, tc.wantErr)
			}
		})
	}
}
