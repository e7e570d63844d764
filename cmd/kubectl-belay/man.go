package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// man writes what --help says as man pages. A release ships them; people do not need it.
func (a *app) man() *cobra.Command {
	return &cobra.Command{
		Use:   "man FOLDER",
		Short: "Write the man pages into a folder",
		Long: "Write the man pages into a folder, which must exist: one page in section 1 for each command.\n\n" +
			"The pages have the date of now, or of SOURCE_DATE_EPOCH (seconds since 1970).",
		Example: `  mkdir -p ~/.local/share/man/man1
  kubectl belay man ~/.local/share/man/man1
  man kubectl-belay`,
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			forMan(root)
			return doc.GenManTree(root, &doc.GenManHeader{Source: "Belay " + version, Manual: "Belay"}, args[0])
		},
	}
}

// forMan keeps the line breaks of indented lines in descriptions, which are read as
// Markdown.
func forMan(cmd *cobra.Command) {
	var out []string
	fenced := false
	for _, line := range strings.Split(cmd.Long, "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != fenced {
			fenced = indented
			if fenced {
				out = append(out, "")
			}
			out = append(out, "```")
		}
		out = append(out, line)
	}
	if fenced {
		out = append(out, "```")
	}
	cmd.Long = strings.Join(out, "\n")
	for _, child := range cmd.Commands() {
		forMan(child)
	}
}
