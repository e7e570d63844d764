// Package pki is the cluster's certificate authority: one CA signs the API
// server, the kubelet and every client. Nothing here is meant to leave the
// machine.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"belay.dev/belay/hack/cluster/internal/state"
)

const (
	validity = 365 * 24 * time.Hour
	// renewal is how long before its end a certificate is replaced.
	renewal = 7 * 24 * time.Hour
)

// Authority signs certificates and keeps them in one folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// Leaf describes a certificate. Hosts makes it a server's, Groups a client's.
type Leaf struct {
	Name   string // file name
	User   string // common name
	Groups []string
	Hosts  []string
}

// Open loads the CA in dir or creates it.
func Open(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the certificate folder: %w", err)
	}
	a := &Authority{dir: dir}
	cert, key, err := load(a.CertFile("ca"), a.KeyFile("ca"))
	if err == nil && time.Until(cert.NotAfter) > renewal {
		a.cert, a.key = cert, key
		return a, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; `down --purge` makes a new CA", err)
	}
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "belay-local"},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
	}
	a.cert, a.key, err = a.issue("ca", template)
	return a, err
}

// CertFile and KeyFile are where a named certificate lives.
func (a *Authority) CertFile(name string) string { return filepath.Join(a.dir, name+".crt") }

// KeyFile is the private key of a named certificate.
func (a *Authority) KeyFile(name string) string { return filepath.Join(a.dir, name+".key") }

// Ensure issues the certificate unless a fitting one exists.
func (a *Authority) Ensure(leaf Leaf) error {
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: leaf.User, Organization: leaf.Groups},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, host := range leaf.Hosts {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if old, _, err := load(a.CertFile(leaf.Name), a.KeyFile(leaf.Name)); err == nil && a.fits(old, template) {
		return nil
	}
	_, _, err := a.issue(leaf.Name, template)
	return err
}

func (a *Authority) fits(old, want *x509.Certificate) bool {
	sameIP := func(x, y net.IP) bool { return x.Equal(y) }
	return old.CheckSignatureFrom(a.cert) == nil && time.Until(old.NotAfter) > renewal &&
		old.Subject.CommonName == want.Subject.CommonName &&
		slices.Equal(old.Subject.Organization, want.Subject.Organization) &&
		slices.Equal(old.DNSNames, want.DNSNames) && slices.EqualFunc(old.IPAddresses, want.IPAddresses, sameIP)
}

// issue signs the template; without a CA yet, it signs itself.
func (a *Authority) issue(name string, template *x509.Certificate) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate the key of %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, fmt.Errorf("draw a serial number for %s: %w", name, err)
	}
	template.SerialNumber = serial
	// An hour back: a virtual machine's clock may be set after its boot.
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(validity)
	parent, signer := a.cert, a.key
	if parent == nil || template.IsCA {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("read back the certificate of %s: %w", name, err)
	}
	if err := writeKey(a.KeyFile(name), key); err != nil {
		return nil, nil, err
	}
	return cert, key, state.WriteFile(a.CertFile(name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// EnsureKey makes the key pair service account tokens are signed with.
func (a *Authority) EnsureKey(name string) error {
	if _, err := os.Stat(a.KeyFile(name)); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate the key %s: %w", name, err)
	}
	return writeKey(a.KeyFile(name), key)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key %s: %w", path, err)
	}
	return state.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

func load(certFile, keyFile string) (*x509.Certificate, crypto.Signer, error) {
	blocks := make([][]byte, 2)
	for i, file := range []string{certFile, keyFile} {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", file, err)
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, nil, fmt.Errorf("read %s: no PEM block", file)
		}
		blocks[i] = block.Bytes
	}
	cert, err := x509.ParseCertificate(blocks[0])
	if err != nil {
		return nil, nil, fmt.Errorf("parse %s: %w", certFile, err)
	}
	key, err := x509.ParseECPrivateKey(blocks[1])
	if err != nil {
		return nil, nil, fmt.Errorf("parse %s: %w", keyFile, err)
	}
	// An interrupted issue leaves a new key beside an old certificate.
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s does not belong to %s: %w", keyFile, certFile, fs.ErrNotExist)
	}
	return cert, key, nil
}
