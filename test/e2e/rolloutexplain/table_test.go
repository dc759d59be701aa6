package rolloutexplain

import (
	"fmt"
	"strings"
	"time"
)

// app is a Deployment that is healthy until a scenario changes it. Extra goes into the container, pod into the pod.
type app struct {
	kind     string // default Deployment
	name     string // default api
	replicas int
	spec     string // more of the workload's spec, indented by two
	pod      string // more of the pod's spec, indented by six
	command  string
	image    string
	extra    string // more of the container, indented by eight

	policy  string // imagePullPolicy; default IfNotPresent
	argv    string // the whole command, as a YAML list
	seconds int    // termination grace; default 1
}

func (a app) withCommand(argv string) app { a.argv = argv; return a }
func (a app) grace(seconds int) app       { a.seconds = seconds; return a }

const image = "busybox:1.36"

func (a app) yaml() string {
	if a.kind == "" {
		a.kind = "Deployment"
	}
	if a.name == "" {
		a.name = "api"
	}
	if a.command == "" {
		a.command = "exec sleep 3600"
	}
	if a.image == "" {
		a.image = image
	}
	if a.policy == "" {
		a.policy = "IfNotPresent"
	}
	if a.argv == "" {
		a.argv = fmt.Sprintf("[sh, -c, %q]", a.command)
	}
	replicas := fmt.Sprintf("\n  replicas: %d", a.replicas)
	if a.kind == "DaemonSet" {
		replicas = ""
	}
	service := ""
	if a.kind == "StatefulSet" {
		service = "\n  serviceName: " + a.name
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: %s
metadata: {name: %s}
spec:%s%s
  selector: {matchLabels: {app: %s}}%s
  template:
    metadata: {labels: {app: %s}}
    spec:
      terminationGracePeriodSeconds: %d%s
      containers:
      - name: main
        image: %s
        imagePullPolicy: %s
        command: %s%s
`, a.kind, a.name, replicas, service, a.name, a.spec, a.name, max(1, a.seconds), a.pod, a.image, a.policy, a.argv, a.extra)
}

func (a app) apply() step { return apply(a.yaml()) }

// up applies an app and waits until it runs.
func (a app) up() step {
	kind, name := a.kind, a.name
	if kind == "" {
		kind = "deployment"
	}
	if name == "" {
		name = "api"
	}
	both := []step{a.apply(), complete(strings.ToLower(kind) + "/" + name)}
	return all(both...)
}

var (
	stuck  = []string{"Stuck"}
	failed = []string{"Failed"}
	held   = []string{"OnHold"}
	good   = []string{"Complete"}
	moving = []string{"Progressing"}
	// broken is a program without a readiness probe: available for a moment, so that the rollout may even have completed.
	broken = []string{"Stuck", "Degraded"}
	// late is what a cause that may heal is called first, and after two minutes.
	late = []string{"Progressing", "Stuck"}
	soon = []string{"--fail-after=5s", "--timeout=60s"}
	// brief is for causes that must not fail early: the wait must run into its timeout.
	brief = []string{"--fail-after=2s", "--timeout=12s"}
)

func never(seconds int) string {
	return fmt.Sprintf("\n        readinessProbe: {exec: {command: [\"false\"]}, periodSeconds: %d}", seconds)
}

func scenarios() []scenario {
	var list []scenario
	for _, part := range [][]scenario{refusals(), controllers(), statefulSets(), daemonSets(), scheduling(), starting(), running(), readiness(), ending(), jobs(), fine(), registries(), webhooks(), moreControllers(), moreStatefulSets(), morePlaces(), argo(), field()} {
		list = append(list, part...)
	}
	return list
}

// everyScenario is what the page in docs holds, in its order.
func everyScenario() []scenario {
	list := scenarios()
	for _, p := range phases() {
		for _, s := range p.scenarios {
			list = append(list, s.scenario)
		}
	}
	return list
}

func refusals() []scenario {
	fresh := app{replicas: 2}
	changed := run("set", "env", "deployment/api", "V=2")
	refused := func(name, fault, manifest, code, says, next string, change step, flags []string, exit int) scenario {
		return scenario{
			name: name, fault: fault, target: "deployment/api", steps: []step{fresh.up(), apply(manifest), change},
			root: code, verdict: []string{"Failed", "Stuck"}, says: []string{says}, next: next, wait: flags, exit: exit, within: 40 * time.Second,
		}
	}
	list := []scenario{
		refused("rs-create-quota", "a quota of one ReplicaSet, then a new template", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: sets}, spec: {hard: {count/replicasets.apps: "1"}}}`,
			"ReplicaSetCreateError", `ResourceQuota "sets"`, "rollout undo", changed, soon, 3),
		refused("quota-pods-surge", "a quota of 2 pods, 2 replicas, default surge", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: two}, spec: {hard: {pods: "2"}}}`,
			"QuotaExceeded", "the rollout cannot free quota", `"maxSurge":0`, changed, soon, 3),
		refused("quota-must-specify", "a quota on CPU, a template without requests", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: cpu}, spec: {hard: {requests.cpu: "2"}}}`,
			"QuotaRequiresResources", `ResourceQuota "cpu"`, "describe quota cpu", changed, soon, 3),
		refused("limitrange-max", "a LimitRange of 64Mi, a limit of 128Mi", `{apiVersion: v1, kind: LimitRange, metadata: {name: small}, spec: {limits: [{type: Container, max: {memory: 64Mi}}]}}`,
			"LimitRangeViolated", "64Mi", "rollout undo", run("set", "resources", "deployment/api", "--limits=memory=128Mi"), soon, 3),
		refused("admission-policy", "a ValidatingAdmissionPolicy that denies pods", `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAMESPACE}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: "false", message: "no pods on Fridays"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAMESPACE}
spec: {policyName: NAMESPACE, validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}}}
`, "AdmissionPolicyDenied", "no pods on Fridays", "get validatingadmissionpolicy", all(pause(4*time.Second), changed), soon, 3),
		refused("webhook-unreachable", "a validating webhook on a closed port", `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: NAMESPACE}
webhooks:
- name: closed.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 1
  clientConfig: {url: "https://127.0.0.1:9/x"}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`, "AdmissionWebhookCallFailed", "closed.example.com", "webhookconfigurations", all(pause(2*time.Second), changed), brief, 5),
	}
	list[5].verdict = late
	list = append(list, podSecurity(), staleFailure())
	for _, missing := range []struct{ name, pod, code, says string }{
		{"priorityclass-missing", "\n      priorityClassName: nope", "PriorityClassNotFound", "nope"},
		{"runtimeclass-missing", "\n      runtimeClassName: nope", "RuntimeClassNotFound", "nope"},
		{"serviceaccount-missing", "\n      serviceAccountName: nope", "ServiceAccountNotFound", "nope"},
	} {
		list = append(list, scenario{
			name: missing.name, fault: "the template names one that does not exist", target: "deployment/api",
			steps: []step{fresh.up(), app{replicas: 2, pod: missing.pod}.apply()}, root: missing.code, verdict: stuck, says: []string{missing.says},
			next: "rollout undo", wait: soon, exit: 3, within: 30 * time.Second,
		})
	}
	return list
}

