package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Moments of loops, and of containers that fell and run on.
func TestALoopIsOneBetweenItsBackOffsToo(t *testing.T) {
	const short = time.Second
	for _, tt := range []struct {
		name     string
		restarts int32
		state    corev1.ContainerState
		last     corev1.ContainerState
		age      time.Duration // of the pod
		want     bool
	}{
		{"has never ended", 0, runs(time.Hour), corev1.ContainerState{}, time.Hour, false},
		{"ended once", 0, ended(1, short, short), corev1.ContainerState{}, time.Minute, false},
		{"waits for its second start", 1, waits(CrashLoopBackOff), ended(1, short, short), time.Minute, true},
		{"runs for the second time", 1, runs(short), ended(1, short, short), time.Minute, false},
		{"ended again, and the back-off does not show", 2, ended(1, short, short), ended(1, time.Minute, short), time.Minute, true},
		{"runs between two ends", 2, runs(15 * time.Second), ended(1, 15*time.Second, short), time.Minute, true},
		{"runs on after two short runs", 2, runs(40 * time.Second), ended(1, 40*time.Second, short), time.Minute, false},
		{"runs on, and has fallen five times", 5, runs(40 * time.Second), ended(1, 40*time.Second, short), 5 * time.Minute, true},
		{"runs on for longer than it was kept waiting", 5, runs(3 * time.Minute), ended(1, 3*time.Minute, short), 10 * time.Minute, false},
		{"runs for twice its last run", 4, runs(4 * time.Minute), ended(1, 4*time.Minute, 2*time.Minute), time.Hour, true},
		{"runs for longer than three of them", 4, runs(7 * time.Minute), ended(1, 7*time.Minute, 2*time.Minute), time.Hour, false},
		{"fell twice, four minutes apart", 2, runs(time.Minute), ended(137, time.Minute, 4*time.Minute), 10 * time.Minute, true},
		{"fell twice, six minutes apart", 2, runs(time.Minute), ended(137, time.Minute, 6*time.Minute), 10 * time.Minute, false},
		{"fell three times, the last after six minutes", 3, runs(time.Minute), ended(137, time.Minute, 6*time.Minute), 20 * time.Minute, true},
		{"the last end is out of the back-off's memory", 9, runs(11 * time.Minute), ended(1, 11*time.Minute, 9*time.Minute), time.Hour, false},
		{"down after a long run", 2, ended(1, short, 3*time.Hour), ended(1, 4*time.Hour, short), 5 * time.Hour, false},
		{"and up again", 2, runs(short), ended(1, 2*short, 3*time.Hour), 5 * time.Hour, false},
		{"falls every quarter of an hour", 20, runs(time.Minute), ended(137, time.Minute, 15*time.Minute), 5 * time.Hour, true},
		{"down, every quarter of an hour", 20, ended(137, short, 15*time.Minute), corev1.ContainerState{}, 5 * time.Hour, true},
		{"fell the third time in a year", 3, runs(time.Minute), ended(1, time.Minute, 30*24*time.Hour), 365 * 24 * time.Hour, false},
		{"three starts that the runtime refused, dated to 1970", 3, because(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 128, FinishedAt: ago(short),
		}}, StartError), corev1.ContainerState{}, 365 * 24 * time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
			p.CreationTimestamp = ago(tt.age)
			s := &corev1.ContainerStatus{Name: "app", RestartCount: tt.restarts, State: tt.state, LastTerminationState: tt.last}
			if got := Looping(p, s, now); got != tt.want {
				t.Errorf("got %t", got)
			}
			start := ago(tt.age)
			p.Status.StartTime, p.CreationTimestamp = &start, ago(10*365*24*time.Hour)
			if got := Looping(p, s, now); got != tt.want {
				t.Errorf("by the pod's start: got %t", got)
			}
		})
	}
}

func TestWhatIsStartedAgain(t *testing.T) {
	policy := func(p corev1.ContainerRestartPolicy) *corev1.ContainerRestartPolicy { return &p }
	rule := func(operator corev1.ContainerRestartRuleOnExitCodesOperator, codes ...int32) []corev1.ContainerRestartRule {
		return []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart, ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: operator, Values: codes}}}
	}
	for _, tt := range []struct {
		name      string
		pod       corev1.RestartPolicy
		init      bool
		container corev1.Container
		well, ill bool // after exit 0, after exit 3
	}{
		{"by default", "", false, corev1.Container{}, true, true},
		{"Always", corev1.RestartPolicyAlways, false, corev1.Container{}, true, true},
		{"OnFailure", corev1.RestartPolicyOnFailure, false, corev1.Container{}, false, true},
		{"Never", corev1.RestartPolicyNever, false, corev1.Container{}, false, false},
		{"an init container", corev1.RestartPolicyAlways, true, corev1.Container{}, false, true},
		{"an init container of a pod that is never restarted", corev1.RestartPolicyNever, true, corev1.Container{}, false, false},
		{"a sidecar", corev1.RestartPolicyNever, true, corev1.Container{RestartPolicy: policy(corev1.ContainerRestartPolicyAlways)}, true, true},
		{"a policy of its own", corev1.RestartPolicyAlways, false, corev1.Container{RestartPolicy: policy(corev1.ContainerRestartPolicyOnFailure)}, false, true},
		{"a code of its own", corev1.RestartPolicyAlways, false, corev1.Container{
			RestartPolicy: policy(corev1.ContainerRestartPolicyNever), RestartPolicyRules: rule(corev1.ContainerRestartRuleOnExitCodesOpIn, 3, 4),
		}, false, true},
		{"every other code", corev1.RestartPolicyAlways, false, corev1.Container{
			RestartPolicy: policy(corev1.ContainerRestartPolicyNever), RestartPolicyRules: rule(corev1.ContainerRestartRuleOnExitCodesOpNotIn, 3),
		}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.container.Name = "c"
			p := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: tt.pod, Containers: []corev1.Container{{Name: "other"}, tt.container}}}
			if tt.init {
				p.Spec.InitContainers, p.Spec.Containers = p.Spec.Containers, nil
			}
			if well, ill := StartsAgain(p, "c", 0), StartsAgain(p, "c", 3); well != tt.well || ill != tt.ill {
				t.Errorf("after exit 0 %t, after exit 3 %t", well, ill)
			}
			s := &corev1.ContainerStatus{Name: "c", RestartCount: 2, State: ended(0, time.Second, time.Second)}
			if got := Looping(p, s, now); got != tt.well {
				t.Errorf("two restarts and a good end: looping %t", got)
			}
		})
	}
}

