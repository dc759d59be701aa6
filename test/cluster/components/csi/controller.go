package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	defaultBytes = 1 << 20
	maximumBytes = 1 << 40
)

// volume is what the controller knows of one; its ID is its name.
type volume struct {
	Bytes    int64  `json:"bytes"`
	Node     string `json:"node,omitempty"` // that it is attached to
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// controller is the service that stands for the storage system.
type controller struct {
	csi.UnimplementedControllerServer
	state string // file that holds the volumes
	// isNode says whether the cluster has a node.
	isNode func(context.Context, string) (bool, error)

	mutex   sync.Mutex
	volumes map[string]*volume
}

func newController(state string, isNode func(context.Context, string) (bool, error)) (*controller, error) {
	c := &controller{state: state, isNode: isNode, volumes: map[string]*volume{}}
	data, err := os.ReadFile(state)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	return c, json.Unmarshal(data, &c.volumes)
}

// save is called with the lock held. The file is replaced as a whole.
func (c *controller) save() error {
	data, err := json.Marshal(c.volumes)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.state+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(c.state+".new", c.state)
}

func (c *controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (
	*csi.ControllerGetCapabilitiesResponse, error,
) {
	var list []*csi.ControllerServiceCapability
	for _, kind := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_PUBLISH_UNPUBLISH_VOLUME,
		csi.ControllerServiceCapability_RPC_EXPAND_VOLUME,
	} {
		list = append(list, &csi.ControllerServiceCapability{Type: &csi.ControllerServiceCapability_Rpc{
			Rpc: &csi.ControllerServiceCapability_RPC{Type: kind},
		}})
	}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: list}, nil
}

func (c *controller) CreateVolume(_ context.Context, r *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	bytes := cmp.Or(r.GetCapacityRange().GetRequiredBytes(), defaultBytes)
	limit := cmp.Or(r.GetCapacityRange().GetLimitBytes(), maximumBytes)
	switch {
	case r.GetName() == "" || r.GetName() != filepath.Base(r.GetName()):
		return nil, status.Errorf(codes.InvalidArgument, "name %q: it becomes the name of a directory", r.GetName())
	case r.GetVolumeContentSource() != nil:
		return nil, status.Error(codes.InvalidArgument, "volumes begin empty")
	case bytes > min(limit, maximumBytes):
		return nil, status.Errorf(codes.OutOfRange, "%d bytes are more than %d", bytes, min(limit, maximumBytes))
	}
	if err := singleNode(r.GetVolumeCapabilities()...); err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	v := c.volumes[r.GetName()]
	switch {
	case v == nil:
		v = &volume{Bytes: bytes}
		c.volumes[r.GetName()] = v
		if err := c.save(); err != nil {
			return nil, err
		}
	case v.Bytes < bytes || v.Bytes > limit:
		return nil, status.Errorf(codes.AlreadyExists, "volume %q has %d bytes", r.GetName(), v.Bytes)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: r.GetName(), CapacityBytes: v.Bytes}}, nil
}

// singleNode refuses what several nodes would use at a time, and devices without a file system.
func singleNode(capabilities ...*csi.VolumeCapability) error {
	if len(capabilities) == 0 || slices.Contains(capabilities, nil) {
		return status.Error(codes.InvalidArgument, "no capability is given")
	}
	for _, v := range capabilities {
		switch mode := v.GetAccessMode().GetMode(); {
		case v.GetMount() == nil:
			return status.Error(codes.InvalidArgument, "volumes are mounted, there is no raw block device")
		case mode != csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER && mode != csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY:
			return status.Errorf(codes.InvalidArgument, "access mode %s: one node at a time can use a volume", mode)
		}
	}
	return nil
}

func (c *controller) DeleteVolume(_ context.Context, r *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if r.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "no volume ID is given")
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	v := c.volumes[r.GetVolumeId()]
	if v == nil {
		return &csi.DeleteVolumeResponse{}, nil
	}
	if v.Node != "" {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %q is attached to node %q", r.GetVolumeId(), v.Node)
	}
	delete(c.volumes, r.GetVolumeId())
	return &csi.DeleteVolumeResponse{}, c.save()
}

// find is called with the lock held.
func (c *controller) find(id string) (*volume, error) {
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "no volume ID is given")
	}
	v := c.volumes[id]
	if v == nil {
		return nil, status.Errorf(codes.NotFound, "volume %q does not exist", id)
	}
	return v, nil
}

