package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// runNode serves the node's side until the context ends.
func runNode(ctx context.Context, n *node, socket string) error {
	server := newServer()
	csi.RegisterNodeServer(server, n)
	listener, err := listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return serve(ctx, server, listener)
}

// runRegistrar does what node-driver-registrar does beside other drivers, whose module is not to be had: the kubelet learns of the
// driver from its socket, and forgets it when that is gone. Beyond that it says at an address whether the kubelet has taken the driver.
// https://github.com/kubernetes/kubernetes/tree/master/pkg/kubelet/pluginmanager
func runRegistrar(ctx context.Context, endpoint, socket, address string) error {
	status, probes, registrations := health.NewServer(), grpc.NewServer(), grpc.NewServer()
	status.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(probes, status)
	registerapi.RegisterRegistrationServer(registrations, &registrar{endpoint: endpoint, status: status})
	asked, err := listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	found, err := listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan error, 2)
	go func() { ends <- serve(ctx, probes, asked) }()
	go func() { ends <- serve(ctx, registrations, found) }()
	err = <-ends
	cancel() // the end of one ends both
	return errors.Join(err, <-ends)
}

// listen replaces the socket of a process that was killed.
func listen(ctx context.Context, network, address string) (net.Listener, error) {
	if network == "unix" {
		if err := os.MkdirAll(filepath.Dir(address), 0o750); err != nil {
			return nil, err
		}
		if err := os.Remove(address); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return (&net.ListenConfig{}).Listen(ctx, network, address)
}

// serve ends with the context; the socket goes with its listener.
func serve(ctx context.Context, server *grpc.Server, listener net.Listener) error {
	defer context.AfterFunc(ctx, server.Stop)()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

// registrar is what the kubelet asks of a socket in its directory of plugins.
type registrar struct {
	registerapi.UnimplementedRegistrationServer
	endpoint string
	status   *health.Server
}

func (r *registrar) GetInfo(context.Context, *registerapi.InfoRequest) (*registerapi.PluginInfo, error) {
	return &registerapi.PluginInfo{
		Type: registerapi.CSIPlugin, Name: driverName, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(_ context.Context, s *registerapi.RegistrationStatus) (
	*registerapi.RegistrationStatusResponse, error,
) {
	if s.GetPluginRegistered() {
		r.status.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
	} else {
		fmt.Fprintln(os.Stderr, "the kubelet refuses the driver:", s.GetError())
	}
	return &registerapi.RegistrationStatusResponse{}, nil
}