func all(steps ...step) step { return allOf(steps).run }

func podSecurity() scenario {
	return scenario{
		name: "pod-security", fault: "the namespace enforces Pod Security restricted", target: "deployment/api",
		steps: []step{app{replicas: 2}.up(), run("label", "namespace", "NAMESPACE", "pod-security.kubernetes.io/enforce=restricted"), run("set", "env", "deployment/api", "V=2")},
		root:  "PodSecurityViolated", verdict: failed, says: []string{"restricted", "allowPrivilegeEscalation"}, next: "get namespace NAMESPACE", shows: marked("get namespace", "enforce=restricted"), wait: soon, exit: 3, within: 20 * time.Second,
	}
}

// staleFailure: the ReplicaFailure condition keeps the first refusal; the newest event is the truth.
func staleFailure() scenario {
	return scenario{
		name: "stale-replicafailure", fault: "refused by a quota first, by Pod Security later", target: "deployment/api",
		steps: []step{
			app{replicas: 2}.up(), apply(`{apiVersion: v1, kind: ResourceQuota, metadata: {name: two}, spec: {hard: {pods: "2"}}}`), run("set", "env", "deployment/api", "V=2"), pause(3 * time.Second),
			run("label", "namespace", "NAMESPACE", "pod-security.kubernetes.io/enforce=restricted"), run("delete", "quota", "two"),
		},
		root: "PodSecurityViolated", verdict: failed, says: []string{"restricted"},
	}
}

