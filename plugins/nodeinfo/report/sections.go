package report

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Health is the node's conditions and its heartbeat.
type Health struct {
	Conditions []Condition `json:"conditions"`
	Heartbeat  *Heartbeat  `json:"heartbeat,omitempty"`
	Kubelet    string      `json:"kubelet,omitempty"` // what the kubelet answered, where it was queried (--kubelet)

	// Certificates are those of the kubelet whose end is known (--kubelet).
	Certificates []Certificate `json:"certificates,omitempty"`
}

// Certificate is one of the kubelet's: "serving", with which others reach it, or "client", with which it reaches the API server.
// Address is where the kubelet presented it; absent: the end is known from its metrics.
type Certificate struct {
	Use        string    `json:"use"`
	NotAfter   time.Time `json:"notAfter"`
	Subject    string    `json:"subject,omitempty"`
	Names      []string  `json:"names,omitempty"`
	SelfSigned *bool     `json:"selfSigned,omitempty"`
	Address    string    `json:"address,omitempty"`
}

// Condition is a condition with its polarity judged: problem says whether this status is a problem, and is absent for a
// condition whose meaning is unknown.
type Condition struct {
	Type    string     `json:"type"`
	Status  string     `json:"status"`
	Problem *bool      `json:"problem,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	Message string     `json:"message,omitempty"`
	Since   *time.Time `json:"since,omitempty"`    // last transition
	Posted  *time.Time `json:"postedAt,omitempty"` // last heartbeat of the condition
}

// Heartbeat is the node's lease. ReceivedAt is the API server's clock at the last renewal; RenewTime the node's own.
type Heartbeat struct {
	State           HeartbeatState `json:"state"`
	ReceivedAt      *time.Time     `json:"receivedAt,omitempty"`
	RenewTime       *time.Time     `json:"renewTime,omitempty"`
	AgeSeconds      *int64         `json:"ageSeconds,omitempty"`
	DurationSeconds *int64         `json:"durationSeconds,omitempty"`
	ClockSkew       *float64       `json:"clockSkewSeconds,omitempty"` // node's clock minus the server's
	ClockOff        bool           `json:"clockOff,omitempty"`         // by more than times in requests explain
	StatusPostedAt  *time.Time     `json:"statusPostedAt,omitempty"`
}

// HeartbeatState is the judgement of a lease.
type HeartbeatState string

// The states of a heartbeat.
const (
	HeartbeatOK      HeartbeatState = "ok"
	HeartbeatLate    HeartbeatState = "late"    // older than the lease's duration
	HeartbeatExpired HeartbeatState = "expired" // older than the node controller's grace period
	HeartbeatNone    HeartbeatState = "none"    // the node has no lease (virtual kubelets, very new nodes)
)

// Components are the programs that make the node work.
type Components struct {
	Kubelet      string      `json:"kubelet"`
	APIServer    string      `json:"apiServer,omitempty"`
	MinorsBehind *int        `json:"minorsBehindServer,omitempty"` // negative: newer than the server
	Runtime      Runtime     `json:"runtime"`
	OS           OS          `json:"os"`
	Proxy        *Proxy      `json:"proxy,omitempty"`
	Network      []Component `json:"network,omitempty"` // CNI plugins; several when chained
	Storage      []Component `json:"storage,omitempty"` // CSI drivers
	DNSCache     []Component `json:"dnsCache,omitempty"`
}

// Runtime is the container runtime.
type Runtime struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
}

// OS is the node's operating system.
type OS struct {
	System  string `json:"system,omitempty"`
	Image   string `json:"image,omitempty"`
	Kernel  string `json:"kernel,omitempty"`
	Arch    string `json:"architecture,omitempty"`
	Cgroups string `json:"cgroups,omitempty"` // "v1" when the kubelet said so; unknown otherwise
}

// Proxy is the node's Service proxy: kube-proxy or what replaces it. Mode is absent when it cannot be known.
type Proxy struct {
	Component
	Mode         string `json:"mode,omitempty"`
	ModeEvidence string `json:"modeEvidence,omitempty"`
}

// Component is a program on the node, by what it was recognized, and its pod there.
type Component struct {
	Name     string `json:"name"`
	Version  string `json:"version,omitempty"`
	Evidence string `json:"evidence"`
	Pod      string `json:"pod,omitempty"` // namespace/name
	Ready    *bool  `json:"ready,omitempty"`
	State    string `json:"state,omitempty"`
	Restarts *int64 `json:"restarts,omitempty"`
}

// Amount is a figure in its unit (millicores for cpu, bytes, or a count) with the canonical quantity beside it.
type Amount struct {
	Value    int64  `json:"value"`
	Quantity string `json:"quantity"`
}

// Resource is one resource of the node. Reserved is capacity minus allocatable; free is allocatable minus requests.
// Usage is measured against capacity, because it includes the system's own; requests and limits against allocatable.
type Resource struct {
	Name            string   `json:"name"`
	Unit            string   `json:"unit"` // millicores, bytes, count
	Capacity        *Amount  `json:"capacity,omitempty"`
	Allocatable     *Amount  `json:"allocatable,omitempty"`
	Reserved        *Amount  `json:"reserved,omitempty"`
	Requests        *Amount  `json:"requests,omitempty"`
	RequestsPercent *float64 `json:"requestsPercent,omitempty"`
	Limits          *Amount  `json:"limits,omitempty"`
	LimitsPercent   *float64 `json:"limitsPercent,omitempty"`
	Usage           *Amount  `json:"usage,omitempty"`
	UsagePercent    *float64 `json:"usagePercent,omitempty"`
	Free            *Amount  `json:"free,omitempty"`
}

// Device is an extended resource of the node, such as GPUs, and the pods that request it. A count that is not known is absent: the
// node lists no such resource, or the pods were not read. What a ResourceClaim serves is not counted.
type Device struct {
	Resource    string      `json:"resource"`
	Capacity    *int64      `json:"capacity,omitempty"`
	Allocatable *int64      `json:"allocatable,omitempty"` // the healthy ones
	Requested   *int64      `json:"requested,omitempty"`
	Pods        []DevicePod `json:"pods,omitempty"`
}

// DevicePod is a pod that requests devices.
type DevicePod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Requested int64  `json:"requested"`
}

// ResourcePool is a pool of devices that a driver publishes for the node (dynamic resource allocation). Pools are read where a pod of the
// node uses a ResourceClaim.
type ResourcePool struct {
	Driver         string            `json:"driver"`
	Pool           string            `json:"pool"`
	Shared         bool              `json:"shared,omitempty"` // a slice of it is for all nodes, or for some
	Generation     int64             `json:"generation"`
	Slices         int64             `json:"slices"` // seen, of the newest generation
	ExpectedSlices int64             `json:"expectedSlices"`
	StaleSlices    int64             `json:"staleSlices,omitempty"` // of older generations
	Devices        int64             `json:"devices"`
	TaintedDevices int64             `json:"taintedDevices,omitempty"`
	Allocated      []AllocatedDevice `json:"allocated,omitempty"` // to pods of the node
}

// AllocatedDevice is a device that pods of the node have by a ResourceClaim.
type AllocatedDevice struct {
	Device      string            `json:"device"`
	Namespace   string            `json:"namespace"` // of the claim and the pods
	Claim       string            `json:"claim"`
	Request     string            `json:"request"`
	AdminAccess bool              `json:"adminAccess,omitempty"` // to watch it
	Published   bool              `json:"published"`
	Pods        []string          `json:"pods"`
	Taints      []string          `json:"taints,omitempty"`
	Conditions  []DeviceCondition `json:"conditions,omitempty"` // by its driver
}

// DeviceCondition is what a driver says of a device.
type DeviceCondition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// Pods are the pods bound to the node. NonTerminated counts all but the finished.
type Pods struct {
	Total         int          `json:"total"`
	NonTerminated int          `json:"nonTerminated"`
	MaxPods       *int64       `json:"maxPods,omitempty"`
	Phases        []PhaseCount `json:"phases"`
	Evicted       int          `json:"evicted,omitempty"`
	Problems      []PodProblem `json:"problems,omitempty"`
	Items         []PodUse     `json:"items,omitempty"`

	Later func() []PodUse `json:"-"` // not nil: gives Items, which a fleet has too many of to be held
}

// PhaseCount counts pods of one phase.
type PhaseCount struct {
	Phase string `json:"phase"`
	Count int    `json:"count"`
}

// PodProblem is a pod with a problem.
type PodProblem struct {
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	Code      finding.Code `json:"code"`
	Reason    string       `json:"reason"`
	Message   string       `json:"message,omitempty"`
	Restarts  int64        `json:"restarts"`
	Since     *time.Time   `json:"since,omitempty"`
}

// PodUse is what one pod requests and its limits, as the scheduler counts them.
type PodUse struct {
	Namespace string             `json:"namespace"`
	Name      string             `json:"name"`
	Phase     string             `json:"phase"`
	Resize    string             `json:"resize,omitempty"` // an in-place resize under way: Deferred, Infeasible, InProgress
	Requests  map[string]*Amount `json:"requests,omitempty"`
	Limits    map[string]*Amount `json:"limits,omitempty"`
}

// Network is the node's addresses and pod addresses.
type Network struct {
	Addresses   []Address `json:"addresses,omitempty"`
	PodCIDRs    []string  `json:"podCIDRs,omitempty"`
	PodIPsUsed  *int64    `json:"podIPsUsed,omitempty"`
	PodIPsTotal *int64    `json:"podIPsTotal,omitempty"` // usable addresses of the first CIDR; absent if pods have addresses of another range
	Unavailable *bool     `json:"unavailable,omitempty"` // the NetworkUnavailable condition
}

// Address is one of the node's addresses.
type Address struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

// Storage is the volumes attached, their limits, and the node's filesystems.
type Storage struct {
	Drivers     []Driver     `json:"drivers,omitempty"`
	Attached    *int         `json:"attached,omitempty"`
	Filesystems []Filesystem `json:"filesystems,omitempty"` // from the kubelet itself (--kubelet)
	DiskUsers   []DiskUser   `json:"diskUsers,omitempty"`   // likewise: the pods that use most of the disk, the largest first
}

// DiskUser is what a pod has on the disk: the writable layers and logs of its containers, and its emptyDirs.
type DiskUser struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Used      int64  `json:"usedBytes"`
}

// Driver is a CSI driver registered on the node.
type Driver struct {
	Name     string `json:"name"`
	Limit    *int64 `json:"limit,omitempty"` // absent: the driver states none
	Attached *int64 `json:"attached,omitempty"`
}

// Filesystem is a filesystem that the kubelet watches.
type Filesystem struct {
	Name       string `json:"name"` // root, image, container
	Capacity   *int64 `json:"capacityBytes,omitempty"`
	Used       *int64 `json:"usedBytes,omitempty"`
	Available  *int64 `json:"availableBytes,omitempty"`
	Inodes     *int64 `json:"inodes,omitempty"`
	InodesFree *int64 `json:"inodesFree,omitempty"`
}

// ControlPlane is the control plane components on the node, and the leaders of those that elect one.
type ControlPlane struct {
	StaticPods []Component `json:"staticPods,omitempty"` // static pods on this node
	Leases     []Leader    `json:"leases,omitempty"`
	APIServers []APIServer `json:"apiServers,omitempty"`   // that renew their Leases
	Readyz     string      `json:"readyz,omitempty"`       // ok, or the failed checks
	Failed     []string    `json:"failedChecks,omitempty"` // of readyz
}

// Leader is a leader-election lease.
type Leader struct {
	Name       string     `json:"name"`
	Holder     string     `json:"holder,omitempty"`
	OnThisNode bool       `json:"onThisNode"` // the holder runs on this node
	RenewTime  *time.Time `json:"renewTime,omitempty"`
	AgeSeconds *int64     `json:"ageSeconds,omitempty"`
	Expired    bool       `json:"expired"`

	// ElectionOff says that the lease has expired because the component works without one (--leader-elect=false).
	ElectionOff bool `json:"electionOff,omitempty"`

	// Version is the holder's, by its pod on this node; absent: unknown.
	Version string `json:"version,omitempty"`
}

// APIServer is an API server by its identity Lease, which names the host and no version. Version is by the image of its static pod;
// absent: no such pod was read, or its tag is no version.
type APIServer struct {
	Host       string `json:"host"`
	OnThisNode bool   `json:"onThisNode"`
	AgeSeconds int64  `json:"ageSeconds"` // of the last renewal
	Version    string `json:"version,omitempty"`
}

// Scheduling says what keeps pods off the node.
type Scheduling struct {
	Cordoned      bool       `json:"cordoned"`
	CordonedSince *time.Time `json:"cordonedSince,omitempty"`
	CordonedBy    string     `json:"cordonedBy,omitempty"` // the field manager: a program, not a person
	Taints        []Taint    `json:"taints,omitempty"`
	Full          []string   `json:"full,omitempty"` // resources of which nearly all, or more, is requested: cpu, memory
}

// Taint is a taint and what it means.
type Taint struct {
	Key     string     `json:"key"`
	Value   string     `json:"value,omitempty"`
	Effect  string     `json:"effect"`
	Since   *time.Time `json:"since,omitempty"`
	Meaning string     `json:"meaning,omitempty"` // absent: a taint that Kubernetes does not define
}

// Events are the events of the node, grouped by reason, newest first.
type Events struct {
	Items []Event `json:"items"`
}

// Event is all events of one reason.
type Event struct {
	Type     string    `json:"type"`
	Reason   string    `json:"reason"`
	Count    int64     `json:"count"`
	Last     time.Time `json:"last"`
	From     string    `json:"from,omitempty"`
	Message  string    `json:"message"`
	Harmless bool      `json:"harmless,omitempty"` // known to come with every start of a kubelet
}

// Lifecycle is the origin of the node, its reboots, and its removal.
type Lifecycle struct {
	ProviderID   string      `json:"providerID,omitempty"`
	Zone         string      `json:"zone,omitempty"`
	InstanceType string      `json:"instanceType,omitempty"`
	BootID       string      `json:"bootID,omitempty"`
	Reboots      []time.Time `json:"reboots,omitempty"`    // by the kubelet's Rebooted events
	NotReady     []time.Time `json:"notReadyAt,omitempty"` // by the node controller's NodeNotReady events

	// NotReadyCount is how often the node changed to NotReady within the last hour, as far as events tell; NotReadySince is the
	// first of those.
	NotReadyCount *int64     `json:"notReadyCount,omitempty"`
	NotReadySince *time.Time `json:"notReadySince,omitempty"`

	Removal      string     `json:"removal,omitempty"` // what is about to remove the node
	RemovalSince *time.Time `json:"removalSince,omitempty"`
}
