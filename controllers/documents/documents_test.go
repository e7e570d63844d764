package documents

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestAliasesAreBounded: 20 KB that stand for 10 MB, three lines that stand for more, and one
// that contains itself. None of them may be converted.
func TestAliasesAreBounded(t *testing.T) {
	long := fmt.Sprintf("a: &a %s\nb:\n", strings.Repeat("x", 10_000)) + strings.Repeat("- *a\n", 1000)
	nested := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'k'; i++ {
		nested += fmt.Sprintf("%c: &%c [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", i-1), 9), ","))
	}
	for name, text := range map[string]string{"a long text": long, "nested lists": nested, "itself": "a: &a [*a]\n", "a merged map": "a: &a {x: " + strings.Repeat("x", 5<<20) + "}\nb: {<<: *a}\n"} {
		d := Document{Text: text}
		if _, _, err := d.Parsed(); err == nil || !strings.Contains(err.Error(), "more than 4 MiB") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := d.Plain(); !errors.Is(err, ErrAlias) {
			t.Errorf("%s, where no alias may be: %v", name, err)
		}
	}
}

func TestDocuments(t *testing.T) {
	if _, raw, err := (Document{Text: "a: &a {x: 1}\nb: *a\n"}).Parsed(); err != nil || string(raw) != `{"a":{"x":1},"b":{"x":1}}` {
		t.Errorf("few aliases: %s, %v", raw, err)
	}
	if raw, err := (Document{Text: "a: " + strings.Repeat("x", 5<<20)}).Plain(); err != nil || len(raw) < 5<<20 {
		t.Errorf("a long text without aliases: %v", err)
	}
	if _, err := (Document{Text: "a: 1\na: 2\n"}).Plain(); err == nil {
		t.Error("a key stands twice")
	}
	if raw, err := (Document{Text: "# nothing\n"}).Plain(); raw != nil || err != nil {
		t.Errorf("an empty document: %s, %v", raw, err)
	}
	got := Split([]byte("# a\na: 1\n---\n\n---\nb: 1\n"))
	if len(got) != 2 || got[0] != (Document{"# a\na: 1\n", 0}) || got[1] != (Document{"b: 1\n", 5}) {
		t.Errorf("split into %+v", got)
	}
}
