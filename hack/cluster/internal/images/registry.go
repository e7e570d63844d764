package images

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"belay.dev/belay/hack/cluster/internal/state"
)

// largestManifest is the limit the distribution specification recommends.
const largestManifest = 4 << 20

// push is a stored manifest upload.
type push struct {
	Path        string `json:"path"`
	ContentType string `json:"contentType"`
	Body        []byte `json:"body"`
}

// store is go-containerregistry's registry with a memory: blobs go to disk by
// its own handler, manifests live in its maps only, so their uploads are kept
// and replayed at start.
type store struct {
	http.Handler
	dir string
	mu  sync.Mutex
}

// NewRegistry serves the distribution API, referrers included, from dir.
func NewRegistry(dir string) (http.Handler, error) {
	for _, sub := range []string{"blobs", "manifests"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("create the registry's folder: %w", err)
		}
	}
	s := &store{dir: dir, Handler: registry.New(
		registry.WithReferrersSupport(true),
		registry.WithBlobHandler(registry.NewDiskBlobHandler(filepath.Join(dir, "blobs"))),
		registry.Logger(log.New(io.Discard, "", 0)),
	)}
	return s, s.replay()
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
		s.Handler.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestManifest))
	if err != nil {
		http.Error(w, "read the manifest: "+err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	upload := push{Path: r.URL.Path, ContentType: r.Header.Get("Content-Type"), Body: body}
	if status := s.put(upload, w); status != http.StatusCreated {
		return
	}
	if err := s.keep(upload); err != nil {
		log.Printf("this manifest will be forgotten at the next restart: %v", err)
	}
}

// put hands an upload to the registry; w may be nil.
func (s *store) put(upload push, w http.ResponseWriter) int {
	r := &http.Request{
		Method: http.MethodPut, URL: &url.URL{Path: upload.Path}, Host: "registry",
		Header: http.Header{"Content-Type": {upload.ContentType}}, Body: io.NopCloser(bytes.NewReader(upload.Body)),
	}
	recorder := &statusRecorder{ResponseWriter: w, header: http.Header{}, status: http.StatusOK}
	s.Handler.ServeHTTP(recorder, r)
	return recorder.status
}

func (s *store) keep(upload push) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// One file per path: a tag pushed again replaces its former manifest, and
	// the former stays reachable by digest through its own file.
	for _, path := range []string{upload.Path, digestPath(upload)} {
		file := filepath.Join(s.dir, "manifests", fmt.Sprintf("%x.json", sha256.Sum256([]byte(path))))
		entry := upload
		entry.Path = path
		raw, err := json.Marshal(entry)
		if err != nil {
			return fmt.Errorf("encode %s: %w", path, err)
		}
		if err := state.WriteFile(file, raw, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func digestPath(upload push) string {
	repository, _, _ := strings.Cut(upload.Path, "/manifests/")
	return fmt.Sprintf("%s/manifests/sha256:%x", repository, sha256.Sum256(upload.Body))
}

// replay restores manifests; indexes come after the manifests they list.
func (s *store) replay() error {
	var uploads, indexes []push
	err := filepath.WalkDir(filepath.Join(s.dir, "manifests"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".json") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var upload push
		if err := json.Unmarshal(raw, &upload); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if types.MediaType(upload.ContentType).IsIndex() {
			indexes = append(indexes, upload)
		} else {
			uploads = append(uploads, upload)
		}
		return nil
	})
	for _, upload := range append(uploads, indexes...) {
		if status := s.put(upload, nil); status != http.StatusCreated {
			err = errors.Join(err, fmt.Errorf("restore %s: status %d", upload.Path, status))
		}
	}
	if err != nil {
		return fmt.Errorf("restore the registry from %s: %w; `down --purge` empties it", s.dir, err)
	}
	return nil
}

// statusRecorder passes a response on, when there is somebody to pass it to.
type statusRecorder struct {
	http.ResponseWriter
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (r *statusRecorder) Header() http.Header {
	if r.ResponseWriter == nil {
		return r.header
	}
	return r.ResponseWriter.Header()
}

// WriteHeader implements http.ResponseWriter.
func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	if r.ResponseWriter != nil {
		r.ResponseWriter.WriteHeader(status)
	}
}

func (r *statusRecorder) Write(p []byte) (int, error) {
	if r.ResponseWriter == nil {
		return len(p), nil
	}
	return r.ResponseWriter.Write(p)
}
