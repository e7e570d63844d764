package manifests

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/hack/release/internal/archive"
)

// The names in config that are values in the chart.
const (
	namespace  = "belay"
	controller = "controller"
	guardProbe = "guard-probe"
	// user is the controller's identity, as the guard's policies name it.
	user = "system:serviceaccount:" + namespace + ":" + controller
)

// What stands for a value until the object is text. YAML quotes it.
const (
	markNamespace  = "@namespace@"
	markController = "@controller@"
	markGuardProbe = "@guard-probe@"
	markUser       = "@user@"
	markInterval   = "@interval@"
	markWatched    = "@watched@"
)

var expressions = strings.NewReplacer(
	// Text of ours that looks like a template, as alerts do.
	"{{", `{{ "{{" }}`,
	// Also inside of a range, hence the dollars.
	markNamespace, "{{ $.Release.Namespace }}",
	markController, "{{ $.Values.serviceAccount.name }}",
	markGuardProbe, `{{ include "belay.guardProbe" $ }}`,
	markUser, "system:serviceaccount:{{ $.Release.Namespace }}:{{ $.Values.serviceAccount.name }}",
	markInterval, "{{ $.Values.podMonitor.interval }}",
	markWatched, "{{ . }}",
)

// written are the kinds in config/default that the chart has templates of its own for.
var written = []string{"Namespace", "ServiceAccount", "Deployment", "PodDisruptionBudget", "NetworkPolicy"}

// Chart returns the files of the chart: those of config/chart, and a template for each
// object of config that has nothing but names to set. The image is given with its
// digest, version is that of the release, such as v0.1.0.
func Chart(root, version, image string) ([]archive.File, error) {
	files, err := source(root, version, image)
	if err != nil {
		return nil, err
	}
	objects, err := Objects(root, "default")
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		if slices.Contains(written, object.GetKind()) {
			continue
		}
		file, err := templateOf(object)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	monitoring, err := Objects(root, "prometheus")
	if err != nil {
		return nil, err
	}
	for _, object := range monitoring {
		file, err := template(object, monitoringGroupOf(object))
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// source is config/chart with the version and the image of the release.
func source(root, version, image string) ([]archive.File, error) {
	repository, digest, pinned := strings.Cut(image, "@")
	if !pinned {
		return nil, fmt.Errorf("the image %q has no digest", image)
	}
	replacements := map[string][][2]string{
		"Chart.yaml":  {{"\nversion: 0.0.0\n", "\nversion: " + strings.TrimPrefix(version, "v") + "\n"}, {"\nappVersion: v0.0.0\n", "\nappVersion: " + version + "\n"}},
		"values.yaml": {{"\n  repository: " + placeholder + "\n", "\n  repository: " + repository + "\n"}, {"\n  digest: \"\"\n", "\n  digest: " + digest + "\n"}},
	}
	var files []archive.File
	folder := filepath.Join(root, "config", "chart")
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := string(raw)
		for _, pair := range replacements[filepath.ToSlash(name)] {
			if strings.Count(text, pair[0]) != 1 {
				return fmt.Errorf("config/chart/%s has not exactly one line %q", name, strings.TrimSpace(pair[0]))
			}
			text = strings.Replace(text, pair[0], pair[1], 1)
		}
		files = append(files, archive.File{Name: filepath.ToSlash(name), Mode: 0o644, Content: []byte(text)})
		return nil
	})
	return files, err
}

// group is how objects of a kind become templates.
type group struct {
	// folder in templates, and the value without which they are not installed.
	folder, condition string
	// annotations and labels are lines to add to those that the object has.
	annotations, labels string
}

func groupOf(object *unstructured.Unstructured) group {
	switch {
	case object.GetKind() == "CustomResourceDefinition":
		return group{
			folder: "crds", condition: ".Values.crds.install",
			annotations: "    {{- if .Values.crds.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}\n",
		}
	case object.GroupVersionKind().Group == "admissionregistration.k8s.io":
		return group{folder: "guard"}
	default:
		return group{folder: "rbac"}
	}
}

func monitoringGroupOf(object *unstructured.Unstructured) group {
	value := ".Values.podMonitor"
	if object.GetKind() == "PrometheusRule" {
		value = ".Values.prometheusRule"
	}
	out := group{folder: "monitoring", condition: value + ".enabled"}
	if object.GroupVersionKind().Group == "monitoring.coreos.com" {
		out.labels = "    {{- with " + value + ".labels }}\n    {{- toYaml . | nindent 4 }}\n    {{- end }}\n"
	}
	return out
}

func templateOf(object *unstructured.Unstructured) (archive.File, error) {
	if grantsEverywhere(object) {
		return grant(object)
	}
	return template(object, groupOf(object))
}

func fileOf(object *unstructured.Unstructured, folder string) string {
	return fmt.Sprintf("templates/%s/%s-%s.yaml", folder, object.GetName(), strings.ToLower(object.GetKind()))
}

// textOf is an object with the chart's values in the places of names.
func textOf(object *unstructured.Unstructured) (string, error) {
	raw, err := yaml.Marshal(mark(object.Object))
	if err != nil {
		return "", err
	}
	text := expressions.Replace(string(raw))
	if strings.Contains(text, "serviceaccount:"+namespace+":") {
		return "", fmt.Errorf("%s %s names a ServiceAccount of namespace %s that is no value of the chart", object.GetKind(), object.GetName(), namespace)
	}
	return text, nil
}

// template writes an object as a template of the chart.
func template(object *unstructured.Unstructured, in group) (archive.File, error) {
	name := fileOf(object, in.folder)
	text, err := textOf(object)
	if err != nil {
		return archive.File{}, err
	}
	for section, lines := range map[string]string{"annotations": in.annotations, "labels": in.labels} {
		if lines == "" {
			continue
		}
		header := "\n  " + section + ":\n"
		if strings.Count(text, header) != 1 {
			return archive.File{}, fmt.Errorf("%s has not exactly one %s in its metadata", name, section)
		}
		text = strings.Replace(text, header, header+lines, 1)
	}
	if in.condition != "" {
		text = "{{- if " + in.condition + " }}\n" + text + "{{- end }}\n"
	}
	return archive.File{Name: name, Mode: 0o644, Content: []byte(text)}, nil
}

// mark puts marks in the places of names that are values.
func mark(value any) any {
	switch value := value.(type) {
	case string:
		return strings.ReplaceAll(value, user, markUser)
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			out[i] = mark(item)
			if item == guardProbe {
				out[i] = markGuardProbe
			}
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(value))
		for key, item := range value {
			out[key] = mark(item)
		}
		if out["namespace"] == namespace {
			out["namespace"] = markNamespace
		}
		if out["kind"] == "ServiceAccount" {
			switch out["name"] {
			case controller:
				out["name"] = markController
			case guardProbe:
				out["name"] = markGuardProbe
			}
		}
		if _, scraped := out["bearerTokenSecret"]; scraped {
			out["interval"] = markInterval
		}
		return out
	default:
		return value
	}
}

// Pack is the chart as the archive that Helm installs.
func Pack(files []archive.File) []archive.File {
	packed := make([]archive.File, len(files))
	for i, file := range files {
		file.Name = "belay/" + file.Name
		packed[i] = file
	}
	return packed
}
