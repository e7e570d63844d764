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

func TestTheLeaseSaysTheVersion(t *testing.T) {
	if got := leaderLabels("v0.1.0-3-g0123abc")["app.kubernetes.io/version"]; got != "v0.1.0-3-g0123abc" {
		t.Errorf("the label is %q", got)
	}
	if got := leaderLabels("v0.1.0+dirty"); len(got) != 0 {
		t.Errorf("the API server would refuse %v", got)
	}
}
