package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/kubeletplugin"
	"k8s.io/dynamic-resource-allocation/resourceslice"
)

const (
	// devicesPerNode is few, so that a test uses them up.
	devicesPerNode = 2
	memory         = "8Gi" // of a device
	// cdiKind is under what the container runtime finds the devices:
	// https://github.com/cncf-tags/container-device-interface/blob/v1.1.0/SPEC.md
	cdiKind    = "dra.example.test/gpu"
	cdiVersion = "0.6.0"
	// look is how often the driver looks for faults. resend is how often it reports its devices' health, unchanged: the kubelet calls it
	// unknown when it hears nothing for kubeletplugin's 30 seconds.
	look   = time.Second
	resend = 10 * time.Second
	// taintKey is of the taint of an unhealthy device.
	taintKey = "dra.example.test/unhealthy"
)

// driver serves the devices of a node.
type driver struct {
	node   string
	specs  string // directory of the container runtime's device specifications
	faults faults
	fatal  context.CancelCauseFunc
}

func deviceName(i int) string { return fmt.Sprintf("gpu-%d", i) }

// publish keeps the ResourceSlice of the node as it should be until the context ends.
func (d *driver) publish(ctx context.Context, helper *kubeletplugin.Helper) {
	var published map[string]illness
	for first := true; ; first = false {
		ill := d.faults.ill()
		if first || !maps.Equal(ill, published) {
			if err := helper.PublishResources(ctx, d.resources(ill)); err != nil {
				d.fatal(err)
				return
			}
			published = ill
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(look):
		}
	}
}

// resources are the devices of the node, in one pool of its name.
func (d *driver) resources(ill map[string]illness) resourceslice.DriverResources {
	var devices []resourceapi.Device
	for i := range devicesPerNode {
		model, index := "m1", int64(i)
		device := resourceapi.Device{
			Name:       deviceName(i),
			Attributes: map[resourceapi.QualifiedName]resourceapi.DeviceAttribute{"model": {StringValue: &model}, "index": {IntValue: &index}},
			Capacity:   map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{"memory": {Value: resource.MustParse(memory)}},
		}
		if effect := ill[device.Name].effect; effect != "" {
			device.Taints = []resourceapi.DeviceTaint{{Key: taintKey, Effect: resourceapi.DeviceTaintEffect(effect)}}
		}
		devices = append(devices, device)
	}
	return resourceslice.DriverResources{Pools: map[string]resourceslice.Pool{d.node: {Slices: []resourceslice.Slice{{Devices: devices}}}}}
}

// PrepareResourceClaims implements [kubeletplugin.DRAPlugin].
func (d *driver) PrepareResourceClaims(_ context.Context, claims []*resourceapi.ResourceClaim) (
	map[types.UID]kubeletplugin.PrepareResult, error,
) {
	results := map[types.UID]kubeletplugin.PrepareResult{}
	for _, claim := range claims {
		devices, err := d.prepare(claim)
		results[claim.UID] = kubeletplugin.PrepareResult{Devices: devices, Err: err}
	}
	return results, nil
}

func (d *driver) prepare(claim *resourceapi.ResourceClaim) ([]kubeletplugin.Device, error) {
	if why := d.faults.prepare(); why != "" {
		return nil, errors.New(why)
	}
	spec := cdiSpec{Version: cdiVersion, Kind: cdiKind}
	var devices []kubeletplugin.Device
	for _, r := range claim.Status.Allocation.Devices.Results {
		if r.Driver != driverName {
			continue
		}
		name := string(claim.UID) + "-" + r.Device
		spec.Devices = append(spec.Devices, cdiDevice{Name: name, Edits: cdiEdits{Env: []string{
			"DRA_" + strings.ToUpper(strings.ReplaceAll(r.Device, "-", "_")) + "=" + r.Pool + "/" + r.Device,
		}}})
		devices = append(devices, kubeletplugin.Device{
			Requests: []string{r.Request}, PoolName: r.Pool, DeviceName: r.Device, CDIDeviceIDs: []string{cdiKind + "=" + name},
		})
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	return devices, os.WriteFile(d.specPath(claim.UID), data, 0o644)
}

// UnprepareResourceClaims implements [kubeletplugin.DRAPlugin].
func (d *driver) UnprepareResourceClaims(_ context.Context, claims []kubeletplugin.NamespacedObject) (map[types.UID]error, error) {
	results := map[types.UID]error{}
	for _, claim := range claims {
		err := os.Remove(d.specPath(claim.UID))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		results[claim.UID] = err
	}
	return results, nil
}

// HandleError implements [kubeletplugin.DRAPlugin].
func (d *driver) HandleError(_ context.Context, err error, msg string) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", msg, err)
	if !errors.Is(err, kubeletplugin.ErrRecoverable) {
		d.fatal(err)
	}
}

// WatchHealthStatus implements [kubeletplugin.DRAPlugin].
func (d *driver) WatchHealthStatus(ctx context.Context, reports chan<- kubeletplugin.DeviceHealthReport) error {
	var sent map[string]illness
	var at time.Time
	for {
		if ill := d.faults.ill(); at.IsZero() || time.Since(at) >= resend || !maps.Equal(ill, sent) {
			select {
			case <-ctx.Done():
				return nil
			case reports <- d.health(ill):
				sent, at = ill, time.Now()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(look):
		}
	}
}

func (d *driver) health(ill map[string]illness) kubeletplugin.DeviceHealthReport {
	var report kubeletplugin.DeviceHealthReport
	for i := range devicesPerNode {
		h := kubeletplugin.DeviceHealth{
			PoolName: d.node, DeviceName: deviceName(i), Health: kubeletplugin.HealthStatusHealthy, LastUpdated: time.Now(),
		}
		if illness, is := ill[h.DeviceName]; is {
			h.Health, h.Message = kubeletplugin.HealthStatusUnhealthy, illness.message
		}
		report.Devices = append(report.Devices, h)
	}
	return report
}

// specPath is where the container runtime looks for the devices of a claim.
func (d *driver) specPath(claim types.UID) string {
	return filepath.Join(d.specs, driverName+"-"+string(claim)+".json")
}

// cdiSpec describes devices to the container runtime.
type cdiSpec struct {
	Version string      `json:"cdiVersion"`
	Kind    string      `json:"kind"`
	Devices []cdiDevice `json:"devices"`
}

type cdiDevice struct {
	Name  string   `json:"name"`
	Edits cdiEdits `json:"containerEdits"`
}

type cdiEdits struct {
	Env []string `json:"env"`
}
