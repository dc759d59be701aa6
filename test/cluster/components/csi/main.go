// Command csi is a small driver of the Container Storage Interface, for tests: its volumes are directories, each node has its own of a
// volume, and everything around them is as with a disk of a cloud. A volume is provisioned, attached to one node at a time, of which a
// node takes a few, staged, published, and expanded. Upstream's external-attacher and external-resizer run beside the controller.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const (
	driverName = "disk.csi.example.test"
	// volumesPerNode is few, so that a test reaches it.
	volumesPerNode = 4
)

// version is set by the build.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "csi:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("csi controller|node|registrar", flag.ContinueOnError)
	socket := flags.String("socket", "", "where the driver listens, as the kubelet sees it")
	state := flags.String("state", "", "controller: file that holds the volumes")
	name := flags.String("node", "", "node: name of the node")
	volumes := flags.String("volumes", "", "node: directory that holds the volumes")
	registration := flags.String("registration", "", "registrar: socket at which the kubelet learns of the driver")
	health := flags.String("health", "", "registrar: address that says whether the kubelet has taken the driver")
	if len(args) == 0 {
		return errors.New("want controller, node or registrar")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "controller":
		return runController(ctx, *socket, *state)
	case "node":
		return runNode(ctx, &node{name: *name, volumes: *volumes}, *socket)
	case "registrar":
		return runRegistrar(ctx, *socket, *registration, *health)
	}
	return fmt.Errorf("%q: want controller, node or registrar", args[0])
}
