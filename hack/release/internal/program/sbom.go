package program

import (
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// BillType is the media type of a bill of materials.
const BillType = "application/vnd.cyclonedx+json"

// Bill lists the modules in a binary and the Go version, as the linker recorded them,
// in CycloneDX's JSON. Hashes are those of go.sum.
func Bill(binary Binary, created time.Time) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(binary.Content))
	if err != nil {
		return nil, fmt.Errorf("read the build information of %s for %s: %w", binary.Name, binary.Platform, err)
	}
	address := purl(info.Main.Path, binary.Version) + "#" + strings.TrimPrefix(info.Path, info.Main.Path+"/")
	subject := cdx.Component{
		BOMRef: address, Type: cdx.ComponentTypeApplication, Name: binary.Name, Version: binary.Version, PackageURL: address,
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		Properties: &[]cdx.Property{{Name: "cdx:gomod:build:env:GOOS", Value: binary.Platform.OS}, {Name: "cdx:gomod:build:env:GOARCH", Value: binary.Platform.Arch}},
	}
	components := []cdx.Component{library("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, module := range info.Deps {
		used := module
		if module.Replace != nil {
			used = module.Replace
		}
		components = append(components, library(used.Path, used.Version, used.Sum))
	}
	var uses []string
	for _, component := range components {
		uses = append(uses, component.BOMRef)
	}
	bill := cdx.NewBOM()
	bill.Metadata = &cdx.Metadata{Timestamp: created.UTC().Format(time.RFC3339), Component: &subject}
	bill.Components = &components
	bill.Dependencies = &[]cdx.Dependency{{Ref: subject.BOMRef, Dependencies: &uses}}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bill); err != nil {
		return nil, fmt.Errorf("write the bill of materials of %s: %w", binary.Name, err)
	}
	return out.Bytes(), nil
}

func library(path, version, sum string) cdx.Component {
	address := purl(path, version)
	component := cdx.Component{BOMRef: address, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: address}
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && sum != "" {
		component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
	}
	return component
}

// purl is a module's package URL.
func purl(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}
