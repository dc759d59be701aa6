package evaluate

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// What was seen on volumes of a CSI driver: who holds the volume, and which driver or provisioner fails, is in the sentence.
func TestVolumesOfACSIDriver(t *testing.T) {
	attach := func(message string, more ...func(*builder)) *builder {
		b := deploymentCase()
		b.podEvent("FailedAttachVolume", message, 3)
		for _, change := range more {
			change(b)
		}
		return b
	}
	unprovisioned := func(selected bool, events ...string) *builder {
		b := deploymentCase()
		claimed(b, plain.Ptr("csi"))
		b.x().Status.Conditions = nil
		if selected {
			b.in.Claims[0].Annotations = map[string]string{"volume.kubernetes.io/selected-node": "w1"}
		}
		for _, reason := range events {
			b.event("pvc", reason, "rpc error: code = ResourceExhausted desc = the pool is full", 2)
		}
		return b
	}
	const used, exclusive = "Volume is already used by pod(s) ", "Volume is already exclusively attached to one node, waiting on detach before it can be attached to another node"
	for _, tt := range []struct {
		name  string
		in    *builder
		code  finding.Code
		says  string
		class report.Class
	}{
		{"an old pod that is kept", attach(`Multi-Attach error for volume "pv1" ` + used + "api-1-b"), pods.MultiAttachError, `volume "pv1" is attached to node w2; old pod api-1-b uses the volume there`, report.LikelyFatal},
		{"the same, as v1.37 tells it", attach(`Waiting for detach for volume "pv1" ` + used + "api-1-b"), pods.MultiAttachError, `volume "pv1" is attached to node w2; old pod api-1-b uses the volume there`, report.LikelyFatal},
		{"a pod of the same revision", attach(`Waiting for detach for volume "pv1" `+used+"api-2-y", func(b *builder) {
			b.addPod("api-2-y", "rs2", "api:2", "w2", time.Minute, running(time.Minute))
		}), pods.MultiAttachError, `is attached to node w2, where pod api-2-y of the same revision uses it`, report.LikelyFatal},
		{"a pod that ends", attach(`Waiting for detach for volume "pv1" `+used+"api-1-a", func(b *builder) { b.ending(20 * time.Second).Spec.NodeName = "w2" }), pods.PodTerminating, "pod api-1-a is terminating: 20s of the termination grace period are left", report.Transient},
		{"a pod that cannot end", attach(`Waiting for detach for volume "pv1" `+used+"api-1-a", func(b *builder) {
			b.ending(-time.Minute).Spec.NodeName = "w2"
			b.in.Nodes[1].Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", LastTransitionTime: ago(time.Minute)}
		}), pods.TerminatingOnNotReadyNode, "pod api-1-a cannot terminate: node w2 is not ready (NodeStatusUnknown)", report.LikelyFatal},
		{"another workload's pod", attach(`Waiting for detach for volume "pv1" ` + used + "other-1 and 1 pod(s) in different namespaces"), pods.MultiAttachError, "is attached to another node: already used by pod(s) other-1 and 1 pod(s)", report.Transient},
		{"no pod", attach(`Waiting for detach for volume "pv1" ` + exclusive), pods.MultiAttachError, "is attached to another node, where no pod uses it, and must be detached there first", report.Transient},
		{"a refusal of the driver", attach(`AttachVolume.Attach failed for volume "pv1" : rpc error: code = ResourceExhausted desc = no more`), pods.FailedAttachVolume, "cannot be attached to node w1: no more", report.Transient},
		{"no driver where it is to be attached", attach(`AttachVolume.Attach failed for volume "pv1" : CSINode w1 does not contain driver disk.csi`), pods.FailedAttachVolume, "CSI driver disk.csi is not registered on node w1", report.Transient},
		{"no driver where it is to be mounted", with(func(b *builder) {
			b.podEvent("FailedMount", `MountVolume.MountDevice failed for volume "pv1" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name disk.csi not found in the list of registered CSI drivers`, 3)
		})(), pods.FailedMount, "CSI driver disk.csi is not registered on node w1", report.Transient},
		{"a claim for which a node is selected", unprovisioned(true, "ExternalProvisioning"), placement.PVCNotBound, `"data" is Pending: waiting for the provisioner`, report.Transient},
		{"the same, once the provisioner has failed", unprovisioned(true, "ProvisioningFailed", "ExternalProvisioning"), placement.PVCNotBound, `"data" is Pending: the pool is full`, report.Transient},
		{"a claim that no scheduler has seen", unprovisioned(false), placement.SchedulerNotActing, "the default scheduler has not acted", report.Transient},
		{"a claim that the scheduler has given up to wait for", with(func(b *builder) {
			claimed(b, plain.Ptr("csi"))
			b.x().Status.Conditions[0].Message = `running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded`
			b.event("pvc", "ProvisioningFailed", "rpc error: code = ResourceExhausted desc = the pool is full", 2)
		})(), placement.PVCNotBound, `"data" is Pending: the pool is full`, report.Transient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.code == placement.PVCNotBound || tt.code == placement.SchedulerNotActing {
				tt.in.in.StorageClasses = append(tt.in.in.StorageClasses, storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "csi"}, Provisioner: "disk.csi"})
			}
			got := Evaluate(tt.in.in, now, model.Options{}).Items[0]
			if len(got.Findings) == 0 || got.Findings[0].Code != tt.code || !strings.Contains(got.Summary, tt.says) || got.Findings[0].Class != tt.class {
				t.Errorf("%s: %+v", codesOf(report.List{Items: []report.Rollout{got}}), got.Findings)
			}
		})
	}
}
