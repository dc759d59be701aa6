package pod

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The kubelet's back-off between two starts of a container: it doubles from the first to the most, and is forgotten once
// the container has run for as long as the memory.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts
const (
	BackOffFirst  = 10 * time.Second
	BackOffMost   = 5 * time.Minute
	BackOffMemory = 10 * time.Minute
)

// Not upstream's, which knows a loop by its own back-off alone.
const (
	// recoveredAfter is how long a container has to be up at least to be out of a loop.
	recoveredAfter = 30 * time.Second
	// oftenWithin: ends further apart than the back-off's memory, yet less than this on the average of the pod's life, are
	// one trouble and no series of accidents. It is how long an API server keeps events by default (--event-ttl).
	oftenWithin = time.Hour
)

// End gives the end of a container that counts: the present one, else the last. Nil: it has never ended.
func End(s *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if s.State.Terminated != nil {
		return s.State.Terminated
	}
	return s.LastTerminationState.Terminated
}

// Ran is how long a container ran that has ended. A start that fails is dated to 1970 by the runtimes: no time at all.
func Ran(end *corev1.ContainerStateTerminated) time.Duration {
	if end.StartedAt.Unix() <= 0 {
		return 0
	}
	return max(0, end.FinishedAt.Sub(end.StartedAt.Time))
}

// StartsAgain says whether the kubelet starts a container again that ended with the code: by the container's own rules and
// policy, then by the pod's. An init container that is no sidecar is done once it has succeeded.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/api/v1/pod/util.go (ContainerShouldRestart)
// https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#detailed-behavior
func StartsAgain(p *corev1.Pod, container string, code int32) bool {
	policy := p.Spec.RestartPolicy
	for i, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		if c.Name != container {
			continue
		}
		if i < len(p.Spec.InitContainers) && policy != corev1.RestartPolicyNever {
			policy = corev1.RestartPolicyOnFailure
		}
		if c.RestartPolicy != nil {
			policy = corev1.RestartPolicy(*c.RestartPolicy)
			if slices.ContainsFunc(c.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool { return matches(r, code) }) {
				return true
			}
		}
		break
	}
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

// matches reads a rule: each known action starts the container again.
func matches(r corev1.ContainerRestartRule, code int32) bool {
	if r.ExitCodes == nil {
		return false
	}
	listed := slices.Contains(r.ExitCodes.Values, code)
	return listed && r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn ||
		!listed && r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpNotIn
}

// Looping says whether a container falls again and again. The kubelet's word for it is not enough: a container that ends
// at once shows as terminated through a whole back-off, and as running in each short run between two; so its restarts and
// its last end count. One restart is none yet, and a run that outlasts the back-off's memory ends the loop before it.
func Looping(p *corev1.Pod, s *corev1.ContainerStatus, now time.Time) bool {
	if Waiting(s) == BackOff {
		return true
	}
	end := End(s)
	if end == nil || s.RestartCount < 2 || now.Sub(end.FinishedAt.Time) > BackOffMemory {
		return false
	}
	if s.State.Terminated != nil && !StartsAgain(p, s.Name, end.ExitCode) || Recovered(s, now) {
		return false
	}
	life := now.Sub(started(p))
	often := s.RestartCount > 2 && life/time.Duration(s.RestartCount) < oftenWithin
	return often || Ran(end) < BackOffMemory
}

func started(p *corev1.Pod) time.Time {
	if p.Status.StartTime != nil {
		return p.Status.StartTime.Time
	}
	return p.CreationTimestamp.Time
}

// BackOffAt is how long the kubelet waits after the nth end in a row: 10 s, 20 s, … up to 5 min.
func BackOffAt(n int32) time.Duration {
	wait := BackOffFirst
	for i := int32(1); i < n && wait < BackOffMost; i++ {
		wait *= 2
	}
	return min(wait, BackOffMost)
}

// Recovered says whether a container that ended before runs longer now than it would in a loop: than three of its last
// runs, and than the wait before this one. One that has fallen often has to prove more. The first restart is without a
// wait, so that the nth comes after the wait of the end before.
func Recovered(s *corev1.ContainerStatus, now time.Time) bool {
	last := s.LastTerminationState.Terminated
	if s.State.Running == nil || last == nil {
		return false
	}
	up := now.Sub(s.State.Running.StartedAt.Time)
	return up > BackOffMemory || up > max(recoveredAfter, 3*Ran(last), BackOffAt(s.RestartCount-1))
}

// NextStart estimates when a container is started again; false: no back-off is known. The kubelet names the wait:
// "back-off 40s restarting failed container=api pod=…".
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kuberuntime/kuberuntime_manager.go (doBackOff)
func NextStart(s *corev1.ContainerStatus) (time.Time, bool) {
	end := End(s)
	if Waiting(s) != BackOff || end == nil {
		return time.Time{}, false
	}
	wait := BackOffFirst
	if _, after, ok := strings.Cut(s.State.Waiting.Message, "back-off "); ok {
		word, _, _ := strings.Cut(after, " ")
		if d, err := time.ParseDuration(word); err == nil {
			wait = d
		}
	}
	return end.FinishedAt.Add(wait), true
}
