// Package secrets reads the Secrets that MetricSources and CheckEndpoints name.
package secrets

import (
	"context"
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"belay.dev/belay/api/v1alpha1"
)

// Value returns one key of a Secret in namespace, which is Belay's own. reader is not
// cached: Secrets are read when needed and not kept. A Secret or a key that does not exist
// is an error.
func Value(ctx context.Context, reader client.Reader, namespace string, ref v1alpha1.SecretKeyRef) (string, error) {
	secret := &corev1.Secret{}
	if err := reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, secret); err != nil {
		return "", err
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		return "", errors.New("the Secret has no such key")
	}
	return string(value), nil
}
