package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/view"
)

// Files of an exported run.
const (
	fileRun     = "run.yaml"
	fileRollout = "rollout.yaml"
	fileSums    = "SHA256SUMS"
)

// fromCluster is where a run was read that is in no file.
const fromCluster = "the cluster"

// mostBytes is how long a file may be that is read. A run has at most 1.5 MiB in the cluster.
const mostBytes = 32 << 20

// recorded is a run with what it is checked by.
type recorded struct {
	// from is where it was read, for people.
	from string
	run  *v1alpha1.RolloutRun
	// rollout has the decisions that are not in the run yet; nil when it is not there.
	rollout *v1alpha1.Rollout
	// files is the check of a folder's sums; nil elsewhere.
	files *view.Check
}

// records reads the run that an argument names: a file, a folder or - for the standard input
// where that is there, or else from the cluster. Only the latter needs one.
func (a *app) records(ctx context.Context, arg string) ([]recorded, error) {
	switch {
	case arg == "-":
		raw, err := bounded(a.streams.In)
		if err != nil {
			return nil, fmt.Errorf("read the standard input: %w", err)
		}
		return decodeRecords("the standard input", raw)
	case isPath(arg):
		return readRecords(arg)
	}
	s, err := a.connect()
	if err != nil {
		return nil, err
	}
	rollout, run, err := s.run(ctx, arg)
	if err != nil {
		return nil, err
	}
	raw, err := s.raw(ctx, "RolloutRun", run.Name)
	if err != nil {
		return nil, err
	}
	// Again, and strictly: a field that this version does not know changes hashes.
	run, err = decodeRun(fromCluster, raw)
	return []recorded{{from: fromCluster, run: run, rollout: rollout}}, err
}

// isPath holds for what is there, and for names that no object has.
func isPath(arg string) bool {
	if strings.HasPrefix(arg, "rollout") && strings.Contains(arg, "/") {
		return false
	}
	if _, err := os.Stat(arg); arg != "" && err == nil {
		return true
	}
	return strings.HasPrefix(arg, ".") || strings.HasPrefix(arg, "/") || slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(arg))
}

// raw reads an object with all of its fields, as JSON and without what only the API server
// needs.
func (s *session) raw(ctx context.Context, kind, name string) ([]byte, error) {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	if err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, o); err != nil {
		return nil, explained(err)
	}
	o.SetManagedFields(nil)
	return o.MarshalJSON()
}

func bounded(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, mostBytes+1))
	if err == nil && len(raw) > mostBytes {
		err = fmt.Errorf("it is longer than %d MiB", mostBytes>>20)
	}
	return raw, err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := bounded(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return raw, nil
}

// readRecords reads a file, a folder that export made, or one with several of those.
func readRecords(path string) ([]recorded, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		raw, err := readFile(path)
		if err != nil {
			return nil, err
		}
		return decodeRecords(path, raw)
	}
	if _, err := os.Stat(filepath.Join(path, fileRun)); err == nil {
		one, err := readFolder(path)
		return []recorded{one}, err
	}
	runs, err := filepath.Glob(filepath.Join(escapeGlob(path), "*", fileRun))
	if err != nil {
		return nil, err
	}
	var out []recorded
	for _, run := range runs {
		one, err := readFolder(filepath.Dir(run))
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no %s, and no folder in it has one: kubectl belay export RUN --to FOLDER makes such a folder", path, fileRun)
	}
	return out, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