func controllers() []scenario {
	return []scenario{
		{
			name: "paused-mid-rollout", fault: "paused after the first new pod", target: "deployment/api",
			steps: []step{app{replicas: 3}.up(), app{replicas: 3, extra: never(5)}.apply(), pause(3 * time.Second), run("rollout", "pause", "deployment/api")},
			root:  "DeploymentPaused", verdict: held, says: []string{"paused"}, next: "rollout resume deployment/api", wait: soon, exit: 6, within: 10 * time.Second,
		},
		{
			name: "paused-template-change", fault: "paused first, then a new template", target: "deployment/api",
			steps: []step{app{replicas: 2}.up(), run("rollout", "pause", "deployment/api"), run("set", "env", "deployment/api", "V=2")},
			root:  "DeploymentPaused", verdict: held, says: []string{"no ReplicaSet exists for the new template"}, next: "rollout resume", wait: soon, exit: 6, within: 10 * time.Second,
		},
		{
			// since 1.36 an old pod whose containers have ended holds nothing up, finalizer or not (kubernetes#136639)
			name: "recreate-finalizer", fault: "strategy Recreate, an old pod with a finalizer", target: "deployment/api",
			steps: []step{app{replicas: 1, spec: "\n  strategy: {type: Recreate}"}.up(), finalizer("app=api"), run("set", "env", "deployment/api", "V=2")},
			root:  "", verdict: good, not: []string{"FinalizerBlocksDeletion"}, wait: []string{"--stable-for=1s", "--timeout=60s"}, exit: 0, within: 40 * time.Second,
		},
		{
			name: "deadline-current", fault: "never ready, progressDeadlineSeconds 15", target: "deployment/api",
			steps: []step{app{replicas: 1}.up(), app{replicas: 1, spec: "\n  progressDeadlineSeconds: 15", extra: never(3)}.apply()},
			root:  "ReadinessProbeFailing", verdict: failed, says: []string{"readiness probe"}, next: "logs", wait: []string{"--timeout=60s"}, exit: 3, within: 15 * time.Second,
		},
		{
			name: "stale-deadline-undo", fault: "timed out, then undone", target: "deployment/api",
			steps: []step{app{replicas: 1}.up(), app{replicas: 1, spec: "\n  progressDeadlineSeconds: 10", extra: never(3)}.apply(), pause(16 * time.Second), run("rollout", "undo", "deployment/api")},
			root:  "", verdict: good, not: []string{"ProgressDeadlineExceeded"}, wait: []string{"--timeout=60s", "--stable-for=2s"}, exit: 0, within: 20 * time.Second,
		},
		{
			name: "rollover", fault: "a third template before the second is done", target: "deployment/api",
			steps: []step{app{replicas: 2}.up(), app{replicas: 2, command: "exit 1"}.apply(), pause(3 * time.Second), app{replicas: 2, command: "sleep 3000"}.apply()},
			root:  "", verdict: good, wait: []string{"--timeout=60s", "--stable-for=2s"}, exit: 0, within: 30 * time.Second,
		},
		{
			name: "history-limit-zero", fault: "revisionHistoryLimit 0, replaced by a crashing template", target: "deployment/api",
			steps: []step{app{replicas: 1, spec: "\n  revisionHistoryLimit: 0\n  strategy: {type: Recreate}"}.up(), app{replicas: 1, spec: "\n  revisionHistoryLimit: 0\n  strategy: {type: Recreate}", command: "echo broken; exit 3"}.apply()},
			root:  "ContainerCrashing", verdict: []string{"Stuck", "Degraded"}, says: []string{"exit code 3"}, limit: 2 * time.Minute,
		},
	}
}

