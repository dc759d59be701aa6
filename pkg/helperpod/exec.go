package helperpod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

// Container addresses one container, always by name: an index would hit an injected sidecar.
type Container struct {
	Config    *rest.Config
	Namespace string
	Pod       string
	Name      string
	Shell     string // sh in the container; empty is "sh"

	silence time.Duration // see stream
}

// ErrStatusUnknown says that the remote command's end was not seen: whatever it did, it is no success.
var ErrStatusUnknown = errors.New("the remote command's exit status is unknown")

// ErrNotBegun says that the runtime did not come to start the command: it may be asked again.
var ErrNotBegun = errors.New("the node's container runtime did not start the command")

// Exec runs a command to its end and gives its exit code, from 0 to 255. With an error the code is unknown; the error
// is ErrStatusUnknown, or that of the context or of starting it. A command that the runtime did not come to start is
// tried again, except with input: what was read of it is gone.
func (c Container) Exec(ctx context.Context, argv []string, local Streams) (int, error) {
	for tries := execTries; ; tries-- {
		code, err := c.exec(ctx, argv, local)
		if !errors.Is(err, ErrNotBegun) || local.In != nil || tries <= 1 || ctx.Err() != nil {
			return code, err
		}
		klog.V(2).InfoS("trying again", "pod", c.Pod, "err", err)
	}
}

const execTries = 4

func (c Container) exec(ctx context.Context, argv []string, local Streams) (int, error) {
	var (
		seen  trailers
		nonce = NewID()
		sh    = c.Shell
	)
	if sh == "" {
		sh = "sh"
	}
	out := newTrailerFilter(orDiscard(local.Out), nonce, &seen)
	filters := []*trailerFilter{out}
	remote := local
	remote.Out = out
	remote.over = func() bool { _, all := seen.get(); return all }
	reads := asIs
	if !local.TTY {
		stderr := newTrailerFilter(orDiscard(local.Err), nonce, &seen)
		filters = append(filters, stderr)
		remote.Err = stderr
		reads = ownInput
		if remote.held = local.In == nil; remote.held {
			reads = heldInput
		}
	}
	remote.plain = withTrailer(sh, nonce, argv, asIs)
	end, err := c.stream(ctx, "exec", withTrailer(sh, nonce, argv, reads), remote)
	for _, f := range filters {
		f.flush()
	}
	if err != nil {
		return 0, err
	}
	return verdict(end, &seen)
}

// verdict joins what the Status and the trailer say. A failure is believed from either; success needs both.
func verdict(end ended, seen *trailers) (int, error) {
	code, all := seen.get()
	switch {
	case end.let && all:
		return *code, nil
	case end.status == nil && end.err != nil:
		return 0, fmt.Errorf("%w: the connection was lost (%w)", ErrStatusUnknown, end.err)
	case end.status == nil:
		return 0, fmt.Errorf("%w: the connection was closed before the status arrived", ErrStatusUnknown)
	case !end.clean:
		return 0, fmt.Errorf("%w: the connection broke after the status; output may be missing (%w)", ErrStatusUnknown, end.err)
	}
	reported, err := statusCode(end.status)
	switch {
	case err != nil:
		return 0, err
	case all:
		return *code, nil
	case code != nil:
		return 0, fmt.Errorf("%w: the end of its output is missing", ErrStatusUnknown)
	case reported == 0:
		return 0, fmt.Errorf("%w: the node reported success before the command had ended (the kubelet may have restarted)", ErrStatusUnknown)
	}
	return reported, nil
}

// statusCode reads the exit code of a Status:
// https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/util/remotecommand/constants.go
func statusCode(status *metav1.Status) (int, error) {
	if status.Status == metav1.StatusSuccess {
		return 0, nil
	}
	// On an overloaded node: containerd looks for the container's task, with a time limit, before it starts anything.
	// https://github.com/containerd/containerd/blob/main/internal/cri/server/container_execsync.go
	if strings.Contains(status.Message, "failed to exec in container: failed to load task") {
		return 0, fmt.Errorf("%w: %s", ErrNotBegun, status.Message)
	}
	if status.Reason != "NonZeroExitCode" || status.Details == nil {
		return 0, fmt.Errorf("%w: %s", ErrStatusUnknown, status.Message)
	}
	for _, cause := range status.Details.Causes {
		if cause.Type != "ExitCode" {
			continue
		}
		// Windows has codes above 255 (0xC000013A): no exit code here can carry them.
		code, err := strconv.ParseUint(cause.Message, 10, 64)
		if err != nil || code > 255 {
			return 0, fmt.Errorf("the remote command ended with code %s, which is not an exit code from 0 to 255", cause.Message)
		}
		return int(code), nil
	}
	return 0, fmt.Errorf("%w: %s", ErrStatusUnknown, status.Message)
}

