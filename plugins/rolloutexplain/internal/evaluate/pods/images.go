package pods

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

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
		return e.Cause(p, model.StageImage, codes.InvalidImageName, report.Fatal, "image name %q of %s is invalid", spec.Image,
			p.Called(spec.Name)).
			In(spec.Name).WithKey(spec.Image).Since(p.CreationTimestamp.Time).WithEvidence(seen).WithNext(writer)
	case podfact.ErrImageNeverPull:
		c := e.Cause(p, model.StageImage, codes.ErrImageNeverPull, report.Fatal,
			"image %q of %s is not on the node, and imagePullPolicy is Never", spec.Image, p.Called(spec.Name)).
			In(spec.Name).WithKey(spec.Image).Since(p.CreationTimestamp.Time).WithEvidence(seen)
		return c.WithNext(e.NextCluster(finding.Read, "List the images on the node", "get", "node", p.Spec.NodeName, "-o",
			"jsonpath={.status.images[*].names}"))
	case podfact.SignatureValidationFailed, podfact.ImageInspectError:
		return e.Cause(p, model.StageImage, codes.ImageRejected, report.LikelyFatal, "the node rejects image %q of %s: %s", spec.Image,
			p.Called(spec.Name), plain.Innermost(wait.Message)).
			In(spec.Name).WithKey(spec.Image).Since(p.CreationTimestamp.Time).WithEvidence(seen).WithNext(writer)
	}
	failed := podfact.PullFailure(events, spec.Name, spec.Image)
	text, says := podfact.PullError(wait)
	if failed != nil && !says {
		text = failed.Message
	}
	c := pullError(e, w, p, spec, text)
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

// The words of containerd, CRI-O and the registries; the first list that matches wins.
var (
	wordsMissing = []string{
		"not found", "manifest unknown", "manifest_unknown", "name unknown", "no match for platform",
		"no matching manifest", "does not exist", "not exist",
	}
	wordsNetwork = []string{
		"i/o timeout", "connection refused", "no such host", "tls: ", "x509", "429 too many", "too many requests", "toomanyrequests",
		"500 internal", "502 bad", "503 service", "504 gateway",
		"connection reset", ": eof", "unexpected eof", "no route to host", "network is unreachable", "deadline exceeded", "server misbehaving",
		"temporary failure in name resolution", "context canceled", "gave http response to https client",
	}
	wordsAuth = []string{
		"unauthorized", "forbidden", "pull access denied", "insufficient_scope", "authorization failed",
		"authentication required", "denied",
	}
	wordsDisk = []string{"no space left on device"}
)

// pullError reads why a pull failed. "pull access denied, repository does not exist or may require authorization" is a
// registry's way to say either.
func pullError(e *model.Evaluation, w *model.Workload, p *model.Pod, spec *corev1.Container, text string) *model.Cause {
	short := pullReason(text)
	registry := registryOf(spec.Image)
	text = withoutName(text, spec.Image) // "geofence" is not an EOF, and a digest is no status code
	switch {
	case plain.ContainsAny(text, wordsDisk...):
		return e.Cause(p, model.StageImage, codes.NoDiskSpaceForImage, report.Transient,
			"node %s has no disk space for image %q: %s", p.Spec.NodeName, spec.Image, short).
			WithNext(e.NextCluster(finding.Read, "Check the disk usage of the node", "nodeinfo", p.Spec.NodeName))
	case plain.ContainsAny(text, "pull access denied", "insufficient_scope"), plain.ContainsAny(text, wordsAuth...) &&
		!plain.ContainsAny(text, "no such host", "connection refused", "i/o timeout", "429 too many"):
		c := e.Cause(p, model.StageImage, codes.ImagePullUnauthorized, report.LikelyFatal,
			"registry %s denies access to image %q of container %q: %s", registry, spec.Image, spec.Name, short)
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
	case plain.ContainsAny(text, "lookup ", "dial tcp", "no such host") || plain.ContainsAny(text, wordsNetwork...) &&
		!plain.ContainsAny(text, "manifest unknown", "no match for platform"):
		return e.Cause(p, model.StageImage, codes.RegistryUnavailable, report.Transient,
			"registry %s is unavailable for image %q of container %q: %s", registry, spec.Image, spec.Name, short).
			WithNext(e.NextCluster(finding.Read, "Check whether the node can reach the registry: other pods on the node, DNS, proxy",
				"nodeinfo", p.Spec.NodeName))
	case plain.ContainsAny(text, wordsMissing...):
		c := e.Cause(p, model.StageImage, codes.ImageNotFound, report.LikelyFatal, "image %q of container %q does not exist in the registry: %s",
			spec.Image, spec.Name, short)
		if plain.ContainsAny(text, "no match for platform", "no matching manifest") {
			c.Message = fmt.Sprintf("image %q of container %q has no variant for the platform of node %s", spec.Image, spec.Name, p.Spec.NodeName)
		}
		return c
	}
	if short == "" {
		short = "the kubelet reports no reason"
	}
	c := e.Cause(p, model.StageImage, codes.ErrImagePull, report.LikelyFatal, "image %q of container %q cannot be pulled: %s", spec.Image,
		spec.Name, short)
	c.Confidence = "medium"
	return c
}

func accountOf(p *model.Pod) string {
	if p.Spec.ServiceAccountName == "" {
		return "default"
	}
	return p.Spec.ServiceAccountName
}

var digest = regexp.MustCompile(`sha256:[0-9a-f]+`)

// withoutName takes the image's own name out of an error's text.
func withoutName(text, image string) string {
	repository, _, _ := strings.Cut(image, "@")
	if i := strings.LastIndex(repository, ":"); i > strings.LastIndex(repository, "/") {
		repository = repository[:i]
	}
	path := repository
	if host, rest, ok := strings.Cut(repository, "/"); ok && strings.ContainsAny(host, ".:") {
		path = rest
	}
	for _, part := range []string{image, repository, path, path[strings.LastIndex(path, "/")+1:]} {
		if len(part) > 2 {
			text = strings.ReplaceAll(text, part, "IMAGE")
		}
	}
	return digest.ReplaceAllString(text, "DIGEST")
}

// pullReason keeps the registry's own words.
func pullReason(text string) string {
	text = plain.Innermost(text)
	for _, prefix := range []string{"failed to pull and unpack image ", "failed to resolve reference ", "failed to resolve image: "} {
		if i := strings.LastIndex(text, prefix); i >= 0 {
			text = text[i+len(prefix):]
			if strings.HasPrefix(text, `"`) {
				if _, after, ok := strings.Cut(text[1:], `": `); ok {
					text = after
				}
			}
		}
	}
	return text
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
