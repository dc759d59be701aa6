package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/kubeletplugin"
)

func write(t *testing.T, d *driver, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(d.faults), name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAClaimIsPreparedAndUndone(t *testing.T) {
	d := &driver{node: "w1", specs: t.TempDir(), faults: faults(t.TempDir())}
	claim := &resourceapi.ResourceClaim{}
	claim.UID = "u1"
	claim.Status.Allocation = &resourceapi.AllocationResult{Devices: resourceapi.DeviceAllocationResult{
		Results: []resourceapi.DeviceRequestAllocationResult{
			{Request: "other", Driver: "other.example.test", Pool: "p", Device: "d"},
			{Request: "gpu", Driver: driverName, Pool: "w1", Device: "gpu-1"},
		},
	}}
	claims := []*resourceapi.ResourceClaim{claim}
	write(t, d, "prepare", "the device does not answer\n")
	results, err := d.PrepareResourceClaims(t.Context(), claims)
	if err != nil || results["u1"].Err == nil || results["u1"].Err.Error() != "the device does not answer" {
		t.Fatalf("broken: %+v, %v", results, err)
	}
	if err := os.Remove(filepath.Join(string(d.faults), "prepare")); err != nil {
		t.Fatal(err)
	}
	results, err = d.PrepareResourceClaims(t.Context(), claims)
	if err != nil || results["u1"].Err != nil || len(results["u1"].Devices) != 1 || results["u1"].Devices[0].DeviceName != "gpu-1" {
		t.Fatalf("%+v, %v", results, err)
	}
	data, err := os.ReadFile(d.specPath("u1"))
	if err != nil {
		t.Fatal(err)
	}
	var spec cdiSpec
	if err := json.Unmarshal(data, &spec); err != nil || len(spec.Devices) != 1 || spec.Devices[0].Edits.Env[0] != "DRA_GPU_1=w1/gpu-1" ||
		results["u1"].Devices[0].CDIDeviceIDs[0] != spec.Kind+"="+spec.Devices[0].Name {
		t.Errorf("%s: %v", data, err)
	}
	for range 2 { // the kubelet may ask again
		undone, err := d.UnprepareResourceClaims(t.Context(), []kubeletplugin.NamespacedObject{{UID: types.UID("u1")}})
		if err != nil || undone["u1"] != nil {
			t.Fatalf("%v, %v", undone, err)
		}
	}
	if left, err := os.ReadDir(d.specs); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestAnUnhealthyDevice(t *testing.T) {
	d := &driver{node: "w1", faults: faults(t.TempDir())}
	if ill := d.faults.ill(); len(ill) > 0 {
		t.Errorf("%v", ill)
	}
	write(t, d, "unhealthy", "gpu-0 NoSchedule too hot\ngpu-1 - memory is faulty\n")
	ill := d.faults.ill()
	devices := d.resources(ill).Pools["w1"].Slices[0].Devices
	if len(devices) != devicesPerNode || len(devices[0].Taints) != 1 || devices[0].Taints[0].Effect != resourceapi.DeviceTaintEffectNoSchedule ||
		len(devices[1].Taints) > 0 {
		t.Errorf("%+v", devices)
	}
	health := d.health(ill).Devices
	if health[0].Health != kubeletplugin.HealthStatusUnhealthy || health[0].Message != "too hot" || health[1].Message != "memory is faulty" {
		t.Errorf("%+v", health)
	}
	if health := d.health(nil).Devices; health[0].Health != kubeletplugin.HealthStatusHealthy || health[0].PoolName != "w1" {
		t.Errorf("%+v", health)
	}
}