// stream connects by WebSocket and falls back to SPDY where a server or a proxy on the way refuses that.
func (c Container) stream(ctx context.Context, subresource string, argv []string, local Streams) (ended, error) {
	u, err := c.url(subresource, argv, local)
	if err != nil {
		return ended{}, err
	}
	s, err := dial(ctx, c.Config, u, c.silence)
	if err == nil {
		klog.V(4).InfoS("stream open", "pod", c.Pod, "subresource", subresource, "transport", "websocket")
		return s.run(ctx, local), nil
	}
	if ctx.Err() != nil {
		return ended{}, context.Cause(ctx)
	}
	if !httpstream.IsUpgradeFailure(err) && !httpstream.IsHTTPSProxyError(err) {
		return ended{}, explainStream(subresource, err)
	}
	klog.V(4).InfoS("falling back to SPDY", "pod", c.Pod, "subresource", subresource, "reason", err.Error())
	local.held = false // SPDY cannot end an input that nobody gives
	plain, urlErr := c.url(subresource, local.plain, local)
	if urlErr != nil {
		return ended{}, urlErr
	}
	end, spdyErr := c.spdy(ctx, subresource, plain, local)
	var refusal *httpstream.UpgradeFailureError
	if end.err != nil && strings.Contains(end.err.Error(), "unable to upgrade connection") && errors.As(err, &refusal) {
		// Both were refused, so nothing ran; the first answer says why in the API server's own terms.
		return ended{}, explainStream(subresource, refusal.Cause)
	}
	return end, spdyErr
}

func (c Container) url(subresource string, argv []string, local Streams) (*url.URL, error) {
	config := rest.CopyConfig(c.Config)
	config.GroupVersion, config.APIPath = &corev1.SchemeGroupVersion, "/api"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	request := client.Post().Resource("pods").Namespace(c.Namespace).Name(c.Pod).SubResource(subresource)
	if subresource == "attach" {
		request.VersionedParams(&corev1.PodAttachOptions{
			Container: c.Name, Stdin: local.In != nil, Stdout: local.Out != nil, Stderr: local.Err != nil, TTY: local.TTY,
		}, scheme.ParameterCodec)
	} else {
		request.VersionedParams(&corev1.PodExecOptions{
			Container: c.Name, Command: argv,
			Stdin: local.In != nil || local.held, Stdout: local.Out != nil, Stderr: local.Err != nil, TTY: local.TTY,
		}, scheme.ParameterCodec)
	}
	return request.URL(), nil
}

// spdy streams through client-go. Its nil error is no proof of success: it becomes a Status of success, which Exec
// believes only with the trailer.
func (c Container) spdy(ctx context.Context, subresource string, u *url.URL, local Streams) (ended, error) {
	opening, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	transport, upgrader, err := kube.SPDY(opening, c.Config)
	if err != nil {
		return ended{}, err
	}
	executor, err := remotecommand.NewSPDYExecutorForTransports(transport, upgrader, http.MethodPost, u)
	if err != nil {
		return ended{}, err
	}
	options := remotecommand.StreamOptions{Stdin: local.In, Tty: local.TTY}
	if local.Out != nil {
		options.Stdout = patient{ctx, local, local.Out}
	}
	if local.Err != nil {
		options.Stderr = patient{ctx, local, local.Err}
	}
	if local.Sizes != nil {
		options.TerminalSizeQueue = sizeQueue(local.Sizes)
	}
	err = executor.StreamWithContext(ctx, options)
	var exit utilexec.CodeExitError
	switch {
	case err == nil:
		return ended{status: &metav1.Status{Status: metav1.StatusSuccess}, clean: true, heard: time.Now()}, nil
	case errors.As(err, &exit):
		status := &metav1.Status{Status: metav1.StatusFailure, Reason: "NonZeroExitCode", Details: &metav1.StatusDetails{
			Causes: []metav1.StatusCause{{Type: "ExitCode", Message: strconv.Itoa(exit.Code)}},
		}}
		return ended{status: status, clean: true}, nil
	case ctx.Err() != nil:
		return ended{}, context.Cause(ctx)
	}
	if httpstream.IsUpgradeFailure(err) || apierrors.ReasonForError(err) != metav1.StatusReasonUnknown {
		return ended{}, explainStream(subresource, err)
	}
	return ended{err: inWords(err), heard: time.Now()}, nil
}

// patient waits for room before it writes.
type patient struct {
	ctx   context.Context //nolint:containedctx // of one stream, for as long as it lives
	local Streams
	to    io.Writer
}

func (p patient) Write(b []byte) (int, error) {
	if room := p.local.room(); room != nil {
		select {
		case <-room:
		case <-p.ctx.Done():
			return 0, context.Cause(p.ctx)
		}
	}
	return p.to.Write(b)
}

type sizeQueue <-chan Size

func (q sizeQueue) Next() *remotecommand.TerminalSize {
	size, ok := <-q
	if !ok {
		return nil
	}
	return &remotecommand.TerminalSize{Width: size.Width, Height: size.Height}
}

// explainStream names the permission that a refused stream needs, or the proxy that stands in its way: kubectl proxy forbids
// exec and attach by default, without a Status of the API server
// (https://kubernetes.io/docs/reference/kubectl/generated/kubectl_proxy/), and others do not pass an upgrade on.
func explainStream(subresource string, err error) error {
	if err == nil {
		return nil
	}
	switch text := err.Error(); {
	case strings.Contains(text, "(403 Forbidden): Forbidden"):
		return fmt.Errorf("a proxy in front of the API server forbids %s; kubectl proxy allows it with: kubectl proxy --reject-paths='^$'",
			subresource)
	case strings.Contains(text, "Upgrade request required"):
		return fmt.Errorf("a proxy in front of the API server does not pass on the upgrade to a WebSocket or SPDY stream that %s needs; "+
			"pass the address of the API server itself: --server=https://HOST:6443", subresource)
	}
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("needs create pods/%s (and get, for API servers before 1.35): %w", subresource, err)
	}
	return err
}