func statefulSets() []scenario {
	two := func(a app) app { a.kind, a.name, a.replicas = "StatefulSet", "db", 2; return a }
	return []scenario{
		{
			name: "statefulset-trap", fault: "a bad template, then the old one again", target: "statefulset/db",
			steps: []step{two(app{}).up(), two(app{}).withCommand(`["/nope"]`).apply(), brokenAtDB1, two(app{}).apply()},
			root:  "StatefulSetPodNotReplaced", verdict: []string{"Failed"}, says: []string{"db-1"}, next: "delete pod db-1", wait: soon, exit: 3, within: 15 * time.Second,
		},
		{
			name: "statefulset-finalizer", fault: "a finalizer on the pod that is to be replaced", target: "statefulset/db",
			steps: []step{two(app{}).up(), finalizer("app=db"), run("set", "env", "statefulset/db", "V=2")},
			root:  "FinalizerBlocksDeletion", verdict: stuck, says: []string{"example.com/hold"}, next: "finalizers", heals: `"finalizers":null`, wait: soon, exit: 3, within: 40 * time.Second,
		},
		{
			name: "statefulset-bad-update", fault: "a command that is not in the image", target: "statefulset/db",
			steps: []step{two(app{}).up(), two(app{}).withCommand(`["/nope"]`).apply()},
			root:  "ContainerStartError", verdict: stuck, says: []string{"db-1"}, next: "rollout undo statefulset/db --to-revision=1", wait: soon, exit: 3, within: 40 * time.Second,
		},
		{
			name: "statefulset-partition", fault: "partition 1 of 2", target: "statefulset/db",
			steps: []step{two(app{spec: "\n  updateStrategy: {rollingUpdate: {partition: 1}}"}).up(), run("set", "env", "statefulset/db", "V=2")},
			root:  "PartitionedRollout", verdict: held, says: []string{"partition 1"}, next: `"partition":0`, wait: soon, exit: 6, within: 10 * time.Second,
		},
		{
			name: "statefulset-partition-never", fault: "partition 5 of 2", target: "statefulset/db",
			steps: []step{two(app{spec: "\n  updateStrategy: {rollingUpdate: {partition: 5}}"}).up(), run("set", "env", "statefulset/db", "V=2")},
			root:  "PartitionExcludesAllPods", verdict: held, says: []string{"no pod is ever updated"}, next: `"partition":0`, heals: `"partition":0`, wait: soon, exit: 6, within: 10 * time.Second,
		},
		{
			name: "statefulset-ondelete", fault: "update strategy OnDelete", target: "statefulset/db",
			// kubectl rollout status refuses OnDelete, so the pods are waited for
			steps: []step{two(app{spec: "\n  updateStrategy: {type: OnDelete}"}).apply(), created("pod/db-0"), run("wait", "pod/db-0", "--for=condition=Ready", "--timeout=90s"), created("pod/db-1"), run("wait", "pod/db-1", "--for=condition=Ready", "--timeout=90s"), run("set", "env", "statefulset/db", "V=2")},
			root:  "OnDelete", verdict: held, says: []string{"db-0"}, next: "delete pod db-", wait: soon, exit: 6, within: 10 * time.Second,
		},
	}
}

func daemonSets() []scenario {
	ds := func(a app) app { a.kind, a.name = "DaemonSet", "agent"; return a }
	return []scenario{
		{
			// the controller has done with a pod whose containers have ended, so the finalizer holds nothing up
			name: "daemonset-finalizer", fault: "a finalizer on one node's pod", target: "daemonset/agent",
			steps: []step{ds(app{}).up(), finalizerOn("app=agent"), run("set", "env", "daemonset/agent", "V=2")},
			root:  "", verdict: good, not: []string{"FinalizerBlocksDeletion"}, wait: []string{"--stable-for=1s", "--timeout=60s"}, exit: 0, within: 40 * time.Second,
		},
		{
			name: "daemonset-ondelete", fault: "update strategy OnDelete", target: "daemonset/agent",
			steps: []step{ds(app{spec: "\n  updateStrategy: {type: OnDelete}"}).apply(), pause(2 * time.Second), run("wait", "pods", "-l", "app=agent", "--for=condition=Ready", "--timeout=90s"), run("set", "env", "daemonset/agent", "V=2")},
			root:  "OnDelete", verdict: held, says: []string{"agent-"}, next: "delete pod agent-", wait: soon, exit: 6, within: 10 * time.Second,
		},
		{
			name: "daemonset-crash", fault: "a template that crashes", target: "daemonset/agent",
			steps: []step{ds(app{}).up(), ds(app{command: "echo cannot open /dev/thing; exit 7"}).apply()},
			root:  "ContainerCrashing", verdict: broken, says: []string{"exit code 7"}, next: "rollout undo daemonset/agent --to-revision=1", wait: soon, exit: 3, within: 40 * time.Second,
		},
		{
			name: "daemonset-hostport-surge", fault: "maxSurge 1 with a host port", target: "daemonset/agent",
			steps: []step{ds(app{spec: "\n  updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}", extra: "\n        ports: [{containerPort: 18089}]"}).up(), ds(app{spec: "\n  updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}", extra: "\n        ports: [{containerPort: 18089, hostPort: 18089}]"}).apply(), complete("daemonset/agent"), run("set", "env", "daemonset/agent", "V=2")},
			root:  "HostPortConflict", verdict: stuck, says: []string{"deadlock"}, next: `"maxSurge":0`, wait: soon, exit: 3, within: 30 * time.Second,
		},
	}
}