func TestTheBackOffDoublesToFiveMinutes(t *testing.T) {
	for n, seconds := range map[int32]int{0: 10, 1: 10, 2: 20, 3: 40, 4: 80, 5: 160, 6: 300, 7: 300, 1 << 30: 300} {
		if got := BackOffAt(n); got != time.Duration(seconds)*time.Second {
			t.Errorf("%d: %s", n, got)
		}
	}
	s := &corev1.ContainerStatus{State: waits(CrashLoopBackOff), LastTerminationState: ended(1, 30*time.Second, time.Second)}
	for message, want := range map[string]time.Duration{"": 10 * time.Second, "back-off 1m20s restarting failed container=api pod=api_shop": 80 * time.Second, "back-off": 10 * time.Second} {
		s.State.Waiting.Message = message
		if at, ok := NextStart(s); !ok || !at.Equal(now.Add(want-30*time.Second)) {
			t.Errorf("%q: %v %t", message, at, ok)
		}
	}
	s.State = runs(0)
	if _, ok := NextStart(s); ok {
		t.Error("one that runs waits for no start")
	}
}

// Pods that have never worked, and pods that fell after they had.
func TestWhatHasFailedFromTheStart(t *testing.T) {
	const short = time.Second
	for _, tt := range []struct {
		name     string
		restarts int32
		state    corev1.ContainerState
		last     corev1.ContainerState
		age      time.Duration // of the pod
		want     bool
	}{
		{"never ended", 0, runs(time.Minute), corev1.ContainerState{}, time.Minute, false},
		{"ended once", 0, ended(1, short, short), corev1.ContainerState{}, 2 * short, false}, // one fall may be a dependency
		{"four falls in its 35 seconds", 3, ended(1, short, 0), corev1.ContainerState{}, 35 * time.Second, true},
		{"the same in the back-off", 3, waits(CrashLoopBackOff), ended(1, 10*time.Second, 0), 45 * time.Second, true},
		{"runs between two falls", 3, runs(short), ended(1, 20*time.Second, 0), 40 * time.Second, true},
		{"ten falls in half an hour", 9, waits(CrashLoopBackOff), ended(1, time.Minute, 5*time.Second), 23 * time.Minute, true},
		{"four falls after an hour of work", 3, waits(CrashLoopBackOff), ended(1, 10*time.Second, 0), time.Hour, false},
		{"a last run of a quarter of an hour", 3, waits(CrashLoopBackOff), ended(1, 10*time.Second, 15*time.Minute), time.Hour, false},
		{"a last run that does not fit four times into its life", 3, waits(CrashLoopBackOff), ended(1, 10*time.Second, time.Minute), 2 * time.Minute, false},
		{"a container that is done", 3, waits(CrashLoopBackOff), ended(0, 10*time.Second, 0), 45 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}}}
			start := ago(tt.age)
			p.Status.StartTime = &start
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", RestartCount: tt.restarts, State: tt.state, LastTerminationState: tt.last}}
			if got := FailedFromStart(p); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// The log of an end is that of the run before only while a container runs, and for as long as it will.
func TestTheLogOfTheLastEndIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state corev1.ContainerState
		last  corev1.ContainerState
		want  bool
	}{
		{"runs for the first time", runs(time.Minute), corev1.ContainerState{}, false},
		{"runs again after a minute", runs(time.Second), ended(1, time.Second, time.Minute), true},
		{"runs again, for a moment", runs(time.Second), ended(1, time.Second, time.Second), false},
		{"waits", waits(CrashLoopBackOff), ended(1, time.Second, time.Minute), false},
		{"has ended, and what lastState names is removed", ended(1, time.Second, time.Minute), ended(1, 3*time.Minute, time.Minute), false},
	} {
		p := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", RestartCount: 2, State: tt.state, LastTerminationState: tt.last}}}}
		if got := PreviousLog(p, "app"); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
