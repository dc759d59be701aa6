package evaluate

import (
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// failures gives each reason for waiting its code, and its remedy.
var failures = map[string]struct {
	code   finding.Code
	remedy string
}{
	podspec.WaitSilent:      {PodStatusNotReported, "reach the node by its console or the cloud's session manager"},
	podspec.WaitPull:        {ImagePullTimeout, "--no-pull needs no registry; --start-timeout waits longer"},
	podspec.WaitPullFailed:  {ErrImagePull, "--no-pull needs no registry; or choose --image, --pull-secret"},
	podspec.WaitNeverPull:   {ErrImageNeverPull, "choose an image that is on the node with --image"},
	podspec.WaitImageName:   {UnusableImage, "correct --image"},
	podspec.WaitArch:        {UnusableImage, "choose a multi-platform --image"},
	podspec.WaitRuntime:     {ContainerStartError, "choose an --image with sh and nsenter, such as " + DefaultImage},
	podspec.WaitSandbox:     {FailedCreatePodSandBox, "the container runtime needs repair: reach the node by its console"},
	podspec.WaitVolume:      {ContainerStartError, "check the claim of --mount-pvc, or the host's /usr, /lib and /lib64 for --no-pull"},
	podspec.WaitPressure:    {NodePressure, "--critical enters all the same (it may stop a workload)"},
	podspec.WaitFull:        {NodeOutOfResources, "--critical makes room (it stops a workload)"},
	podspec.WaitAffinity:    {PlacementRejected, "use -n with a namespace that has no default node selector"},
	podspec.WaitTaint:       {PlacementRejected, "admission took the tolerations away: use -n with another namespace"},
	podspec.WaitRejected:    {PodRejected, "read the kubelet's reason"},
	podspec.WaitEnded:       {HelperPodEnded, "choose an --image with sh, such as " + DefaultImage},
	podspec.WaitDeleted:     {HelperPodEnded, "look for a policy controller that deletes privileged pods"},
	podspec.WaitOverdue:     {HelperPodEnded, "this machine or the API server is overloaded: try again, or with --no-job"},
	podspec.WaitNew:         {HelperPodStartTimeout, "wait longer with --start-timeout"},
	podspec.WaitUnscheduled: {HelperPodStartTimeout, "wait longer with --start-timeout"},
}

// NotStarted explains a pod that does not start.
func NotStarted(plan report.Plan, w podspec.Wait, o Options) finding.Finding {
	known, ok := failures[w.Code]
	if !ok {
		known.code, known.remedy = HelperPodStartTimeout, "look at the node"
	}
	image := plan.Pod.Spec.Containers[0].Image
	message := fmt.Sprintf("the pod does not start on node %q: %s; %s", plan.Node, w.Text, known.remedy)
	switch known.code {
	case ErrImagePull, ImagePullTimeout, ErrImageNeverPull, UnusableImage:
		message = fmt.Sprintf("node %q cannot use image %q: %s; %s", plan.Node, image, w.Text, known.remedy)
	}
	f := book.New(known.code, message)
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: plan.Namespace, Name: plan.Pod.Name}
	f.Evidence = []finding.Evidence{{Source: "Pod", Path: "status", Value: w.Text}}
	switch known.code {
	case ErrImagePull, ImagePullTimeout:
		f.Next = []finding.Next{{Command: rerunCommand(o, plan.Node, o.CallNamespace, "--no-pull"), Why: "runs an image that is on the node, with the host's own tools", Risk: finding.Read}}
	case NodePressure, NodeOutOfResources:
		f.Next = []finding.Next{{Command: rerunCommand(o, plan.Node, o.CallNamespace, "--critical"), Why: "enters as a critical pod", Risk: finding.Destructive}}
	}
	return mask.Copy(f)
}
