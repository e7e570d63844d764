package pki

import (
	"encoding/base64"
	"fmt"
	"os"
)

// Credential is how a kubeconfig proves who its user is: a certificate name of
// this authority, or a token.
type Credential struct {
	Certificate string
	Token       string
}

// Kubeconfig renders a self-contained kubeconfig: the CA and the credential are
// inside, so it can be copied anywhere.
func (a *Authority) Kubeconfig(server, user string, credential Credential) ([]byte, error) {
	ca, err := embed(a.CertFile("ca"))
	if err != nil {
		return nil, err
	}
	proof := fmt.Sprintf("token: %s", credential.Token)
	if credential.Token == "" {
		cert, err := embed(a.CertFile(credential.Certificate))
		if err != nil {
			return nil, err
		}
		key, err := embed(a.KeyFile(credential.Certificate))
		if err != nil {
			return nil, err
		}
		proof = fmt.Sprintf("client-certificate-data: %s\n    client-key-data: %s", cert, key)
	}
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: belay-local
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %q
  user:
    %s
contexts:
- name: belay-local
  context: {cluster: belay-local, user: %q}
current-context: belay-local
`, server, ca, user, proof, user), nil
}

func embed(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read %s for a kubeconfig: %w", path, err)
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}
