package secrets

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"belay.dev/belay/api/v1alpha1"
)

func TestAValueOfASecret(t *testing.T) {
	g := NewWithT(t)
	reader := fake.NewClientBuilder().WithObjects(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "belay", Name: "token"}, Data: map[string][]byte{"token": []byte("ours")}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "other"}, Data: map[string][]byte{"token": []byte("theirs")}},
	).Build()
	value := func(name, key string) (string, error) {
		return Value(t.Context(), reader, "belay", v1alpha1.SecretKeyRef{Name: name, Key: key})
	}
	g.Expect(value("token", "token")).To(Equal("ours"))
	_, err := value("token", "password")
	g.Expect(err).To(MatchError("the Secret has no such key"))
	_, err = value("other", "token")
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "it is in another namespace")
}
