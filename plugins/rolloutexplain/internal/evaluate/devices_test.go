package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const gpuDriver = "gpu.dra.example.test"

// claims gives a pod a ResourceClaim of a template; it has a device where driver is not empty.
func (b *builder) claims(p *corev1.Pod, class, driver string) {
	name := p.Name + "-gpu"
	p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: plain.Ptr("gpu")}}
	p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "gpu", ResourceClaimName: &name}}
	claim := device.Claim{Metadata: device.ObjectMeta{Namespace: p.Namespace, Name: name}}
	claim.Spec.Devices.Requests = []device.Request{{Exactly: device.Requested{Class: class}}}
	b.in.DeviceClaims = append(b.in.DeviceClaims, claim)
	if driver != "" {
		at := &b.in.DeviceClaims[len(b.in.DeviceClaims)-1].Status
		at.Allocation = &struct {
			Devices struct {
				Results []device.Result `json:"results,omitempty"`
			} `json:"devices"`
		}{}
		at.Allocation.Devices.Results = []device.Result{{Request: "gpu", Driver: driver, Pool: "w1", Device: "gpu-0"}}
	}
	b.readClaim(name)
}

// readClaim holds a claim as asked for.
func (b *builder) readClaim(name string) {
	b.fetch(model.Need{Kind: model.NeedDeviceClaim, Namespace: "shop", Name: name})
	b.in.Sources = append(b.in.Sources, source.Source{Name: model.SourceDeviceClaims, State: source.OK})
}

// unclaimed is a pod that the scheduler leaves alone, since its claim does not exist.
func unclaimed() *builder {
	b := deploymentCase()
	b.unscheduled("")
	b.x().Status.Conditions = nil
	b.x().Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimName: plain.Ptr("nope")}}
	b.readClaim("nope")
	return b
}

