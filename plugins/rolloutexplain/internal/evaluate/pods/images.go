package pods

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	InvalidImageName      finding.Code = "InvalidImageName"
	ErrImageNeverPull     finding.Code = "ErrImageNeverPull"
	ImageNotFound         finding.Code = "ImageNotFound"
	ImagePullUnauthorized finding.Code = "ImagePullUnauthorized"
	RegistryUnavailable   finding.Code = "RegistryUnavailable"
	NoDiskSpaceForImage   finding.Code = "NoDiskSpaceForImage"
	ImageRejected         finding.Code = "ImageRejected"
	ErrImagePull          finding.Code = "ErrImagePull"
)

var imageRules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{".image"}, Entry: finding.Entry{
		Code: InvalidImageName, Severity: finding.Critical, Title: "Image name is invalid",
		Meaning:  "The image name does not follow the syntax of image references, so no registry can be queried for it.",
		Evidence: "Container state InvalidImageName.",
		Next:     "Correct the image name.",
	}},
	{Layer: rule.LayerPod, Bears: []string{".image", "imagePullPolicy"}, Entry: finding.Entry{
		Code: ErrImageNeverPull, Severity: finding.Critical, Title: "Image is not available on the node",
		Meaning:  "imagePullPolicy is Never, and the image is not on the node.",
		Evidence: "Container state ErrImageNeverPull.",
		Next:     "Change imagePullPolicy, or load the image onto the node.",
	}},
	{Layer: rule.LayerPod, Bears: []string{".image"}, Entry: finding.Entry{
		Code: ImageNotFound, Severity: finding.Critical, Title: "Image or platform variant does not exist",
		Meaning:  "The registry responds but does not have the image, the tag, or a variant for the platform of the node.",
		Evidence: "Container state ErrImagePull or ImagePullBackOff; Failed events of the pull.",
		Next:     "Correct the image name, push the image, or roll back.",
	}},
	{Layer: rule.LayerPod, Bears: []string{".image", "imagePullSecrets", "serviceAccount"}, Entry: finding.Entry{
		Code: ImagePullUnauthorized, Severity: finding.Critical, Title: "Registry denies access to the image",
		Meaning:  "The registry denies the pull: the credentials are missing, wrong, or do not permit the image.",
		Evidence: "Container state ErrImagePull or ImagePullBackOff; Failed events of the pull.",
		Next:     "Check imagePullSecrets of the pod and of its ServiceAccount.",
	}},
	{Layer: rule.LayerPod, Bears: []string{".image"}, Entry: finding.Entry{
		Code: RegistryUnavailable, Severity: finding.Warning, Title: "Image registry is unavailable",
		Meaning:  "The registry is unreachable from the node, returns an error, or limits the request rate.",
		Evidence: "Container state ErrImagePull or ImagePullBackOff; Failed events of the pull.",
		Next:     "Check the network path from the node to the registry, and the state of the registry.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: NoDiskSpaceForImage, Severity: finding.Warning, Title: "Node has no disk space for the image",
		Meaning:  "The file system of the node that holds images is full.",
		Evidence: "\"no space left on device\" in the container state or in Failed events of the pull.",
		Next:     "Free disk space on the node.",
	}},
	{Layer: rule.LayerPod, Bears: []string{".image"}, Entry: finding.Entry{
		Code: ImageRejected, Severity: finding.Critical, Title: "Node rejects the image",
		Meaning:  "The image fails a check on the node, such as signature validation or image inspection.",
		Evidence: "Container state SignatureValidationFailed or ImageInspectError.",
		Next:     "Check the image policy of the container runtime on the node.",
	}},
	{Layer: rule.LayerPod, Bears: []string{".image"}, Entry: finding.Entry{
		Code: ErrImagePull, Severity: finding.Critical, Title: "Image cannot be pulled",
		Meaning:  "The pull fails for a reason without a code of its own.",
		Evidence: "Container state ErrImagePull or ImagePullBackOff; Failed events of the pull.",
		Next:     "Read the error of the pull.",
	}},
}

