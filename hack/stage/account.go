package stage

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// tokenSeconds is how long a ServiceAccount that plays a part can be used: longer than any
// suite takes.
const tokenSeconds int64 = 2 * 60 * 60

// WriteKubeconfig writes a kubeconfig of a ServiceAccount, which has to exist, with a token of
// its own.
func (s *Stage) WriteKubeconfig(ctx context.Context, path string, account client.ObjectKey) error {
	user := &corev1.ServiceAccount{}
	user.Namespace, user.Name = account.Namespace, account.Name
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(tokenSeconds)}}
	if err := s.Client.SubResource("token").Create(ctx, user, token); err != nil {
		return fmt.Errorf("get a token of ServiceAccount %s: %w", account, err)
	}
	return clientcmd.WriteToFile(api.Config{
		Clusters: map[string]*api.Cluster{account.Name: {
			Server: s.Config.Host, CertificateAuthority: s.Config.CAFile, CertificateAuthorityData: s.Config.CAData}},
		AuthInfos:      map[string]*api.AuthInfo{account.Name: {Token: token.Status.Token}},
		Contexts:       map[string]*api.Context{account.Name: {Cluster: account.Name, AuthInfo: account.Name}},
		CurrentContext: account.Name,
	}, path)
}
