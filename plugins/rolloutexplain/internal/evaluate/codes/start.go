package codes

import (
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// startEntries are the codes of pods on a node of which no container runs yet.
var startEntries = []entry{
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodRejected, Severity: finding.Critical, Title: "Pod was rejected",
		Meaning:  "The pod reached a node that cannot take it.",
		Evidence: "pod status.reason", Next: "why it was sent there",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodeNotReady, Severity: finding.Warning, Title: "Node is not ready",
		Meaning:  "The node does not report; that says nothing about the application.",
		Evidence: "Node condition Ready", Next: "the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodStatusNotReported, Severity: finding.Warning, Title: "Kubelet has not reported a status for the pod",
		Meaning:  "The pod is bound, and its kubelet has done nothing.",
		Evidence: "no containerStatuses", Next: "the node",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FailedCreatePodSandBox, Severity: finding.Warning, Title: "Pod sandbox cannot be created",
		Meaning:  "The network plugin or the runtime fails.",
		Evidence: "FailedCreatePodSandBox events", Next: "the node's network",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FailedPrepareDynamicResources, Severity: finding.Warning, Title: "Dynamic resources cannot be prepared",
		Meaning:  "A device plugin on the node fails.",
		Evidence: "FailedPrepareDynamicResources events", Next: "the plugin",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FailedMount, Severity: finding.Warning, Title: "Volume cannot be mounted",
		Meaning:  "The kubelet fails to mount a volume.",
		Evidence: "FailedMount events", Next: "the mount's error",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FailedAttachVolume, Severity: finding.Warning, Title: "Volume cannot be attached",
		Meaning:  "The volume does not come to the node.",
		Evidence: "FailedAttachVolume events", Next: "the attachment",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: MultiAttachError, Severity: finding.Critical, Title: "Volume is attached to another node",
		Meaning:  "A volume for one node is still held by another.",
		Evidence: "FailedAttachVolume events", Next: "let the old pod go first",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ConfigMapNotFound, Severity: finding.Critical, Title: "ConfigMap does not exist",
		Meaning:  "The template names a ConfigMap that is not there. Pods start by themselves once it is.",
		Evidence: "container state or FailedMount events", Next: "create it, or correct the name",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SecretNotFound, Severity: finding.Critical, Title: "Secret does not exist",
		Meaning:  "The template names a Secret that is not there. Pods start by themselves once it is.",
		Evidence: "container state or FailedMount events", Next: "create it, or correct the name",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ConfigKeyNotFound, Severity: finding.Critical, Title: "ConfigMap or Secret lacks a referenced key",
		Meaning:  "The ConfigMap or Secret is there without the wanted key.",
		Evidence: "container state or FailedMount events", Next: "add the key",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: RunAsNonRootCheckFailed, Severity: finding.Critical, Title: "Container fails the runAsNonRoot check",
		Meaning:  "runAsNonRoot is set, and runAsUser is 0, or the image's user is root or not a number.",
		Evidence: "container state " + podfact.CreateContainerConfigError, Next: "set runAsUser to another number than 0",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: CreateContainerConfigError, Severity: finding.Critical, Title: "Container configuration cannot be created",
		Meaning:  "The kubelet cannot build the container's configuration.",
		Evidence: "container state " + podfact.CreateContainerConfigError, Next: "read the error",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InvalidImageName, Severity: finding.Critical, Title: "Image name is invalid",
		Meaning:  "No registry can be asked for such a name.",
		Evidence: "container state InvalidImageName", Next: "correct the name",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ErrImageNeverPull, Severity: finding.Critical, Title: "Image is not available on the node",
		Meaning:  "imagePullPolicy is Never and the node has no such image.",
		Evidence: "container state ErrImageNeverPull", Next: "another policy, or load the image",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImageNotFound, Severity: finding.Critical, Title: "Image or platform variant does not exist",
		Meaning:  "The registry answers and does not know the image or tag.",
		Evidence: "container state, pull events", Next: "correct the name, push it, or go back",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImagePullUnauthorized, Severity: finding.Critical, Title: "Registry denies access to the image",
		Meaning:  "The registry wants other credentials.",
		Evidence: "container state, pull events", Next: "the pull secrets",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: RegistryUnavailable, Severity: finding.Warning, Title: "Image registry is unavailable",
		Meaning:  "The registry cannot be reached, is broken or limits the rate.",
		Evidence: "container state, pull events", Next: "the way from the node to the registry",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NoDiskSpaceForImage, Severity: finding.Warning, Title: "Node has no disk space for the image",
		Meaning:  "The disk for images is full.",
		Evidence: "container state, pull events", Next: "the node's disk",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImageRejected, Severity: finding.Critical, Title: "Node rejects the image",
		Meaning:  "The image fails a check on the node.",
		Evidence: "container state", Next: "the node's policy",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ErrImagePull, Severity: finding.Critical, Title: "Image cannot be pulled",
		Meaning:  "The pull fails for a reason that has no name here.",
		Evidence: "container state, pull events", Next: "read the error",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImagePullInProgress, Severity: finding.Warning, Title: "Image is being pulled",
		Meaning:  "A large image or a slow registry.",
		Evidence: "Pulling event without Pulled", Next: "wait",
	}},
}
