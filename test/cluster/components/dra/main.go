// Command dra is a small driver of dynamic resource allocation, for tests: each node has two devices, which are nothing but names.
// Everything around them is as with real ones, through upstream's helper for such drivers: they are published in a ResourceSlice, prepared
// for the pods that claim them (a container finds in its environment which device it has), and their health is reported to the kubelet.
// Files of a directory break it, see faults.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/dynamic-resource-allocation/kubeletplugin"
)

// driverName is also the name of the DeviceClass.
const driverName = "gpu.dra.example.test"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dra:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("dra", flag.ContinueOnError)
	node := flags.String("node", "", "name of the node, which is also that of the pool of its devices")
	data := flags.String("data", kubeletplugin.KubeletPluginsDir+"/"+driverName, "directory of the driver, as the kubelet sees it")
	broken := flags.String("faults", "", "directory of the files that break the driver")
	specs := flags.String("cdi", "/var/run/cdi", "directory of the container runtime's device specifications")
	health := flags.String("health", "", "address that says whether the kubelet has taken the driver")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*data, 0o750); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := &driver{node: *node, specs: *specs, faults: faults(*broken), fatal: cancel}
	helper, err := kubeletplugin.Start(ctx, d, kubeletplugin.DriverName(driverName), kubeletplugin.NodeName(*node),
		kubeletplugin.KubeClient(client), kubeletplugin.PluginDataDirectoryPath(*data))
	if err != nil {
		return err
	}
	defer helper.Stop()
	server := serveHealth(*health, helper, cancel)
	defer server.Close() //nolint:errcheck // it ends with the process
	d.publish(ctx, helper)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// serveHealth answers with 200 while the kubelet has the driver.
func serveHealth(address string, helper *kubeletplugin.Helper, fatal context.CancelCauseFunc) *http.Server {
	answer := func(w http.ResponseWriter, _ *http.Request) {
		if s := helper.RegistrationStatus(); s == nil || !s.GetPluginRegistered() {
			http.Error(w, "the kubelet has not taken the driver", http.StatusServiceUnavailable)
		}
	}
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(answer)}
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			fatal(err)
		}
	}()
	return server
}
