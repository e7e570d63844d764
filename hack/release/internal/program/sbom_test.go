package program

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// TestBill: what Build made is listed with the modules that it imports.
func TestBill(t *testing.T) {
	binary, err := Build(t.Context(), ".", "./testdata/tool", "v0.1.0", Platform{OS: "linux", Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Bill(binary, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Bill(binary, time.Unix(0, 0)); err != nil || !bytes.Equal(raw, again) {
		t.Errorf("the same binary has another bill (%v)", err)
	}
	bill := &cdx.BOM{}
	if err := cdx.NewBOMDecoder(bytes.NewReader(raw), cdx.BOMFileFormatJSON).Decode(bill); err != nil {
		t.Fatal(err)
	}
	if subject := bill.Metadata.Component; subject.Name != "tool" || subject.Version != "v0.1.0" || bill.Metadata.Timestamp != "1970-01-01T00:00:00Z" {
		t.Errorf("the bill is about %+v", bill.Metadata)
	}
	components := map[string]cdx.Component{}
	for _, component := range *bill.Components {
		components[component.Name] = component
	}
	if std := components["std"]; std.Version != strings.TrimPrefix(runtime.Version(), "go") {
		t.Errorf("the bill has Go %q", std.Version)
	}
	library := components["github.com/opencontainers/go-digest"]
	if library.PackageURL != "pkg:golang/github.com/opencontainers/go-digest@"+library.Version || library.Hashes == nil || len((*library.Hashes)[0].Value) != 64 {
		t.Errorf("the bill has %+v", library)
	}
	if used := *(*bill.Dependencies)[0].Dependencies; len(used) != len(*bill.Components) {
		t.Errorf("%d components, %d of them used", len(*bill.Components), len(used))
	}
}

func TestBillNeedsAGoBinary(t *testing.T) {
	if _, err := Bill(Binary{Name: "tool", Content: []byte("text")}, time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "tool") {
		t.Errorf("got %v", err)
	}
}