// What was seen with a driver of the embedded cluster (--with dra): which claim, class, driver or pod it is, is in the sentence.
func TestDevicesOfResourceClaims(t *testing.T) {
	scheduler := func(reason string) string {
		return "0/2 nodes are available: " + reason + ". preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
	}
	const inUse = "1 cannot allocate all claims, 1 node(s) had untolerated taint(s)"
	waits := func(reason string, more ...func(*builder)) *builder {
		b := deploymentCase()
		b.unscheduled(scheduler(reason))
		b.claims(b.x(), "gpu", "")
		for _, change := range more {
			change(b)
		}
		return b
	}
	old := func(class string) func(*builder) {
		return func(b *builder) { b.claims(&b.in.Pods[0], class, gpuDriver) }
	}
	absent := func(change func(*builder), events ...string) *builder {
		b := unclaimed()
		change(b)
		for _, message := range events {
			b.podEvent("FailedResourceClaimCreation", message, 3)
		}
		return b
	}
	template := func(b *builder) {
		b.x().Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: plain.Ptr("nope")}}
	}
	prepare := func(message string) *builder {
		b := deploymentCase()
		b.podEvent("FailedPrepareDynamicResources", "Failed to prepare dynamic resources: prepare dynamic resources: "+message, 3)
		return b
	}
	for _, tt := range []struct {
		name  string
		in    *builder
		code  finding.Code
		says  string
		class report.Class
		next  string // a command of the first finding holds it
	}{
		{"an old pod has the device", waits(inUse, old("gpu")), placement.ResourceClaimUnsatisfied, "deadlock with old pod api-1-a over devices of DeviceClass gpu; the pod requests devices of DeviceClass gpu; the old pods stay until", report.LikelyFatal, `"maxSurge":0`},
		{"an old pod has another device", waits(inUse, old("nic")), placement.ResourceClaimUnsatisfied, "cannot allocate all claims, 1× had untolerated taint(s); the pod requests devices of DeviceClass gpu", report.Transient, "get resourceslices"},
		{"the claims cannot be read", waits(inUse, old("gpu"), func(b *builder) { b.unreadable(model.SourceDeviceClaims, source.Forbidden) }), placement.ResourceClaimUnsatisfied, "1× cannot allocate all claims", report.Transient, "describe resourceclaim api-2-x-gpu"},
		{"a pod that cannot end has the device", waits(inUse, func(b *builder) { b.claims(b.ending(-time.Minute), "gpu", gpuDriver) }), pods.PodStuckTerminating, "no event says why; the kubelet reports the end of the pod only after DRA driver " + gpuDriver + " has unprepared its devices", report.Transient, "spec.nodeName=w1"},
		{"no such class", waits("request gpu: device class gpu does not exist"), placement.ResourceClaimUnsatisfied, `DeviceClass "gpu" does not exist, and a ResourceClaim of the pod requests devices of it`, report.LikelyFatal, "get deviceclasses"},
		{"no such claim", absent(func(*builder) {}), placement.ResourceClaimNotFound, `ResourceClaim "nope" does not exist`, report.LikelyFatal, "get resourceclaims"},
		{"it is not known whether there is such a claim", absent(func(b *builder) { b.unreadable(model.SourceDeviceClaims, source.Forbidden) }), placement.SchedulerNotActing, "the default scheduler has not acted on the pod for 60s; it may be waiting for ResourceClaim nope, which this report did not read", report.Transient, "get resourceclaims"},
		{"a table reads no claims", absent(func(b *builder) { b.in.Fetched = nil }), placement.SchedulerNotActing, "it may be waiting for ResourceClaim nope, which this report did not read", report.Transient, "get resourceclaims"},
		{"nor does a scheduler that is down wait for them", absent(func(b *builder) {
			b.in.Fetched = nil
			b.lease("kube-scheduler", time.Hour)
		}), placement.SchedulerNotActing, "the default scheduler has not acted on the pod for 60s: kube-scheduler has not renewed its Lease for 60m", report.Transient, "component=kube-scheduler"},
		{"no such template", absent(template, `PodResourceClaim gpu: resource claim template "nope": resourceclaimtemplate.resource.k8s.io "nope" not found`), placement.ResourceClaimNotFound, `ResourceClaimTemplate "nope" does not exist`, report.LikelyFatal, "get resourceclaimtemplates"},
		{"the claim is refused", absent(template, `PodResourceClaim gpu: create ResourceClaim : resourceclaims.resource.k8s.io is forbidden: exceeded quota: q`), placement.ResourceClaimNotFound, `no ResourceClaim can be created from ResourceClaimTemplate "nope": create ResourceClaim : resourceclaims.resource.k8s.io is forbidden: exceeded quota: q`, report.Transient, "get resourceclaimtemplates"},
		{"no controller creates it", absent(template), placement.ResourceClaimNotFound, `no ResourceClaim was created from ResourceClaimTemplate "nope" for 60s`, report.Transient, "lease kube-controller-manager"},
		{"the driver fails", prepare("NodePrepareResources failed for ResourceClaim api-gpu-1: the device does not answer"), pods.FailedPrepareDynamicResources, "the DRA driver on node w1 cannot prepare ResourceClaim api-gpu-1: the device does not answer", report.Transient, "describe resourceclaim api-gpu-1"},
		{"a claim whose name is none", prepare("NodePrepareResources failed for ResourceClaim --all: the device does not answer"), pods.FailedPrepareDynamicResources, "cannot be prepared on node w1: NodePrepareResources failed for ResourceClaim --all", report.Transient, "nodeinfo w1"},
		{"the driver is gone", prepare("DRA driver " + gpuDriver + " is not registered"), pods.FailedPrepareDynamicResources, "DRA driver " + gpuDriver + " is not registered on node w1", report.Transient, "nodeinfo w1"},
		{"something else", prepare("ResourceClaim api-gpu-1 is being unprepared"), pods.FailedPrepareDynamicResources, "the devices of the pod cannot be prepared on node w1: ResourceClaim api-gpu-1 is being unprepared", report.Transient, "nodeinfo w1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Evaluate(tt.in.in, now, model.Options{}).Items[0]
			if len(got.Findings) == 0 || got.Findings[0].Code != tt.code || !strings.Contains(got.Summary, tt.says) || got.Findings[0].Class != tt.class {
				t.Fatalf("%s: %s %+v", codesOf(report.List{Items: []report.Rollout{got}}), got.Summary, got.Findings)
			}
			if !slices.ContainsFunc(got.Findings[0].Next, func(n finding.Next) bool { return strings.Contains(n.Command, tt.next) }) {
				t.Errorf("no %q: %+v", tt.next, got.Findings[0].Next)
			}
			if slices.ContainsFunc(got.Findings[0].Next, func(n finding.Next) bool {
				return strings.Contains(n.Command, "--all ") || strings.HasSuffix(n.Command, "--all")
			}) {
				t.Errorf("text of an event in a command: %+v", got.Findings[0].Next)
			}
		})
	}
}
