// Package lint checks manifests of Belay's kinds without a cluster: by the schemas and rules
// of the CRDs as the API server does, by what makes a guardrail unusable, and with advice on
// what is allowed but will not do what people expect. It reads no file and no source itself.
package lint

import (
	"cmp"
	"slices"
	"strings"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/freezes"
)

// Level of a finding.
type Level string

const (
	// Error is what the API server or Belay refuses.
	Error Level = "error"
	// Advice is what works otherwise than people may expect.
	Advice Level = "advice"
)

// Finding is one thing that is wrong, and what to write in its place.
type Finding struct {
	File string `json:"file"`
	// Line counts from 1.
	Line  int   `json:"line"`
	Level Level `json:"level"`
	// Object is the kind and the name; Path leads to the field. Both may be empty.
	Object string `json:"object,omitempty"`
	Path   string `json:"path,omitempty"`
	Wrong  string `json:"wrong"`
	// Write is what to write; empty when Wrong says it.
	Write string `json:"write,omitempty"`
}

// File is a manifest with one or more YAML documents.
type File struct {
	Name string
	Text []byte
}

// Options are what is known beside the manifests.
type Options struct {
	// Rate of the service's requests, per second; 0 when it is not known.
	Rate float64
	// Buckets are upper bounds of the histograms of latency, in their unit; nil when they are
	// not known.
	Buckets []float64
	// Metrics are what the app exposes; nil when they are not known.
	Metrics *Metrics
}

// Report is what was found, by file and line.
type Report struct {
	Findings []Finding `json:"findings"`
	// Files and Checked count files, and objects of Belay's kinds in them. Others are objects
	// of other kinds, which are left out.
	Files   int `json:"files"`
	Checked int `json:"checked"`
	Others  int `json:"others"`
}

// Count is how many findings have a level.
func (r Report) Count(of Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == of {
			n++
		}
	}
	return n
}

// Linter checks files. It compiles the rules of a kind when it first meets it, and keeps them.
type Linter struct{ schemas schemas }

// New returns a Linter.
func New() *Linter { return &Linter{schemas{}} }

// Check looks at all files together: a Rollout and its Guardrails may be in different ones. An
// error means that Belay's own definitions cannot be read.
func (l *Linter) Check(files []File, options Options) (Report, error) {
	report := Report{Findings: []Finding{}, Files: len(files)}
	var objects []*object
	for _, file := range files {
		in, others, findings := read(file)
		report.Others += others
		report.Findings = append(report.Findings, findings...)
		for _, o := range in {
			if o.isWorkload() {
				objects = append(objects, o)
				report.Others++
				continue
			}
			schema, err := l.schemas.of(o.kind)
			if err != nil {
				return report, err
			}
			report.Checked++
			o.validate(schema)
			objects = append(objects, o)
		}
	}
	for _, o := range objects {
		if g := o.guardrail(); g != nil && len(o.findings) == 0 {
			o.mistakes(*g)
		}
	}
	for _, o := range objects {
		o.windows()
	}
	advise(objects, options)
	for _, o := range objects {
		report.Findings = append(report.Findings, o.findings...)
	}
	slices.SortStableFunc(report.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), -cmp.Compare(a.Level, b.Level), cmp.Compare(a.Path, b.Path))
	})
	return report, nil
}

// isWorkload is whether a Rollout can refer to it. Belay's own kinds alone are validated.
func (o *object) isWorkload() bool {
	return o.kind == v1alpha1.KindDeployment || o.kind == v1alpha1.KindStatefulSet
}

// kinds that people write. Runs are written by Belay.
var kinds = map[string]string{
	"Rollout": "rollouts", "Guardrail": "guardrails", "ClusterGuardrail": "clusterguardrails", "MetricSource": "metricsources", "CheckEndpoint": "checkendpoints",
	"Freeze": "freezes", "ClusterFreeze": "clusterfreezes",
}

// guardrail is the spec of a Guardrail or ClusterGuardrail, with defaults; nil for another
// kind, and for one that cannot be read.
func (o *object) guardrail() *v1alpha1.GuardrailSpec {
	g := &v1alpha1.Guardrail{}
	if o.kind != "Guardrail" && o.kind != "ClusterGuardrail" || o.into(g) != nil {
		return nil
	}
	return &g.Spec
}

// windows finds what the API server accepts in a freeze and Belay cannot read.
func (o *object) windows() {
	f := &v1alpha1.Freeze{}
	if o.kind != "Freeze" && o.kind != "ClusterFreeze" || len(o.findings) > 0 || o.into(f) != nil {
		return
	}
	if _, err := freezes.Read(f.Spec); err != nil {
		window, wrong, _ := strings.Cut(err.Error(), ": ")
		o.mistake("spec."+window, wrong)
	}
}

func (o *object) rollout() *v1alpha1.Rollout {
	r := &v1alpha1.Rollout{}
	if o.kind != "Rollout" || o.into(r) != nil {
		return nil
	}
	return r
}
