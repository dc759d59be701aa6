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

// Ends is how often a container has ended: once before each restart, and now, if it does not run.
func Ends(s *corev1.ContainerStatus) int32 {
	if s.State.Running != nil {
		return s.RestartCount
	}
	return s.RestartCount + 1
}

// Ran is how long a container ran that has ended. A start that fails is dated to 1970 by the runtimes: no time at all.
func Ran(end *corev1.ContainerStateTerminated) time.Duration {
	if end.StartedAt.Unix() <= 0 {
		return 0
	}
	return max(0, end.FinishedAt.Sub(end.StartedAt.Time))
}

// briefRun is shorter than it takes a person to paste a command: a container that ends so soon has ended once more by then.
const briefRun = 15 * time.Second

// PreviousLog says whether kubectl logs needs --previous to show how a container last ended. Without it the kubelet gives the log of
// the last run while the container waits (kuberuntime's status has no other), and while it has ended; with it, what lastState names,
// which is already removed for up to a minute and a half after the next end (one dead container of each is kept).
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kubelet_pods.go (validateContainerLogStatus)
// https://kubernetes.io/docs/concepts/architecture/garbage-collection/#container-image-garbage-collection (MaxPerPodContainer)
func PreviousLog(p *corev1.Pod, container string) bool {
	for _, s := range Containers(p) {
		if s.Name == container && s.State.Running != nil && s.LastTerminationState.Terminated != nil {
			return Ran(s.LastTerminationState.Terminated) >= briefRun
		}
	}
	return false
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
// its last end count. One restart is none yet; nor are two ends that are further apart than the longest back-off, unless it ends
// often.
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
	return often || Ran(end) < BackOffMost
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

// FirstEnd is when a container's failing began, as well as one status tells: the ends before the last are reckoned back by
// its run and the back-off. A run that outlasts the back-off's memory came after whatever had been before. Ends is how often
// it has ended.
func FirstEnd(p *corev1.Pod, end *corev1.ContainerStateTerminated, ends int32) time.Time {
	first, known := reckonedBack(end, ends)
	if start := p.Status.StartTime; start != nil && known && first.Before(start.Time) {
		return start.Time
	}
	return first
}

// reckonedBack is FirstEnd without a look at the pod; false: the last run tells nothing of those before. Each end is taken to
// have had its wait. The first had none, which makes up for what the kubelet takes beyond each wait.
func reckonedBack(end *corev1.ContainerStateTerminated, ends int32) (first time.Time, known bool) {
	ran, first := Ran(end), end.FinishedAt.Time
	if ran > BackOffMemory {
		return first, false
	}
	for i := int32(1); i < ends; i++ {
		first = first.Add(-ran - BackOffAt(i))
	}
	return first, ends > 1
}

// FailedFromStart says whether a container of a pod has fallen again and again ever since the pod started. Without a
// readiness probe such a pod is ready for a moment after each restart, which proves nothing. The reckoning may be wrong by its
// last wait, and by one check of the kubelet (10 s) for each restart; where the pod's life differs from it by more, the runs
// before were other than the last, and nothing is known.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kubelet.go (backOffPeriod)
func FailedFromStart(p *corev1.Pod) bool {
	start := started(p)
	return slices.ContainsFunc(Containers(p), func(s corev1.ContainerStatus) bool {
		end, ends := End(&s), Ends(&s)
		if end == nil || end.ExitCode == 0 {
			return false
		}
		first, known := reckonedBack(end, ends)
		late := first.Sub(start)
		return known && late >= -BackOffAt(ends-1)-BackOffFirst && late <= Ran(end)+time.Duration(ends)*10*time.Second
	})
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
