package pki

import (
	"crypto/x509"
	"os"
	"testing"
)

func TestServerCertificateVerifiesAndIsKept(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	leaf := Leaf{Name: "server", User: "s", Hosts: []string{"127.0.0.1", "localhost"}}
	if err := a.Ensure(leaf); err != nil {
		t.Fatal(err)
	}
	cert, _, err := load(a.CertFile("server"), a.KeyFile("server"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	for _, host := range leaf.Hosts {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	before, _ := os.ReadFile(a.CertFile("server"))
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Ensure(leaf); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(a.CertFile("server")); string(after) != string(before) {
		t.Error("a fitting certificate was replaced, which would restart the API server")
	}
	leaf.Hosts = append(leaf.Hosts, "more")
	if err := again.Ensure(leaf); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(a.CertFile("server")); string(after) == string(before) {
		t.Error("a certificate without the new host was kept")
	}
}

func TestAnInterruptedIssueIsRepaired(t *testing.T) {
	a, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leaf := Leaf{Name: "client", User: "c"}
	if err := a.Ensure(leaf); err != nil {
		t.Fatal(err)
	}
	// The key of the next attempt, whose certificate was never written.
	if err := os.Remove(a.KeyFile("client")); err != nil {
		t.Fatal(err)
	}
	if err := a.EnsureKey("client"); err != nil {
		t.Fatal(err)
	}
	if err := a.Ensure(leaf); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(a.CertFile("client"), a.KeyFile("client")); err != nil {
		t.Errorf("key and certificate still differ: %v", err)
	}
}
