package evaluate

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/config"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// sidecar gives the new pod a native sidecar "first" in a state, beside a container that is not ready.
func sidecar(s corev1.ContainerStatus) func(b *builder) {
	return func(b *builder) {
		initContainer(b, s, true)
		b.x().Spec.InitContainers[0].LivenessProbe = probe(1, 2)
		b.status(notReadyYet(50 * time.Second))
	}
}

// An init container and a sidecar are told as what they are, in words, paths and commands: kubectl prints nothing for a
// container that is looked for in the wrong list.
func TestInitContainersAreCalledAndFoundAsSuch(t *testing.T) {
	first := func(s corev1.ContainerStatus) func(b *builder) {
		return func(b *builder) { initContainer(b, s, false) }
	}
	noStart := waiting("RunContainerError", `failed to create containerd task: OCI runtime create failed: unable to start container process: exec: "/nope": no such file`)
	for _, tt := range []struct {
		name   string
		change func(b *builder)
		code   finding.Code
		says   []string // of the whole finding
	}{
		{"a program that is not there", first(noStart), pods.ContainerStartError, []string{`init container "first" cannot be started`, "status.initContainerStatuses[first]", `jsonpath={.spec.initContainers[?(@.name=="first")]`}},
		{"a program of a sidecar", sidecar(noStart), pods.ContainerStartError, []string{`sidecar "first" cannot be started`, ".spec.initContainers["}},
		{"a Secret that is not there", first(waiting("CreateContainerConfigError", `secret "creds" not found`)), config.SecretNotFound, []string{`init container "first" cannot start`, "status.initContainerStatuses[first]"}},
		{"an image that is not there", first(waiting("ErrImageNeverPull", "not present")), pods.ErrImageNeverPull, []string{`of init container "first"`, "status.initContainerStatuses[first]"}},
		{"too much memory", first(crashed(137, 4, "OOMKilled")), pods.OOMKilled, []string{`init container "first" was OOM killed`, "spec.initContainers[first].resources"}},
		{"a sidecar that crashes", sidecar(crashed(3, 4, "Error")), pods.ContainerCrashing, []string{`sidecar "first" crashes`, "status.initContainerStatuses[first].state.terminated"}},
		{"a sidecar that is not ready", func(b *builder) {
			sidecar(notReadyYet(40 * time.Second))(b)
			b.status(running(40 * time.Second))
			b.x().Spec.InitContainers[0].ReadinessProbe = probe(1, 2)
		}, pods.ReadinessProbeFailing, []string{`sidecar "first" has been running`, "spec.initContainers[first].readinessProbe"}},
		{"a sidecar that has not started", func(b *builder) {
			sidecar(notReadyYet(20 * time.Second))(b)
			b.x().Status.InitContainerStatuses[0].Started = plain.Ptr(false)
		}, pods.SidecarNotStarted, []string{`sidecar "first", for which all later`, "status.initContainerStatuses[first].started"}},
		{"a container beside", func(b *builder) { b.status(noStart) }, pods.ContainerStartError, []string{`container "api" cannot be started`, "status.containerStatuses[api]", `.spec.containers[?(@.name=="api")]`}},
	} {
		b := with(tt.change)()
		list := Evaluate(b.in, now, model.Options{})
		f := findingOf(list, tt.code)
		if f == nil {
			t.Errorf("%s: no %s: %s", tt.name, tt.code, codesOf(list))
			continue
		}
		text := f.Message
		for _, e := range f.Evidence {
			text += "\n" + e.Path
		}
		for _, n := range f.Next {
			text += "\n" + n.Command
		}
		for _, word := range tt.says {
			if !strings.Contains(text, word) {
				t.Errorf("%s: does not say %q:\n%s", tt.name, word, text)
			}
		}
	}
}

// The kubelet calls a sidecar an init container when it kills it.
func TestAProbeKillOfASidecarIsNoCrash(t *testing.T) {
	kill := func(message string) *report.Finding {
		b := with(sidecar(crashed(137, 4, "Error")))()
		b.podEvent("Killing", message, 4)
		b.podEvent("Unhealthy", "Liveness probe failed: of another container", 4)
		b.podEvent("Unhealthy", "Liveness probe failed: not alive", 4)
		b.in.Events[1].InvolvedObject.FieldPath = "spec.containers{api}"
		b.in.Events[2].InvolvedObject.FieldPath = "spec.initContainers{first}"
		b.in.Events[2].LastTimestamp = ago(9 * time.Second)
		return findingOf(Evaluate(b.in, now, model.Options{}), pods.LivenessProbeFailed)
	}
	f := kill("Init container first failed liveness probe")
	if f == nil {
		t.Fatal("a liveness kill of a sidecar is taken for a crash")
	}
	if !strings.Contains(f.Message, `the kubelet kills sidecar "first"`) || !strings.Contains(f.Message, "not alive") || f.Evidence[0].Path != "spec.initContainers[first].livenessProbe" {
		t.Errorf("%s\n%+v", f.Message, f.Evidence)
	}
	if kill("Init container another-first failed liveness probe") != nil {
		t.Error("a kill of another container is taken for this one's")
	}
}

