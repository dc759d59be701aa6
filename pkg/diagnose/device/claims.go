package device

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

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
	Status   struct {
		Allocation *struct {
			Devices struct {
				Results []Result `json:"results,omitempty"`
			} `json:"devices"`
		} `json:"allocation,omitempty"`
		ReservedFor []Consumer     `json:"reservedFor,omitempty"`
		Devices     []DeviceStatus `json:"devices,omitempty"`
	} `json:"status"`
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
