// Command containerd-shim-runc-v2 is containerd's own shim on one thread, as what is around it, and so is the runc that it starts:
// containerd tells both to use four, whatever its own environment says.
package main

import (
	"context"
	"os"
	"runtime"

	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/manager"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/task/plugin"
	"github.com/containerd/containerd/v2/pkg/shim"
)

func main() {
	runtime.GOMAXPROCS(1)
	os.Setenv("GOMAXPROCS", "1") //nolint:errcheck // the name is right
	shim.RunShim(context.Background(), manager.NewShimManager("io.containerd.runc.v2"))
}