// imageCause classes an image that does not come. A registry that is away comes back; a name that it does not know stays
// unknown until somebody pushes it.
func imageCause(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container,
	wait *corev1.ContainerStateWaiting,
) *model.Cause {
	events := e.PodEvents(p)
	path := p.StatusPath(spec.Name) + ".state.waiting"
	seen := plain.Evidence("Pod "+p.Name, path, wait.Reason+": "+wait.Message, plain.NoTime)
	writer := e.Next(w, finding.Read, "Find in managedFields who set the image, and when",
		"get", w.Slash(), "-o", "yaml", "--show-managed-fields")
	switch wait.Reason {
	case podfact.InvalidImageName:
		return e.Cause(p, model.StageImage, InvalidImageName, report.Fatal, "image name %q of %s is invalid", spec.Image,
			p.Called(spec.Name)).
			In(spec.Name).WithKey(spec.Image).Since(p.CreationTimestamp.Time).WithEvidence(seen).WithNext(writer)
	case podfact.ErrImageNeverPull:
		c := e.Cause(p, model.StageImage, ErrImageNeverPull, report.Fatal,
			"image %q of %s is not on the node, and imagePullPolicy is Never", spec.Image, p.Called(spec.Name)).
			In(spec.Name).WithKey(spec.Image).Since(p.CreationTimestamp.Time).WithEvidence(seen)
		return c.WithNext(e.NextCluster(finding.Read, "List the images on the node", "get", "node", p.Spec.NodeName, "-o",
			"jsonpath={.status.images[*].names}"))
	case podfact.SignatureValidationFailed, podfact.ImageInspectError:
		return e.Cause(p, model.StageImage, ImageRejected, report.LikelyFatal, "the node rejects image %q of %s: %s", spec.Image,
			p.Called(spec.Name), plain.Innermost(wait.Message)).
			In(spec.Name).WithKey(spec.Image).Since(p.CreationTimestamp.Time).WithEvidence(seen).WithNext(writer)
	}
	failed := podfact.PullFailure(events, spec.Name, spec.Image)
	text, says := podfact.PullError(wait)
	if failed != nil && !says {
		text = failed.Message
	}
	c := pullError(e, w, p, spec, text)
	if unread := e.MissingEventText(""); unread != "" && failed == nil && !says && text != "" {
		c.Message += "; " + unread
	}
	c.In(spec.Name).WithKey(spec.Image)
	c.WithEvidence(seen)
	if failed != nil {
		c.ByEvent(failed)
	} else {
		c.Since(p.CreationTimestamp.Time)
	}
	if secret := eventfact.Newest(events, "FailedToRetrieveImagePullSecret"); secret != nil {
		c.WithEvidence(plain.Evidence("Event", secret.Reason, secret.Message, secret.Last))
		c.Message += "; an image pull secret of the pod does not exist"
		c.Next = append([]finding.Next{e.Next(w, finding.Read, "List the image pull secrets of the pod", "get", "pod", p.Name, "-o",
			"jsonpath={.spec.imagePullSecrets}")}, c.Next...)
	}
	if len(c.Next) == 0 {
		c.WithNext(writer)
	}
	return c
}

// unavailable are the words for a registry that the node does not get an answer from, or not the image; with the node, the
// registry, the image and the container.
var unavailable = map[podfact.Pull]string{
	podfact.PullLookup:      "node %[1]s cannot resolve the host of registry %[2]s for image %[3]q of container %[4]q: %[5]s",
	podfact.PullConnection:  "node %[1]s gets no answer from registry %[2]s for image %[3]q of container %[4]q: %[5]s",
	podfact.PullTLS:         "node %[1]s makes no TLS connection to registry %[2]s for image %[3]q of container %[4]q: %[5]s",
	podfact.PullRateLimit:   "registry %[2]s limits the requests of node %[1]s for image %[3]q of container %[4]q: %[5]s",
	podfact.PullServerError: "registry %[2]s fails for image %[3]q of container %[4]q on node %[1]s: %[5]s",
}

