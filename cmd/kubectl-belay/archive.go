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
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
	"belay.dev/belay/controllers/documents"
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
		raw, err := a.readInput(ctx)
		if err != nil {
			return nil, err
		}
		return decodeRecords("the standard input", raw)
	case isPath(arg):
		return readRecords(ctx, arg)
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
		return nil, err
	}
	o.SetManagedFields(nil)
	return o.MarshalJSON()
}

// readRecords reads a file, a folder that export made, or one with several of those.
func readRecords(ctx context.Context, path string) ([]recorded, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		raw, err := readNamed(ctx, path)
		if err != nil {
			return nil, err
		}
		return decodeRecords(view.Text(path, 300), raw)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, e := range entries {
		if e.Name() == fileRun {
			folders = []string{path}
			break
		}
		inner := filepath.Join(path, e.Name())
		if _, err := os.Lstat(filepath.Join(inner, fileRun)); e.IsDir() && err == nil {
			folders = append(folders, inner)
		}
	}
	var out []recorded
	for _, folder := range folders {
		one, err := readFolder(ctx, folder)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no %s, and no folder in it has one: kubectl belay export RUN --to FOLDER makes such a folder", view.Text(path, 300), fileRun)
	}
	return out, nil
}

func readFolder(ctx context.Context, path string) (recorded, error) {
	one := recorded{from: view.Text(path, 300)}
	folder, err := os.OpenRoot(path)
	if err != nil {
		return one, err
	}
	defer func() { _ = folder.Close() }()
	object, err := objectIn(ctx, folder, one.from, fileRun)
	if err != nil {
		return one, err
	}
	if one.run, err = decodeRun(filepath.Join(one.from, fileRun), object); err != nil {
		return one, err
	}
	object, err = objectIn(ctx, folder, one.from, fileRollout)
	switch {
	case err == nil:
		one.rollout = &v1alpha1.Rollout{}
		if err := json.Unmarshal(object, one.rollout); err != nil {
			return one, fmt.Errorf("%s is not a Rollout: %w", filepath.Join(one.from, fileRollout), err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return one, err
	}
	one.files, err = checkSums(ctx, folder)
	return one, err
}

// objectIn reads the only object of a file in a folder, as JSON.
func objectIn(ctx context.Context, folder *os.Root, from, name string) ([]byte, error) {
	raw, err := readIn(ctx, folder, name)
	if err != nil {
		return nil, err
	}
	object, err := documents.Document{Text: string(raw)}.Plain()
	if err == nil && object == nil {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(from, name), err)
	}
	return object, nil
}

// mostSums is how many files the sums of a folder may name: an export has one for each of at
// most 32 guardrails, and seven more.
const mostSums = 100

// checkSums compares the files of a folder with its sums; nil when it has none.
func checkSums(ctx context.Context, folder *os.Root) (*view.Check, error) {
	raw, err := readIn(ctx, folder, fileSums)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, checked := &view.Check{Name: "files"}, map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		switch {
		case !ok || !filepath.IsLocal(name):
			c.Said = fmt.Sprintf("%s has the line %q, which is no sum of a file in this folder", fileSums, view.Text(lines.Text(), 100))
		case checked[filepath.Clean(name)]:
			c.Said = fmt.Sprintf("%s names %s twice", fileSums, view.Text(name, 300))
		case len(checked) == mostSums:
			c.Said = fmt.Sprintf("%s has more than %d lines, which no export has", fileSums, mostSums)
		default:
			if err := checkSum(ctx, folder, c, sum, name); err != nil {
				return nil, err
			}
		}
		if c.Said != "" {
			return c, nil
		}
		checked[filepath.Clean(name)] = true
	}
	switch {
	case lines.Err() != nil:
		c.Said = fmt.Sprintf("%s cannot be read after line %d: %s", fileSums, len(checked), lines.Err())
	case !checked[fileRun]:
		c.Said = fmt.Sprintf("%s has no sum of %s", fileSums, fileRun)
	default:
		c.OK, c.Said = true, fmt.Sprintf("%d have the sums of %s", len(checked), fileSums)
	}
	return c, nil
}

// checkSum compares one file with its sum, and says in the check what is wrong.
func checkSum(ctx context.Context, folder *os.Root, c *view.Check, sum, name string) error {
	content, err := readIn(ctx, folder, name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		c.Said, c.Expected = fmt.Sprintf("%s is missing", view.Text(name, 300)), view.Text(sum, 64)
	case err != nil:
		return err
	default:
		if found := sumOf(content); found != sum {
			c.Said, c.Expected, c.Found = fmt.Sprintf("%s was changed since the export: it has another sum", view.Text(name, 300)), view.Text(sum, 64), found
		}
	}
	return nil
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
	for _, part := range documents.Split(raw) {
		converted, err := part.Plain()
		if err != nil {
			return nil, fmt.Errorf("%s, from line %d: %w", from, part.Offset+1, err)
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

// decodeRun reads a run, given as JSON. It refuses fields that this version does not know: their hashes
// could not be computed.
func decodeRun(from string, raw []byte) (*v1alpha1.RolloutRun, error) {
	run := &v1alpha1.RolloutRun{}
	if err := json.Unmarshal(raw, run); err != nil {
		return nil, fmt.Errorf("%s is not a RolloutRun: %w", from, err)
	}
	if run.Kind != "" && run.Kind != "RolloutRun" || run.Spec.Rollout.Name == "" {
		return nil, fmt.Errorf("%s is not a RolloutRun: it has the kind %q", from, view.Text(run.Kind, 63))
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&v1alpha1.RolloutRun{}); err != nil {
		return nil, exit{exitUnknown, fmt.Sprintf("error: %s: run %s has what this version of kubectl-belay does not know, so that its hashes cannot be computed: %s\nUse the version of the controller that wrote it, or a newer one. It was started by %s.",
			from, view.Text(run.Name, 253), sentence(err.Error()), view.Text(run.Spec.Controller.Version, 128))}
	}
	return run, nil
}
