package codes

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// startEntries are the codes of pods on a node of which no container runs yet.
var startEntries = []entry{
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodRejected, Severity: finding.Critical, Title: "Pod was rejected",
		Meaning: "The pod was assigned to a node whose kubelet rejected it, such as for lack of resources or a node " +
			"selector that does not match.",
		Evidence: "Pod phase Failed with status.reason and no containers started, or a status.message that begins with " +
			"\"Pod was rejected\".",
		Next: "Check why the pod was assigned to that node; spec.nodeName in the template bypasses the scheduler.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodeNotReady, Severity: finding.Warning, Title: "Node is not ready",
		Meaning: "The node of the pod is not ready or has not reported. This does not indicate a fault of the " +
			"application.",
		Evidence: "Node condition Ready not True, or the node Lease in kube-node-lease not renewed.",
		Next:     "Run kubectl nodeinfo for the node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NodeNotFound, Severity: finding.Warning, Title: "Node of the pod does not exist",
		Meaning: "The pod is bound to a node that does not exist. Such a pod never starts and is deleted by the control " +
			"plane; where spec.nodeName in the pod template names the node, each new pod meets the same problem.",
		Evidence: "Pod spec.nodeName, and no Node of that name.",
		Next:     "Correct or remove spec.nodeName in the pod template, or wait until the pod is replaced.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: PodStatusNotReported, Severity: finding.Warning, Title: "Kubelet has not reported a status for the pod",
		Meaning:  "The pod is assigned to a node, and the kubelet of that node has reported no status for it.",
		Evidence: "No status.containerStatuses for more than 30s after the pod was created.",
		Next:     "Run kubectl nodeinfo for the node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FailedCreatePodSandBox, Severity: finding.Warning, Title: "Pod sandbox cannot be created",
		Meaning: "The container runtime or the network plugin (CNI) of the node fails to create the pod sandbox, or " +
			"the node has no handler of the RuntimeClass.",
		Evidence: "FailedCreatePodSandBox events, and the pod condition PodReadyToStartContainers not True.",
		Next:     "Check the network plugin, the container runtime and the free pod IP addresses of the node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FailedPrepareDynamicResources, Severity: finding.Warning, Title: "Dynamic resources cannot be prepared",
		Meaning: "The kubelet cannot prepare the devices of the pod, because the DRA driver on the node fails or is " +
			"not registered.",
		Evidence: "FailedPrepareDynamicResources events.",
		Next:     "Check the DRA driver on the node and the ResourceClaims of the pod.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FailedMount, Severity: finding.Warning, Title: "Volume cannot be mounted",
		Meaning:  "The kubelet fails to mount a volume of the pod.",
		Evidence: "FailedMount events.",
		Next:     "Read the mount error of the event.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: FailedAttachVolume, Severity: finding.Warning, Title: "Volume cannot be attached",
		Meaning:  "A volume of the pod cannot be attached to the node.",
		Evidence: "FailedAttachVolume events.",
		Next:     "Read the error, and check the VolumeAttachment and the CSI driver.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: MultiAttachError, Severity: finding.Critical, Title: "Volume is attached to another node",
		Meaning:  "A volume that only one node can use at a time is still attached to another node.",
		Evidence: "\"Multi-Attach error\" in a FailedAttachVolume event.",
		Next:     "Let the old pod terminate before the new one starts (strategy Recreate or maxSurge 0).",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ConfigMapNotFound, Severity: finding.Critical, Title: "ConfigMap does not exist",
		Meaning: "The pod template references a ConfigMap that does not exist. The pods start without a change once it " +
			"is created.",
		Evidence: "Container state CreateContainerConfigError, or FailedMount events.",
		Next:     "Create the ConfigMap, or correct its name in the pod template.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: SecretNotFound, Severity: finding.Critical, Title: "Secret does not exist",
		Meaning: "The pod template references a Secret that does not exist. The pods start without a change once it is " +
			"created.",
		Evidence: "Container state CreateContainerConfigError, or FailedMount events.",
		Next:     "Create the Secret, or correct its name in the pod template.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ConfigKeyNotFound, Severity: finding.Critical, Title: "ConfigMap or Secret lacks a referenced key",
		Meaning:  "The ConfigMap or Secret exists but does not contain the key that the pod template references.",
		Evidence: "Container state CreateContainerConfigError, or FailedMount events.",
		Next:     "Add the key, or correct its name in the pod template.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: RunAsNonRootCheckFailed, Severity: finding.Critical, Title: "Container fails the runAsNonRoot check",
		Meaning:  "runAsNonRoot is set, and runAsUser is 0, or the user of the image is root or not a number.",
		Evidence: "Container state CreateContainerConfigError with a message about runAsNonRoot.",
		Next:     "Set runAsUser to a number other than 0, or use an image with a numeric user other than 0.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: CreateContainerConfigError, Severity: finding.Critical, Title: "Container configuration cannot be created",
		Meaning:  "The kubelet cannot create the configuration of the container.",
		Evidence: "Container state CreateContainerConfigError.",
		Next:     "Read the error in the container state.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: InvalidImageName, Severity: finding.Critical, Title: "Image name is invalid",
		Meaning:  "The image name does not follow the syntax of image references, so no registry can be queried for it.",
		Evidence: "Container state InvalidImageName.",
		Next:     "Correct the image name.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ErrImageNeverPull, Severity: finding.Critical, Title: "Image is not available on the node",
		Meaning:  "imagePullPolicy is Never, and the image is not on the node.",
		Evidence: "Container state ErrImageNeverPull.",
		Next:     "Change imagePullPolicy, or load the image onto the node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImageNotFound, Severity: finding.Critical, Title: "Image or platform variant does not exist",
		Meaning:  "The registry responds but does not have the image, the tag, or a variant for the platform of the node.",
		Evidence: "Container state ErrImagePull or ImagePullBackOff; Failed events of the pull.",
		Next:     "Correct the image name, push the image, or roll back.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImagePullUnauthorized, Severity: finding.Critical, Title: "Registry denies access to the image",
		Meaning:  "The registry denies the pull: the credentials are missing, wrong, or do not permit the image.",
		Evidence: "Container state ErrImagePull or ImagePullBackOff; Failed events of the pull.",
		Next:     "Check imagePullSecrets of the pod and of its ServiceAccount.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: RegistryUnavailable, Severity: finding.Warning, Title: "Image registry is unavailable",
		Meaning:  "The registry is unreachable from the node, returns an error, or limits the request rate.",
		Evidence: "Container state ErrImagePull or ImagePullBackOff; Failed events of the pull.",
		Next:     "Check the network path from the node to the registry, and the state of the registry.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: NoDiskSpaceForImage, Severity: finding.Warning, Title: "Node has no disk space for the image",
		Meaning:  "The file system of the node that holds images is full.",
		Evidence: "\"no space left on device\" in the container state or in Failed events of the pull.",
		Next:     "Free disk space on the node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImageRejected, Severity: finding.Critical, Title: "Node rejects the image",
		Meaning:  "The image fails a check on the node, such as signature validation or image inspection.",
		Evidence: "Container state SignatureValidationFailed or ImageInspectError.",
		Next:     "Check the image policy of the container runtime on the node.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ErrImagePull, Severity: finding.Critical, Title: "Image cannot be pulled",
		Meaning:  "The pull fails for a reason without a code of its own.",
		Evidence: "Container state ErrImagePull or ImagePullBackOff; Failed events of the pull.",
		Next:     "Read the error of the pull.",
	}},
	{layer: LayerPod, Entry: finding.Entry{
		Code: ImagePullInProgress, Severity: finding.Info, Title: "Image is being pulled",
		Meaning:  "The kubelet is pulling the image. The image may be large or the registry slow.",
		Evidence: "Pulling event without a Pulled event.",
		Next:     "Wait until the pull has finished.",
	}},
}
