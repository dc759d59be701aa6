package event

import (
	"slices"
	"time"
)

// Repeat is within which time the reporter of a trouble that lasts says it again. The kubelet backs off to 5 minutes at
// most (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts), the scheduler tries a pod
// again after 5 (https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/backend/queue/scheduling_queue.go,
// DefaultPodMaxInUnschedulablePodsDuration), volumes are tried every 2 minutes and 3 seconds. Twice the longest of them.
const Repeat = 10 * time.Minute

// Current says whether what a Warning event told may still be so: it was seen within Repeat, and after what it is about
// was last seen to be well (zero: never, or unknown).
func (e *Event) Current(wellSince, now time.Time) bool {
	return e.Warning() && now.Sub(e.Last) <= Repeat && e.Last.After(wellSince)
}

// RetryMost is the longest that a controller waits before it tries to create a pod again: the rate limiters of its queue double the
// wait to this. https://github.com/kubernetes/client-go/blob/v0.37.2/util/workqueue/default_rate_limiters.go
const RetryMost = 1000 * time.Second

// Due says when a controller that could not create something has tried again at the latest: its waits double, so that the next one
// is about as long as all before it.
func (e *Event) Due() time.Time {
	const slack = 10 * time.Second
	return e.Last.Add(min(e.Last.Sub(e.First), RetryMost) + slack)
}

// harmless are reasons of Warning events that speak against nothing by themselves, each with why.
var harmless = map[string]string{ //nolint:gosec // reasons of events
	"InvalidDiskCapacity":               "every kubelet sends it at its start (https://github.com/kubernetes/kubernetes/issues/109241)",
	"PossibleMemoryBackedVolumesOnDisk": "every start of a kubelet brings it on a node with swap",
	"CheckLimitsForResolvConf":          "more entries than a resolver reads; names of a pod that fail of that are judged by its own file",
	"DNSConfigForming":                  "cut to what a resolver reads; names of a pod that fail of that are judged by its own file",
	"CIDRAssignmentFailed":              "it is tried again; a node that keeps no range has no network, and its Ready condition says so",
	"CIDRNotAvailable":                  "it is tried again; a node that keeps no range has no network, and its Ready condition says so",
	"CgroupV1":                          "a notice for later versions",
	"IPVSDeprecation":                   "a notice for later versions",
	"FailedToRetrieveImagePullSecret":   "the image may need no secret; one that does is not pulled, and the container's state says so",
	"Unhealthy":                         "below the failure threshold it is nothing; at it the pod is not ready or its container restarts",
	"ProbeWarning":                      "the probe succeeded",
	"ProbeError":                        "as Unhealthy: the threshold counts it",
	"ResizeDeferred":                    "the pod runs on with the resources it has",
	"ResizeInfeasible":                  "the pod runs on with the resources it has",
	"FailedToUpdateEndpoint":            "a conflicting write is tried again; what is published is compared with the pods",
	"FailedToUpdateEndpointSlices":      "a conflicting write is tried again; what is published is compared with the pods",
}

// Harmless says why a Warning event of this reason speaks against nothing by itself; false: it may.
func Harmless(reason string) (why string, ok bool) {
	why, ok = harmless[reason]
	return why, ok
}

// HarmlessReasons lists the reasons of Harmless, sorted.
func HarmlessReasons() []string {
	list := make([]string, 0, len(harmless))
	for reason := range harmless {
		list = append(list, reason)
	}
	slices.Sort(list)
	return list
}
