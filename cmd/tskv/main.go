// Command tskv is the server, its client and its tools in one binary. It is the
// only room that knows flags, the environment and the process.
package main

import (
	"os"

	"github.com/spf13/cobra"
)

// version is stamped by the Makefile.
var version = "dev"

func main() {
	os.Exit(exitCode(newRoot().Execute(), os.Stderr))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tskv",
		Short: "a time-series key-value and event store that speaks the Redis protocol",
		Long: `tskv keeps time-ordered records by key, on disk, and speaks RESP: redis-cli and
every Redis client are its clients. An acknowledged write is on disk.`,
		Example: `  tskv serve                                  # on ./data, 127.0.0.1:7379
  tskv cli PUT room:1 '*' 21.5
  tskv cli SCAN room:1 now-1h +
  tskv check data                             # with the server stopped`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServe(), newCLI(), newBackup(), newRestore(), newCheck(), newDump())
	return root
}
