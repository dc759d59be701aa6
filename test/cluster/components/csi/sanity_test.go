package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
)

// Upstream's own tests of what the specification requires, on both sides of the driver behind one socket. They mount, as root.
func TestTheDriverKeepsToTheSpecification(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir, err := os.MkdirTemp("", "csi") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	isNode := func(_ context.Context, name string) (bool, error) { return name == "w1", nil }
	service, err := newController(filepath.Join(dir, "state.json"), isNode)
	if err != nil {
		t.Fatal(err)
	}
	server := newServer()
	csi.RegisterControllerServer(server, service)
	csi.RegisterNodeServer(server, &node{name: "w1", volumes: filepath.Join(dir, "volumes")})
	socket := filepath.Join(dir, "csi.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener) //nolint:errcheck // Stop ends it
	defer server.Stop()

	config := sanity.NewTestConfig()
	config.Address = "unix:" + socket
	config.TargetPath, config.StagingPath = filepath.Join(dir, "mount"), filepath.Join(dir, "staging")
	config.TestNodeVolumeAttachLimit = true
	sanity.Test(t, config)

	// What was created is deleted, and a controller that is started again knows what is left.
	again, err := newController(service.state, isNode)
	if err != nil || len(again.volumes) != len(service.volumes) {
		t.Errorf("started again: %v, %v", again.volumes, err)
	}
}
