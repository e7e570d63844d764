package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"slices"
	"testing"
	"time"
)

var released = time.Date(2026, 11, 26, 12, 0, 0, 5, time.FixedZone("somewhere", 3600))

func TestTarGzDependsOnContentAlone(t *testing.T) {
	files := []File{{Name: "b", Mode: 0o755, Content: []byte("binary")}, {Name: "a", Mode: 0o644, Content: []byte("text")}}
	packed := must(t)(TarGz(files, released))
	slices.Reverse(files)
	if again := must(t)(TarGz(files, released.UTC())); !bytes.Equal(packed, again) {
		t.Error("another order and time zone give other bytes")
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	reader := tar.NewReader(unzipped)
	for _, want := range []File{files[0], files[1]} {
		header, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		if header.Name != want.Name || header.Mode != int64(want.Mode) || !bytes.Equal(content, want.Content) ||
			header.Uid != 0 || !header.ModTime.Equal(released.Truncate(time.Second)) {
			t.Errorf("got %+v %q, want %+v", header, content, want)
		}
	}
}

func TestZipDependsOnContentAlone(t *testing.T) {
	files := []File{{Name: "b.exe", Mode: 0o755, Content: []byte("binary")}, {Name: "a", Mode: 0o644, Content: []byte("text")}}
	packed := must(t)(Zip(files, released))
	slices.Reverse(files)
	if again := must(t)(Zip(files, released.UTC())); !bytes.Equal(packed, again) {
		t.Error("another order and time zone give other bytes")
	}
	reader, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if len(reader.File) != 2 || reader.File[0].Name != "a" || reader.File[1].Name != "b.exe" || reader.File[1].Mode().Perm() != 0o755 {
		t.Errorf("got %+v", reader.File)
	}
}

func must(t *testing.T) func([]byte, error) []byte {
	return func(packed []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
}
