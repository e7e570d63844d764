package main

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// namespaceList is a flag with the namespaces to watch. None means all.
type namespaceList []string

func (n *namespaceList) String() string { return strings.Join(*n, ",") }

// Set takes names that are separated by commas.
func (n *namespaceList) Set(text string) error {
	*n = nil
	if text == "" {
		return nil
	}
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
			return fmt.Errorf("%.70q is no name of a namespace (%s): write names with commas between them, such as shop,search", name, wrong[0])
		}
		if !slices.Contains(*n, name) {
			*n = append(*n, name)
		}
	}
	return nil
}