func readFolder(path string) (recorded, error) {
	one := recorded{from: path}
	raw, err := readFile(filepath.Join(path, fileRun))
	if err != nil {
		return one, err
	}
	if one.run, err = decodeRun(filepath.Join(path, fileRun), raw); err != nil {
		return one, err
	}
	raw, err = readFile(filepath.Join(path, fileRollout))
	switch {
	case err == nil:
		one.rollout = &v1alpha1.Rollout{}
		if err := yaml.Unmarshal(raw, one.rollout); err != nil {
			return one, fmt.Errorf("%s is not a Rollout: %w", filepath.Join(path, fileRollout), err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return one, err
	}
	one.files, err = checkSums(path)
	return one, err
}

// checkSums compares the files of a folder with its sums; nil when it has none.
func checkSums(path string) (*view.Check, error) {
	raw, err := readFile(filepath.Join(path, fileSums))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, listed := &view.Check{Name: "files"}, 0
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || !filepath.IsLocal(name) {
			c.Said = fmt.Sprintf("%s has the line %q, which is no sum of a file in this folder", fileSums, view.Text(lines.Text(), 100))
			return c, nil
		}
		content, err := readFile(filepath.Join(path, name))
		if errors.Is(err, os.ErrNotExist) {
			c.Said, c.Expected = fmt.Sprintf("%s is missing", view.Text(name, 300)), view.Text(sum, 64)
			return c, nil
		} else if err != nil {
			return nil, err
		}
		if found := sumOf(content); found != sum {
			c.Said, c.Expected, c.Found = fmt.Sprintf("%s was changed since the export: it has another sum", view.Text(name, 300)), view.Text(sum, 64), found
			return c, nil
		}
		listed++
	}
	if !bytes.Contains(raw, []byte("  "+fileRun+"\n")) {
		c.Said = fmt.Sprintf("%s has no sum of %s", fileSums, fileRun)
		return c, nil
	}
	c.OK, c.Said = true, fmt.Sprintf("%d have the sums of %s", listed, fileSums)
	return c, nil
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// decodeRecords reads the runs of a file: one object, several documents, or a List, as
// kubectl get -o yaml prints it.
func decodeRecords(from string, raw []byte) ([]recorded, error) {
	var out []recorded
	rollouts := map[string]*v1alpha1.Rollout{}
	for _, part := range documents(raw) {
		converted, err := yaml.YAMLToJSON([]byte(part.text))
		if err != nil {
			return nil, fmt.Errorf("%s, from line %d: %w", from, part.line, err)
		}
		for _, object := range flattened(converted) {
			switch kindOf(object) {
			case "RolloutRun":
				run, err := decodeRun(from, object)
				if err != nil {
					return nil, err
				}
				out = append(out, recorded{from: from, run: run})
			case "Rollout":
				r := &v1alpha1.Rollout{}
				if err := json.Unmarshal(object, r); err != nil {
					return nil, fmt.Errorf("%s: a Rollout cannot be read: %w", from, err)
				}
				rollouts[r.Namespace+"/"+r.Name] = r
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no RolloutRun: kubectl belay show RUN -o yaml prints one", from)
	}
	for i := range out {
		out[i].rollout = rollouts[out[i].run.Namespace+"/"+out[i].run.Spec.Rollout.Name]
	}
	return out, nil
}

// flattened are the objects of a List, or the object itself.
func flattened(object []byte) [][]byte {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if json.Unmarshal(object, &list) != nil || list.Items == nil {
		return [][]byte{object}
	}
	var out [][]byte
	for _, item := range list.Items {
		out = append(out, item)
	}
	return out
}

func kindOf(object []byte) string {
	var is struct{ APIVersion, Kind string }
	if json.Unmarshal(object, &is) != nil || !strings.HasPrefix(is.APIVersion, v1alpha1.GroupVersion.Group+"/") {
		return ""
	}
	return is.Kind
}

// decodeRun reads a run. It refuses fields that this version does not know: their hashes
// could not be computed.
func decodeRun(from string, raw []byte) (*v1alpha1.RolloutRun, error) {
	run := &v1alpha1.RolloutRun{}
	if err := yaml.Unmarshal(raw, run); err != nil {
		return nil, fmt.Errorf("%s is not a RolloutRun: %w", from, err)
	}
	if run.Kind != "" && run.Kind != "RolloutRun" || run.Spec.Rollout.Name == "" {
		return nil, fmt.Errorf("%s is not a RolloutRun: it has the kind %q", from, view.Text(run.Kind, 63))
	}
	if err := yaml.UnmarshalStrict(raw, &v1alpha1.RolloutRun{}); err != nil {
		return nil, exit{exitNotComparable, fmt.Sprintf("error: %s: run %s has what this version of kubectl-belay does not know, so that its hashes cannot be computed: %s\nUse the version of the controller that wrote it, or a newer one. It was started by %s.",
			from, view.Text(run.Name, 253), sentence(err.Error()), view.Text(run.Spec.Controller.Version, 128))}
	}
	return run, nil
}

// document is one YAML document of a file, from a line on, counted from 1.
type document struct {
	text string
	line int
}

// documents splits a file where kubectl does: at lines that begin with three dashes.
func documents(raw []byte) []document {
	var out []document
	current, from, line := strings.Builder{}, 1, 0
	add := func() {
		if strings.TrimSpace(current.String()) != "" {
			out = append(out, document{current.String(), from})
		}
		current.Reset()
	}
	for text := range strings.Lines(string(raw)) {
		if line++; strings.HasPrefix(text, "---") {
			add()
			from = line + 1
			continue
		}
		current.WriteString(text)
	}
	add()
	return out
}
