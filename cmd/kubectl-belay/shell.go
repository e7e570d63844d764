package main

import "strings"

// shellWord is a text as one word of a POSIX shell: as it is when no shell reads anything
// into it, or else in single quotes.
func shellWord(text string) string {
	plain := text != "" && strings.IndexFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:@,+=%", r)
	}) < 0
	if plain {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
