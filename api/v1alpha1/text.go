package v1alpha1

import "strings"

// Bounded returns a text as valid UTF-8 of at most limit bytes. One that is longer is cut
// between characters and ends in "...", within the limit. limit is at least 3.
func Bounded(text string, limit int) string {
	text = strings.ToValidUTF8(text, "")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-3], "") + "..."
}