// Since when it fails decides how soon a wait gives up: a container that ran for long has not failed for that time.
func TestFailingIsDatedByTheEndsNotByThePodsAge(t *testing.T) {
	for _, tt := range []struct {
		name     string
		up       time.Duration
		ran      time.Duration
		restarts int32
		want     time.Duration
	}{
		{"its first end, after two minutes", 130 * time.Second, 130 * time.Second, 0, 0},
		{"a pod of ten days that ends for the first time", 240 * time.Hour, 240 * time.Hour, 0, 0},
		{"a pod of ten days that has restarted before and ran for hours", 240 * time.Hour, 5 * time.Hour, 3, 0},
		{"a pod of ten days, twice within a minute", 240 * time.Hour, 2 * time.Second, 1, 12 * time.Second},
		{"in a loop since its start", 2 * time.Minute, 2 * time.Second, 9, 2 * time.Minute},
		{"in a loop for hours", 240 * time.Hour, 0, 15, 310*time.Second + 10*5*time.Minute},
	} {
		b := deploymentCase()
		s := crashed(1, tt.restarts, "Error")
		s.State.Terminated.FinishedAt, s.State.Terminated.StartedAt = ago(0), ago(tt.ran)
		if tt.ran == 0 {
			s.State.Terminated.StartedAt = metav1.Unix(0, 0)
		}
		b.status(s)
		start := ago(tt.up)
		b.x().CreationTimestamp, b.x().Status.StartTime = start, &start
		f := findingOf(Evaluate(b.in, now, model.Options{}), pods.ContainerCrashing)
		if f == nil || f.FirstSeen == nil || now.Sub(*f.FirstSeen) != tt.want {
			t.Errorf("%s: want since %s, got %+v", tt.name, tt.want, f)
		}
	}
}

// A user of 0 in the template is refused in words of its own.
func TestRunAsUserZeroRunsAsRoot(t *testing.T) {
	b := waits("CreateContainerConfigError", `container's runAsUser breaks non-root policy (pod: "api-2-x", container: api)`)()
	got := Evaluate(b.in, now, model.Options{}).Items[0]
	if got.Verdict != report.Failed || got.Findings[0].Code != pods.RunAsNonRootCheckFailed || !strings.HasSuffix(got.Summary, "breaks non-root policy") {
		t.Errorf("%s %s", got.Verdict, got.Summary)
	}
}

// What kept the sandbox from being made is history once it is there.
func TestAMountThatSucceededIsNoCause(t *testing.T) {
	for _, reason := range []string{"FailedMount", "FailedCreatePodSandBox", "FailedPrepareDynamicResources"} {
		b := deploymentCase()
		b.podEvent(reason, `MountVolume.SetUp failed for volume "v" : configmap references non-existent config key: k`, 6)
		b.podEvent("Pulling", `Pulling image "api:2"`, 1)
		if findingOf(Evaluate(b.in, now, model.Options{}), pods.ImagePullInProgress) != nil {
			t.Fatalf("%s: the fixture shows nothing: pulling wins without a sandbox", reason)
		}
		b.x().Status.Conditions = append(b.x().Status.Conditions, corev1.PodCondition{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: ago(4 * time.Second)})
		if got := Evaluate(b.in, now, model.Options{}).Items[0]; got.Verdict != report.Progressing || got.Findings[0].Code != pods.ImagePullInProgress {
			t.Errorf("%s: %s %s", reason, got.Verdict, got.Summary)
		}
	}
}

// A table has read only warnings: where a normal event decides, it asks for those of the namespace, once for all pods.
func TestATableAsksForTheNormalEventsThatDecide(t *testing.T) {
	for _, tt := range []struct {
		reason string
		b      *builder
	}{
		{"Killing", with(func(b *builder) { b.status(crashed(137, 4, "Error")) })()},
		{"Started", with(func(b *builder) {
			b.c().Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 3600}}}
		})()},
		{"", with(func(b *builder) { b.status(crashed(1, 4, "Error")) })()},
	} {
		var asked []string
		for _, n := range Needs(tt.b.in, now, model.Options{Wide: true}) {
			if n.Kind == model.NeedEvents {
				asked = append(asked, n.Name)
			}
		}
		if got := strings.Join(asked, " "); got != tt.reason {
			t.Errorf("want events with reason %q, asked for %q", tt.reason, got)
		}
		for _, n := range Needs(tt.b.in, now, model.Options{}) {
			if n.Kind == model.NeedEvents && n.UID == "" {
				t.Errorf("the view of one rollout reads its pods' events by UID, and asks for %+v", n)
			}
		}
	}
}

