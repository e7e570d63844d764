package workload

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// cut shortens a text to at most limit bytes, at the end of a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	text = text[:limit]
	for len(text) > 0 {
		if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size != 1 {
			break
		}
		text = text[:len(text)-1]
	}
	return text
}

// quoted bounds and quotes a text from outside.
func quoted(text string, runes int) string {
	return fmt.Sprintf("%.*q", runes, strings.TrimSpace(text))
}

// because is ": " and a text from outside, bounded and quoted; nothing for an empty
// one.
func because(text string, runes int) string {
	if text == "" {
		return ""
	}
	return ": " + quoted(text, runes)
}

// token returns a text from outside unchanged when it is one word of harmless characters,
// such as a reason or an image, and bounded and quoted otherwise.
func token(text string, limit int) string {
	harmless := text != "" && len(text) <= limit && strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./:@_-", r)
	}) < 0
	if harmless {
		return text
	}
	return quoted(text, limit)
}

// counted is "1 pod", "2 pods".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