// pullError reads why a pull failed.
func pullError(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, text string) *model.Cause {
	short, registry, why := plain.Innermost(text), registryOf(spec.Image), podfact.WhyPull(text, spec.Image)
	cause := func(code finding.Code, class report.Class, format string, args ...any) *model.Cause {
		return e.Cause(p, model.StageImage, code, class, format, args...)
	}
	if words, ok := unavailable[why]; ok {
		class := report.Transient
		if why == podfact.PullTLS { // settings of the node or the registry, which no repetition changes
			class = report.LikelyFatal
		}
		c := cause(RegistryUnavailable, class, words, p.Spec.NodeName, registry, spec.Image, spec.Name, short)
		c.At = []finding.ObjectRef{{Kind: "Registry", Name: registry}}
		return c.WithNext(e.NextCluster(finding.Read, "Check whether the node can reach the registry: other pods on the node, DNS, proxy",
			"nodeinfo", p.Spec.NodeName))
	}
	switch why {
	case podfact.PullNoSpace:
		return cause(NoDiskSpaceForImage, report.Transient, "node %s has no disk space for image %q: %s", p.Spec.NodeName, spec.Image,
			short).WithNext(e.NextCluster(finding.Read, "Check the disk usage of the node", "nodeinfo", p.Spec.NodeName))
	case podfact.PullDenied:
		return pullDenied(e, w, p, cause(ImagePullUnauthorized, report.LikelyFatal,
			"registry %s denies access to image %q of container %q: %s", registry, spec.Image, spec.Name, short), text)
	case podfact.PullNoPlatform:
		return cause(ImageNotFound, report.LikelyFatal, "image %q of container %q has no variant for the platform of node %s", spec.Image,
			spec.Name, p.Spec.NodeName)
	case podfact.PullNotFound:
		return cause(ImageNotFound, report.LikelyFatal, "image %q of container %q does not exist in the registry: %s", spec.Image,
			spec.Name, short)
	}
	if short == "" {
		short = e.MissingEventText("the kubelet reports no reason")
	}
	c := cause(ErrImagePull, report.LikelyFatal, "image %q of container %q cannot be pulled: %s", spec.Image, spec.Name, short)
	c.Confidence = "medium"
	return c
}

// pullDenied tells which credentials the pull had. "pull access denied, repository does not exist or may require
// authorization" is a registry's way to say either.
func pullDenied(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, text string) *model.Cause {
	names := make([]string, 0, len(p.Spec.ImagePullSecrets))
	for _, s := range p.Spec.ImagePullSecrets {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		c.Message += "; the pod has no image pull secret"
	} else {
		c.Message += fmt.Sprintf("; image pull secrets of the pod: %s", plain.List(names, 5))
	}
	if plain.ContainsAny(text, "does not exist") {
		c.Message += "; some registries return this for an image that does not exist"
	}
	return c.WithNext(e.Next(w, finding.Read, "List the image pull secrets of the ServiceAccount",
		"get", "serviceaccount", accountOf(p), "-o", "custom-columns=NAME:.metadata.name,PULLSECRETS:.imagePullSecrets[*].name"))
}

func accountOf(p *model.Pod) string {
	if p.Spec.ServiceAccountName == "" {
		return "default"
	}
	return p.Spec.ServiceAccountName
}

// registryOf is the registry of an image name: the part before the first slash when it looks like a host.
// https://github.com/distribution/reference/blob/v0.6.0/normalize.go (splitDockerDomain)
func registryOf(image string) string {
	host, _, ok := strings.Cut(image, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "docker.io"
	}
	return host
}