func (c *controller) ControllerPublishVolume(ctx context.Context, r *csi.ControllerPublishVolumeRequest) (
	*csi.ControllerPublishVolumeResponse, error,
) {
	if r.GetVolumeId() == "" || r.GetNodeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "volume ID and node ID are not both given")
	}
	if err := singleNode(r.GetVolumeCapability()); err != nil {
		return nil, err
	}
	known, err := c.isNode(ctx, r.GetNodeId())
	if err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	v, err := c.find(r.GetVolumeId())
	attached := 0
	for _, other := range c.volumes {
		if other != v && other.Node == r.GetNodeId() {
			attached++
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !known:
		return nil, status.Errorf(codes.NotFound, "node %q does not exist", r.GetNodeId())
	case v.Node == r.GetNodeId() && v.ReadOnly != r.GetReadonly():
		return nil, status.Errorf(codes.AlreadyExists, "volume %q is attached otherwise: read-only %t", r.GetVolumeId(), v.ReadOnly)
	case v.Node == r.GetNodeId():
		return &csi.ControllerPublishVolumeResponse{}, nil
	case v.Node != "":
		return nil, status.Errorf(codes.FailedPrecondition, "volume %q is attached to node %q", r.GetVolumeId(), v.Node)
	case attached >= volumesPerNode:
		return nil, status.Errorf(codes.ResourceExhausted, "node %q has %d volumes, and takes no more", r.GetNodeId(), attached)
	}
	v.Node, v.ReadOnly = r.GetNodeId(), r.GetReadonly()
	return &csi.ControllerPublishVolumeResponse{}, c.save()
}

func (c *controller) ControllerUnpublishVolume(_ context.Context, r *csi.ControllerUnpublishVolumeRequest) (
	*csi.ControllerUnpublishVolumeResponse, error,
) {
	if r.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "no volume ID is given")
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	v := c.volumes[r.GetVolumeId()]
	if v == nil || v.Node == "" || r.GetNodeId() != "" && r.GetNodeId() != v.Node {
		return &csi.ControllerUnpublishVolumeResponse{}, nil
	}
	v.Node, v.ReadOnly = "", false
	return &csi.ControllerUnpublishVolumeResponse{}, c.save()
}

func (c *controller) ValidateVolumeCapabilities(_ context.Context, r *csi.ValidateVolumeCapabilitiesRequest) (
	*csi.ValidateVolumeCapabilitiesResponse, error,
) {
	if r.GetVolumeId() == "" || len(r.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "volume ID and capabilities are not both given")
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, err := c.find(r.GetVolumeId()); err != nil {
		return nil, err
	}
	if err := singleNode(r.GetVolumeCapabilities()...); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext: r.GetVolumeContext(), VolumeCapabilities: r.GetVolumeCapabilities(), Parameters: r.GetParameters(),
	}}, nil
}

// ControllerExpandVolume leaves the rest to the node, as with a file system on a disk.
func (c *controller) ControllerExpandVolume(_ context.Context, r *csi.ControllerExpandVolumeRequest) (
	*csi.ControllerExpandVolumeResponse, error,
) {
	bytes := r.GetCapacityRange().GetRequiredBytes()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	v, err := c.find(r.GetVolumeId())
	switch {
	case err != nil:
		return nil, err
	case r.GetCapacityRange() == nil:
		return nil, status.Error(codes.InvalidArgument, "no capacity is given")
	case bytes > maximumBytes:
		return nil, status.Errorf(codes.OutOfRange, "%d bytes are more than %d", bytes, int64(maximumBytes))
	}
	v.Bytes = max(v.Bytes, bytes)
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: v.Bytes, NodeExpansionRequired: true}, c.save()
}

// identity is the service that every socket of a driver has.
type identity struct {
	csi.UnimplementedIdentityServer
}

func (identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driverName, VendorVersion: version}, nil
}

func (identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{
			Type: csi.PluginCapability_Service_CONTROLLER_SERVICE,
		}}},
		{Type: &csi.PluginCapability_VolumeExpansion_{VolumeExpansion: &csi.PluginCapability_VolumeExpansion{
			Type: csi.PluginCapability_VolumeExpansion_ONLINE,
		}}},
	}}, nil
}

func (identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

// newServer serves the identity, and says what fails.
func newServer() *grpc.Server {
	server := grpc.NewServer(grpc.UnaryInterceptor(
		func(ctx context.Context, request any, call *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			response, err := handle(ctx, request)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", call.FullMethod, err)
			}
			return response, err
		}))
	csi.RegisterIdentityServer(server, identity{})
	return server
}
