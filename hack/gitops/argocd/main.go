// Command argocd is what test/engines runs of Argo CD: its application controller and its
// repo server by their own commands, and a Redis in memory for both.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alicebob/miniredis/v2"
	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

func main() {
	root := &cobra.Command{Use: "argocd", Short: "Parts of Argo CD", SilenceUsage: true}
	root.AddCommand(controller.NewCommand(), reposerver.NewCommand(), redis())
	if root.Execute() != nil {
		os.Exit(1)
	}
}

// redis serves until it is interrupted.
func redis() *cobra.Command {
	return &cobra.Command{
		Use: "redis ADDRESS", Short: "Redis in memory", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			server := miniredis.NewMiniRedis()
			if err := server.StartAddr(args[0]); err != nil {
				return fmt.Errorf("listen on %s: %w", args[0], err)
			}
			defer server.Close()
			ended := make(chan os.Signal, 1)
			signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
			<-ended
			return nil
		},
	}
}
