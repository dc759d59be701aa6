package device

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Versions are those of resource.k8s.io in which slices and claims have the fields that are judged, the newest first.
var Versions = []string{"v1", "v1beta2", "v1beta1"}

// Slice is what is judged of a ResourceSlice: in resource.k8s.io/v1 and v1beta2, and in v1beta1, which has the taints under "basic".
// Attributes and capacities are not kept.
// https://github.com/kubernetes/kubernetes/blob/v1.36.0/staging/src/k8s.io/api/resource/v1/types.go
type Slice struct {
	Metadata ObjectMeta `json:"metadata"`
	Spec     struct {
		Driver   string `json:"driver"`
		NodeName string `json:"nodeName,omitempty"` // empty: for all nodes, or for some
		AllNodes bool   `json:"allNodes,omitempty"`
		Pool     struct {
			Name       string `json:"name"`
			Generation int64  `json:"generation"`
			Count      int64  `json:"resourceSliceCount"`
		} `json:"pool"`
		Devices []Published `json:"devices,omitempty"`
	} `json:"spec"`
}

// ObjectMeta is what is kept of the metadata of an object.
type ObjectMeta struct {
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid,omitempty"`
}

// Published is a device of a slice.
type Published struct {
	Name   string  `json:"name"`
	Taints []Taint `json:"taints,omitempty"`
	Basic  *struct {
		Taints []Taint `json:"taints,omitempty"`
	} `json:"basic,omitempty"`
}

// Taint is a taint of a device.
type Taint struct {
	Key       string     `json:"key"`
	Value     string     `json:"value,omitempty"`
	Effect    string     `json:"effect"`
	TimeAdded *time.Time `json:"timeAdded,omitempty"`
}

// The effects that keep pods from a device: new ones, and those that use it. Others are to be treated as none.
const (
	NoSchedule = "NoSchedule"
	NoExecute  = "NoExecute"
)

// String is the taint as kubectl prints one of a node.
func (t Taint) String() string {
	if t.Value == "" {
		return t.Key + ":" + t.Effect
	}
	return t.Key + "=" + t.Value + ":" + t.Effect
}

// Claim is what is judged of a ResourceClaim.
type Claim struct {
	Metadata ObjectMeta `json:"metadata"`
	Spec     struct {
		Devices struct {
			Requests []Request `json:"requests,omitempty"`
		} `json:"devices,omitzero"`
	} `json:"spec,omitzero"`
	Status struct {
		Allocation *struct {
			Devices struct {
				Results []Result `json:"results,omitempty"`
			} `json:"devices"`
		} `json:"allocation,omitempty"`
		ReservedFor []Consumer     `json:"reservedFor,omitempty"`
		Devices     []DeviceStatus `json:"devices,omitempty"`
	} `json:"status"`
}

// Request is what is judged of a request of a claim: in v1 and v1beta2 what it names is one of two, in v1beta1 its first one has no name.
type Request struct {
	Class          string      `json:"deviceClassName,omitempty"`
	Exactly        Requested   `json:"exactly,omitzero"`
	FirstAvailable []Requested `json:"firstAvailable,omitempty"`
}

// Requested is a DeviceClass of which devices are requested.
type Requested struct {
	Class string `json:"deviceClassName"`
}

// Classes are the DeviceClasses of which a claim requests devices, by name.
func (c *Claim) Classes() []string {
	var list []string
	for _, r := range c.Spec.Devices.Requests {
		for _, o := range append([]Requested{{r.Class}, r.Exactly}, r.FirstAvailable...) {
			if o.Class != "" {
				list = append(list, o.Class)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Drivers are those of the devices that a claim has, by name.
func (c *Claim) Drivers() []string {
	var list []string
	if c.Status.Allocation != nil {
		for _, r := range c.Status.Allocation.Devices.Results {
			list = append(list, r.Driver)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Result is a device that a claim has.
type Result struct {
	Request     string       `json:"request"`
	Driver      string       `json:"driver"`
	Pool        string       `json:"pool"`
	Device      string       `json:"device"`
	AdminAccess bool         `json:"adminAccess,omitempty"` // it watches the device, and takes nothing of it
	Tolerations []Toleration `json:"tolerations,omitempty"`
}

// Toleration is of a taint of a device.
type Toleration struct {
	Key      string `json:"key,omitempty"`
	Operator string `json:"operator,omitempty"`
	Value    string `json:"value,omitempty"`
	Effect   string `json:"effect,omitempty"`
}

// Tolerates goes by ToleratesTaint of
// https://github.com/kubernetes/kubernetes/blob/v1.36.0/staging/src/k8s.io/dynamic-resource-allocation/resourceclaim/devicetoleration.go.
func (t Toleration) Tolerates(taint Taint) bool {
	switch {
	case t.Effect != "" && t.Effect != taint.Effect, t.Key != "" && t.Key != taint.Key:
		return false
	case t.Operator == "Exists":
		return true
	}
	return (t.Operator == "" || t.Operator == "Equal") && t.Value == taint.Value
}

// Consumer is for whom a claim is reserved.
type Consumer struct {
	APIGroup string    `json:"apiGroup,omitempty"`
	Resource string    `json:"resource"`
	Name     string    `json:"name"`
	UID      types.UID `json:"uid"`
}

// DeviceStatus is what a driver says of a device of a claim.
type DeviceStatus struct {
	Driver     string             `json:"driver"`
	Pool       string             `json:"pool"`
	Device     string             `json:"device"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
