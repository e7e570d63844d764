package v1alpha1

import (
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Selects reports whether a selector matches these labels; field names it in the error. A
// selector that cannot be read is an error, never a match or a mismatch: it applies nothing,
// leaves nothing out, and allows nothing. No other code reads selectors.
func Selects(field string, selector metav1.LabelSelector, set map[string]string) (bool, error) {
	s, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		return false, fmt.Errorf("%s cannot be read: %w", field, err)
	}
	return s.Matches(labels.Set(set)), nil
}

// SelectsRollout reports whether the selectors of an object of the whole cluster match a Rollout,
// by the labels of its namespace and its own. An error means that it may be for it or not: a
// selector cannot be read, and the other one matches.
func SelectsRollout(namespaces, rollouts metav1.LabelSelector, namespace, rollout map[string]string) (bool, error) {
	in, inErr := Selects("namespaceSelector", namespaces, namespace)
	this, thisErr := Selects("rolloutSelector", rollouts, rollout)
	if inErr == nil && !in || thisErr == nil && !this {
		return false, nil
	}
	return true, errors.Join(inErr, thisErr)
}
