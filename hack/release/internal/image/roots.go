package image

import (
	"bytes"
	"encoding/pem"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rootsFile is where Go, and most others, look for the CA roots of the system.
const rootsFile = "etc/ssl/certs/ca-certificates.crt"

// roots are the CAs that Mozilla trusts, as PEM. Those that it trusts with
// constraints are left out: a file of certificates cannot say so.
func roots() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
