package main

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	provision "sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// runController serves the controller's side, and provisions volumes through it, until the context ends.
func runController(ctx context.Context, socket, state string) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	service, err := newController(state, func(ctx context.Context, name string) (bool, error) {
		_, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	server := newServer()
	csi.RegisterControllerServer(server, service)
	listener, err := listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	go provision.NewProvisionController(ctx, client, driverName, &provisioner{service}, provision.LeaderElection(false)).Run(ctx)
	return serve(ctx, server, listener)
}

// provisioner does what external-provisioner does for other drivers: its module is not to be had.
type provisioner struct{ service csi.ControllerServer }

// modes are the access modes of a driver whose volumes one node at a time can use.
var modes = map[corev1.PersistentVolumeAccessMode]csi.VolumeCapability_AccessMode_Mode{
	corev1.ReadWriteOnce: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
	corev1.ReadOnlyMany:  csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY,
	corev1.ReadWriteMany: csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER,
}

func (p *provisioner) Provision(ctx context.Context, o provision.ProvisionOptions) (
	*corev1.PersistentVolume, provision.ProvisioningState, error,
) {
	request := &csi.CreateVolumeRequest{Name: o.PVName, CapacityRange: &csi.CapacityRange{
		RequiredBytes: o.PVC.Spec.Resources.Requests.Storage().Value(),
	}}
	for _, access := range o.PVC.Spec.AccessModes {
		mode, ok := modes[access]
		if !ok {
			return nil, provision.ProvisioningFinished, fmt.Errorf("access mode %s is not supported", access)
		}
		v := &csi.VolumeCapability{AccessMode: &csi.VolumeCapability_AccessMode{Mode: mode}}
		if o.PVC.Spec.VolumeMode == nil || *o.PVC.Spec.VolumeMode == corev1.PersistentVolumeFilesystem {
			v.AccessType = &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}}
		}
		request.VolumeCapabilities = append(request.VolumeCapabilities, v)
	}
	made, err := p.service.CreateVolume(ctx, request)
	if err != nil {
		return nil, provision.ProvisioningFinished, err
	}
	size := resource.NewQuantity(made.GetVolume().GetCapacityBytes(), resource.BinarySI)
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: *size},
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			MountOptions:                  o.StorageClass.MountOptions,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: driverName, VolumeHandle: made.GetVolume().GetVolumeId(),
			}},
		},
	}, provision.ProvisioningFinished, nil
}

func (p *provisioner) Delete(ctx context.Context, v *corev1.PersistentVolume) error {
	_, err := p.service.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: v.Spec.CSI.VolumeHandle})
	return err
}