// A moment that is ahead is not "0s ago".
func TestAnEndThatIsAheadHasNoAge(t *testing.T) {
	b := statefulCase(keepSet)
	at := metav1.NewTime(now.Add(3 * time.Minute))
	b.x().DeletionTimestamp, b.x().DeletionGracePeriodSeconds = &at, plain.Ptr(int64(200))
	f := findingOf(Evaluate(b.in, now, model.Options{}), pods.PodTerminating)
	if f == nil {
		t.Fatal("not told")
	}
	for _, e := range f.Evidence {
		if e.Time != nil && e.Time.After(now) {
			t.Errorf("%+v", e)
		}
	}
}

// A node that does not exist is known as such also from a list of all.
func TestATableKnowsANodeThatDoesNotExist(t *testing.T) {
	b := deploymentCase()
	b.x().Spec.NodeName, b.d.Spec.Template.Spec.NodeName = "w9", "w9"
	b.rs.Spec.Template.Spec.NodeName = "w9"
	got := Evaluate(b.in, now, model.Options{Wide: true}).Items[0]
	if got.Verdict != report.Stuck || !strings.Contains(got.Summary, "node w9, which does not exist") {
		t.Errorf("%s %s", got.Verdict, got.Summary)
	}
}

// What a container cannot be started for decides what is to be read: https://github.com/rootsongjc/kubernetes-handbook/issues/218
// mounts a ConfigMap, a directory, onto a file.
func TestWhatCannotBeStartedIsReadNext(t *testing.T) {
	const runc = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: " +
		"unable to start container process: error during container init: "
	mount := func(at, reason string) string {
		return runc + `error mounting "/var/lib/kubelet/pods/1/volumes/kubernetes.io~configmap/settings" to rootfs at "` + at + `": mount ` +
			`/var/lib/kubelet/pods/1/volumes/kubernetes.io~configmap/settings:` + at + ` (via /proc/self/fd/6), flags: 0x5001: ` + reason
	}
	for _, tt := range []struct{ message, says, next string }{
		{mount("/etc/passwd", "not a directory"), `volume "settings" cannot be mounted at /etc/passwd: not a directory`, ".volumeMounts"},
		{mount("/etc/passwd", "permission denied: unknown"), `volume "settings" cannot be mounted at /etc/passwd: permission denied`, ".volumeMounts"},
		{mount("/etc/hosts", "not a directory"), "not a directory", ".volumeMounts"}, // a mount of the kubelet's own
		{runc + `chdir to cwd ("/data") set in config.json failed: permission denied`, "its working directory /data cannot be entered: permission denied", ".workingDir"},
		{runc + `mkdir /srv: not a directory`, "its working directory /srv/data cannot be made: /srv: not a directory", ".workingDir"},
		{runc + `mkdir /srv/data: read-only file system: unknown`, "its working directory /srv/data cannot be made: /srv/data: read-only file system", ".workingDir"},
		{runc + `mkdir /sr: not a directory`, "mkdir /sr", "nodeinfo"}, // not the working directory
		{runc + `exec: "/nope": no such file`, `exec: "/nope"`, "command"},
		{"failed to create containerd container: no space left on device", "no space left", "nodeinfo"},
	} {
		b := with(func(b *builder) {
			b.x().Spec.Containers[0].WorkingDir = "/srv/data/"
			b.x().Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "settings", MountPath: "/etc/passwd/"}}
			b.status(waiting("RunContainerError", tt.message))
		})()
		list := Evaluate(b.in, now, model.Options{})
		f := findingOf(list, pods.ContainerStartError)
		if f == nil || len(f.Next) == 0 {
			t.Errorf("%s: no finding with a next command: %s", tt.message, codesOf(list))
			continue
		}
		if !strings.Contains(f.Message, tt.says) {
			t.Errorf("message %q; want %q", f.Message, tt.says)
		}
		if last := f.Next[len(f.Next)-1].Command; !strings.Contains(last, tt.next) {
			t.Errorf("%s: next %q; want %q", tt.message, last, tt.next)
		}
	}
}
