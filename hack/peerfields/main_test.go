package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

const source = `package v1

import other "example.com/other"

type Canary struct {
	other.TypeMeta   ` + "`json:\",inline\"`" + `
	other.ObjectMeta ` + "`json:\"metadata,omitempty\"`" + `
	Spec   Spec      ` + "`json:\"spec\"`" + `
}

type Spec struct {
	Steps    []*Step           ` + "`json:\"steps,omitempty\"`" + `
	Common                     ` + "`json:\",inline\"`" + `
	Labels   map[string]string ` + "`json:\"labels\"`" + `
	Template other.PodTemplate ` + "`json:\"template\"`" + `
	resolved bool
	Resolved bool              ` + "`json:\"-\"`" + `
}

type Common struct {
	Paused bool ` + "`json:\"paused\"`" + `
}

type Step struct {
	Weight int     ` + "`json:\"weight\"`" + `
	Within []*Step ` + "`json:\"within\"`" + `
}
`

func TestPathsOfAType(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "types.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "types_test.go"), []byte("package v1\ntype Canary struct{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(&out, folder, []string{"Canary"}); err != nil {
		t.Fatal(err)
	}
	want := "Canary spec\nCanary spec.steps[]\nCanary spec.steps[].weight\nCanary spec.steps[].within[]\nCanary spec.paused\nCanary spec.labels\nCanary spec.template\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if err := run(&out, folder, []string{"Rollout"}); err == nil {
		t.Error("a kind that is not there is no error")
	}
}
