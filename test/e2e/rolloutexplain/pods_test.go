package rolloutexplain

import (
	"fmt"
	"slices"
	"time"
)

// change is the usual fault: a healthy revision, then a template with a fault in it.
func change(name, fault string, replicas int, bad app, root string, verdict []string, next string, wait []string, exit int, says ...string) scenario {
	bad.replicas = replicas
	return scenario{
		name: name, fault: fault, target: "deployment/api", steps: []step{app{replicas: replicas}.up(), bad.apply()},
		root: root, verdict: verdict, next: next, says: says, wait: wait, exit: exit, within: 75 * time.Second,
	}
}

// over gives --wait more time than the usual 75 s.
func (s scenario) over(within time.Duration) scenario { s.within = within; return s }

func scheduling() []scenario {
	return []scenario{
		change("sched-selector", "a node selector that no node has", 1, app{pod: "\n      nodeSelector: {disk: nvme}"}, "NodeAffinityUnsatisfied", stuck, "rollout undo", soon, 3, "disk=nvme", "no node has label"),
		change("sched-selector-value", "a node selector with a wrong value", 1, app{pod: "\n      nodeSelector: {kubernetes.io/os: plan9}"}, "NodeAffinityUnsatisfied", stuck, "rollout undo", soon, 3, "nodes have linux"),
		change("sched-cpu-never", "a request larger than any node", 1, app{extra: "\n        resources: {requests: {cpu: \"500\"}}"}, "InsufficientResources", stuck, "rollout undo", soon, 3, "even without other pods"),
		change("sched-taint", "only the control plane's node is selected", 1, app{pod: "\n      nodeSelector: {node-role.kubernetes.io/control-plane: \"\"}"}, "NodeAffinityUnsatisfied", stuck, "rollout undo", soon, 3, "node affinity/selector"),
		change("sched-spread", "a spread constraint over a label that nodes lack", 1, app{pod: "\n      topologySpreadConstraints: [{maxSkew: 1, topologyKey: rack, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: api}}}]"}, "TopologySpreadUnsatisfied", stuck, "rollout undo", soon, 3, "topology spread", "no node has label rack"),
		change("sched-gate", "a scheduling gate", 1, app{pod: "\n      schedulingGates: [{name: example.com/wait}]"}, "SchedulingGated", held, "--show-managed-fields", soon, 6, "example.com/wait"),
		change("sched-unknown", "a scheduler that does not run", 1, app{pod: "\n      schedulerName: nobody"}, "NamedSchedulerNotActing", stuck, "rollout undo", soon, 3, "nobody"),
		change("claim-missing", "a volume claim that does not exist", 1, app{pod: "\n      volumes: [{name: data, persistentVolumeClaim: {claimName: nope}}]", extra: "\n        volumeMounts: [{name: data, mountPath: /data}]"}, "PVCNotFound", stuck, "get pvc", soon, 3, "nope"),
		{
			name: "claim-unbound", fault: "a claim of a storage class that does not exist", target: "deployment/api",
			steps: []step{
				app{replicas: 1}.up(), apply(`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {storageClassName: nope, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`),
				app{replicas: 1, pod: "\n      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]", extra: "\n        volumeMounts: [{name: data, mountPath: /data}]"}.apply(),
			},
			root: "PVCNotBound", verdict: stuck, says: []string{"StorageClass", "nope"}, next: "describe pvc data", shows: marked("describe pvc data", "nope"), wait: soon, exit: 3, within: 30 * time.Second,
		},
		{
			name: "one-replica-anti-affinity", fault: "anti-affinity to itself on every node, surge 1", target: "deployment/api",
			steps: []step{
				app{replicas: 1, pod: antiAffinity}.up(), run("set", "env", "deployment/api", "V=2"),
			},
			root: "PodAffinityUnsatisfied", verdict: stuck, says: []string{"deadlock"}, next: `"maxSurge":0`, wait: soon, exit: 3, within: 30 * time.Second,
		},
	}
}

// antiAffinity over the operating system: all nodes are one domain, so two pods never fit.
const antiAffinity = "\n      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/os, labelSelector: {matchLabels: {app: api}}}]}}"

func starting() []scenario {
	closed := "127.0.0.1:9/shop/api:1.5"
	env := func(from string) string { return "\n        env: [{name: A, valueFrom: {" + from + "}}]" }
	list := []scenario{
		change("image-invalid-name", "an image name that is not valid", 2, app{image: "'Foo:::'"}, "InvalidImageName", failed, "rollout undo deployment/api --to-revision=1", soon, 3, "Foo:::"),
		change("image-never-pull", "imagePullPolicy Never and no such image", 1, app{image: "example.com/absent:1", policy: "Never"}, "ErrImageNeverPull", failed, "rollout undo", soon, 3, "Never"),
		change("registry-unreachable", "a registry on a closed port", 1, app{image: closed}, "RegistryUnavailable", late, "nodeinfo", brief, 5, "127.0.0.1:9"),
		change("configmap-missing", "a variable from a ConfigMap that does not exist", 1, app{extra: env("configMapKeyRef: {name: settings, key: a}")}, "ConfigMapNotFound", stuck, "get configmaps", soon, 3, `"settings"`),
		change("secret-missing", "a variable from a Secret that does not exist", 1, app{extra: env("secretKeyRef: {name: creds, key: a}")}, "SecretNotFound", stuck, "get secrets", soon, 3, `"creds"`),
		change("configmap-volume-missing", "a volume of a ConfigMap that does not exist", 1, app{pod: "\n      volumes: [{name: v, configMap: {name: settings}}]", extra: "\n        volumeMounts: [{name: v, mountPath: /v}]"}, "ConfigMapNotFound", stuck, "get configmaps", soon, 3, `"settings"`),
		change("run-as-root", "runAsNonRoot with an image that runs as root", 1, app{pod: "\n      securityContext: {runAsNonRoot: true}"}, "RunAsNonRootCheckFailed", failed, "rollout undo", soon, 3, "runAsNonRoot"),
	}
	missingKey := change("key-missing", "a key that the ConfigMap does not have", 1, app{extra: env("configMapKeyRef: {name: settings, key: nope}")}, "ConfigKeyNotFound", stuck, "describe configmap settings", soon, 3, `"nope"; existing keys: a`)
	missingKey.steps = append([]step{run("create", "configmap", "settings", "--from-literal=a=1")}, missingKey.steps...)
	// A subPath that is no key: https://github.com/onedr0p/home-ops/issues/4951
	volume, noFile := "\n      volumes: [{name: v, configMap: {name: settings}}]", `no file to mount at %s: ConfigMap "settings" has no key "app.cnf"; existing keys: app.conf`
	overFile := change("subpath-no-key", "a subPath that is no key of the ConfigMap, over a file of the image", 1, app{pod: volume, extra: "\n        volumeMounts: [{name: v, mountPath: /etc/passwd, subPath: app.cnf}]"}, "ConfigKeyNotFound", stuck, "describe configmap settings", soon, 3, fmt.Sprintf(noFile, "/etc/passwd"))
	overFile.steps = append([]step{run("create", "configmap", "settings", "--from-literal=app.conf=1")}, overFile.steps...)
	readAsFile := change("subpath-no-key-read", "a subPath that is no key of the ConfigMap, which the program reads", 1, app{pod: volume, command: "cat /srv/app.cnf", extra: "\n        volumeMounts: [{name: v, mountPath: /srv/app.cnf, subPath: app.cnf}]"}, "ConfigKeyNotFound", stuck, "describe configmap settings", soon, 3, fmt.Sprintf(noFile, "/srv/app.cnf"))
	readAsFile.steps = append([]step{run("create", "configmap", "settings", "--from-literal=app.conf=1")}, readAsFile.steps...)
	// It keeps the directory that it began with: a key that comes later helps its successor.
	cameLate := change("subpath-key-came-late", "a key that its ConfigMap gets after the pod with its subPath", 1, app{pod: volume, extra: "\n        volumeMounts: [{name: v, mountPath: /etc/passwd, subPath: app.cnf}]"}, "ContainerStartError", stuck, "delete pod", soon, 3, `ConfigMap "settings" has key "app.cnf", and was changed after the pod started`)
	cameLate.steps = append([]step{overFile.steps[0]}, append(cameLate.steps, pause(10*time.Second), run("patch", "configmap", "settings", "-p", `{"data":{"app.cnf":"1"}}`))...)
	similar := change("configmap-misspelled", "a ConfigMap with a slip in its name", 1, app{extra: env("configMapKeyRef: {name: setings, key: a}")}, "ConfigMapNotFound", stuck, "get configmaps", nil, 0, `closest existing name: "settings"`)
	similar.steps = append([]step{run("create", "configmap", "settings", "--from-literal=a=1")}, similar.steps...)
	healed := change("configmap-created-later", "a ConfigMap that is created while --wait waits", 1, app{extra: env("configMapKeyRef: {name: settings, key: a}")}, "ConfigMapNotFound", stuck, "", nil, 0)
	healed.during = run("create", "configmap", "settings", "--from-literal=a=1")
	healed.wait, healed.exit = []string{"--timeout=70s", "--stable-for=1s"}, 0
	return append(list, missingKey, overFile, readAsFile, cameLate, similar, healed)
}

func running() []scenario {
	init := func(body string) string { return "\n      initContainers:\n      - " + body }
	again := change("crash-after-a-failed-rollout", "a crash, and the revision before crashes as well", 2, app{command: "exit 2", extra: never(5)}, "ContainerCrashing", broken, "rollout undo deployment/api --to-revision=1", soon, 3, "exit code 2")
	again.steps = slices.Insert(again.steps, 1, app{command: "exit 1", replicas: 2, extra: never(5)}.apply(), run("wait", "deployment/api", `--for=jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}=2`, "--timeout=30s"))
	return []scenario{
		again,
		change("crash-exit-log", "the new version exits 1 with a message", 2, app{command: "echo 'config: DB_HOST is required' >&2; exit 1"}, "ContainerCrashing", broken, "rollout undo deployment/api --to-revision=1", soon, 3, "exit code 1"),
		change("out-of-memory", "a memory limit that the program passes", 1, app{command: "sleep 1; exec tail /dev/zero", extra: "\n        resources: {limits: {memory: 24Mi}}"}, "OOMKilled", broken, "rollout undo", soon, 3, "24Mi"),
		change("exits-normally", "a program that does its work and ends", 1, app{command: "echo done"}, "ContainerCompleted", broken, "rollout undo", soon, 3, "exits with code 0"),
		change("command-missing", "a program that is not in the image", 1, app{}.withCommand(`["/nope"]`), "ContainerStartError", stuck, "rollout undo", soon, 3, "/nope"),
		change("liveness-kill", "a liveness probe that never passes", 1, app{extra: "\n        livenessProbe: {exec: {command: [\"false\"]}, periodSeconds: 1, failureThreshold: 2}"}, "LivenessProbeFailed", broken, "rollout undo", soon, 3, "liveness probe"),
		change("startup-kill", "a startup probe that gives too little time", 1, app{extra: "\n        startupProbe: {exec: {command: [\"false\"]}, periodSeconds: 1, failureThreshold: 3}"}, "StartupProbeFailed", stuck, "rollout undo", soon, 3, "startup probe"),
		change("post-start", "a postStart hook that fails", 1, app{extra: "\n        lifecycle: {postStart: {exec: {command: [\"false\"]}}}"}, "FailedPostStartHook", broken, "rollout undo", soon, 3, "postStart"),
		change("post-start-hangs", "a postStart hook that does not end", 1, app{extra: "\n        lifecycle: {postStart: {exec: {command: [sleep, \"3600\"]}}}"}, "PostStartHookRunning", late, "lifecycle", brief, 5, "postStart hook"),
		change("init-crash", "an init container that fails", 1, app{pod: init("{name: migrate, image: " + image + ", command: [sh, -c, \"echo no such table; exit 4\"]}")}, "InitContainerFailing", stuck, "rollout undo", soon, 3, "migrate", "exit code 4"),
		change("sidecar-not-started", "a sidecar whose startup probe does not pass", 1, app{pod: init("{name: mesh, restartPolicy: Always, image: " + image + ", command: [sleep, \"3600\"], startupProbe: {exec: {command: [\"false\"]}, periodSeconds: 5, failureThreshold: 100}}")}, "SidecarNotStarted", late, "logs", brief, 5, "mesh"),
		waits("slow-but-healthy", "not ready for 40 s, then ready", app{command: "sleep 40; touch /tmp/ready; exec sleep 3600", extra: "\n        readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 2}"}, []string{"--fail-after=5s", "--stable-for=2s", "--timeout=120s"}, 0, 120*time.Second),
		waits("crashes-twice-then-runs", "ends twice, as while a dependency comes up, then runs", app{
			command: "n=$(cat /c/n || echo 0); echo $((n+1)) >/c/n; [ $n -ge 2 ] || exit 1; touch /tmp/ready; exec sleep 3600", pod: "\n      volumes: [{name: c, emptyDir: {}}]",
			extra: "\n        volumeMounts: [{name: c, mountPath: /c}]\n        readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 2}",
		}, []string{"--fail-after=5s", "--stable-for=2s", "--timeout=150s"}, 0, 150*time.Second),
		waits("crash-default-patience", "a crash loop, and --wait without any flag", app{command: "sleep 1; exit 3", extra: never(5)}, []string{}, 3, 210*time.Second),
		{
			name: "false-success", fault: "no probe, exits 5 s after it starts", target: "deployment/api",
			steps: []step{app{replicas: 2}.up(), app{replicas: 2, command: "sleep 5; exit 9"}.apply(), pause(25 * time.Second)},
			root:  "ContainerCrashing", verdict: []string{"Degraded", "Stuck"}, says: []string{"exit code 9"}, wait: []string{"--timeout=80s", "--fail-after=20s"}, exit: 3, within: 75 * time.Second, limit: 2 * time.Minute,
		},
	}
}

// waits is a change that is only waited for, from its very start.
func waits(name, fault string, next app, flags []string, exit int, within time.Duration) scenario {
	next.replicas = 1
	return scenario{name: name, fault: fault, target: "deployment/api", steps: []step{app{replicas: 1}.up(), next.apply()}, wait: flags, exit: exit, within: within}
}

func readiness() []scenario {
	http := "\n        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 2}"
	return []scenario{
		change("readiness-refused", "a readiness probe of a port on which nothing listens", 1, app{extra: http}, "ReadinessProbeFailing", late, "logs", brief, 5, "connection refused"),
		change("readiness-404", "a readiness probe of a path that is not there", 1, app{command: "mkdir /w; exec httpd -f -p 8080 -h /w", extra: http}, "ReadinessProbeFailing", late, "logs", brief, 5, "404"),
		change("readiness-gate", "a readiness gate that nobody sets", 1, app{pod: "\n      readinessGates: [{conditionType: example.com/traffic}]"}, "ReadinessGatesNotReady", late, "readinessGates", brief, 5, "example.com/traffic"),
		change("startup-window", "a startup probe with time left", 1, app{extra: "\n        startupProbe: {exec: {command: [\"false\"]}, periodSeconds: 5, failureThreshold: 60}"}, "StartupProbePending", moving, "logs", brief, 5, "startup probe"),
		change("minready-countdown", "minReadySeconds 40, healthy", 1, app{spec: "\n  minReadySeconds: 40", command: "exec sleep 3601"}, "MinReadySecondsNotElapsed", moving, "", []string{"--timeout=120s", "--stable-for=1s"}, 0, "40s of readiness").over(110 * time.Second),
		{
			name: "flapping", fault: "ready for 3 s, not ready for 3 s, minReadySeconds 30", target: "deployment/api",
			steps: []step{app{replicas: 1}.up(), app{replicas: 1, spec: "\n  minReadySeconds: 30", extra: "\n        readinessProbe: {exec: {command: [sh, -c, \"test $(( $(date +%s) / 4 % 2 )) = 0\"]}, periodSeconds: 1, failureThreshold: 1}"}.apply(), pause(65 * time.Second)},
			root:  "PodReadinessFlapping", verdict: stuck, says: []string{"readiness is flapping"}, wait: []string{"--timeout=80s", "--fail-after=10s"}, exit: 3, within: 75 * time.Second, limit: 2 * time.Minute,
		},
	}
}

func ending() []scenario {
	slow := "\n        lifecycle: {preStop: {exec: {command: [sleep, \"40\"]}}}"
	return []scenario{
		{
			name: "recreate-in-grace", fault: "strategy Recreate, an old pod with a long preStop", target: "deployment/api",
			steps: []step{app{replicas: 1, spec: "\n  strategy: {type: Recreate}", extra: slow}.grace(60).up(), run("set", "env", "deployment/api", "V=2")},
			root:  "PodTerminating", verdict: moving, says: []string{"of the termination grace period are left"}, wait: []string{"--timeout=150s", "--stable-for=1s", "--fail-after=5s"}, exit: 0, within: 140 * time.Second,
		},
		{
			name: "surge-0-still-ending", fault: "maxSurge 0 and old pods that end slowly", target: "deployment/api",
			steps: []step{app{replicas: 2, spec: "\n  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 2}}", extra: slow}.grace(60).up(), run("set", "env", "deployment/api", "V=2"), complete("deployment/api")},
			root:  "", verdict: good, wait: []string{"--timeout=60s", "--stable-for=1s"}, exit: 0, within: 15 * time.Second,
		},
	}
}

func jobs() []scenario {
	job := func(spec, command string) step {
		return apply("apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec:\n  " + spec + "\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: main, image: " + image + ", command: [sh, -c, \"" + command + "\"]}]\n")
	}
	return []scenario{
		{name: "job-backoff", fault: "a Job whose pods fail", target: "job/once", steps: []step{job("backoffLimit: 0", "echo no rows; exit 2")}, root: "JobFailed", verdict: failed, says: []string{"BackoffLimitExceeded", "exit code 2"}, next: "logs", shows: marked("logs", "no rows"), wait: soon, exit: 3, within: 10 * time.Second},
		{name: "job-deadline", fault: "a Job that runs too long", target: "job/once", steps: []step{job("activeDeadlineSeconds: 5", "sleep 600")}, root: "JobFailed", verdict: failed, says: []string{"DeadlineExceeded"}, wait: soon, exit: 3, within: 10 * time.Second},
		{name: "job-suspended", fault: "a suspended Job", target: "job/once", steps: []step{job("suspend: true", "true")}, root: "JobSuspended", verdict: held, next: `"suspend":false`, heals: `"suspend":false`, wait: soon, exit: 6, within: 10 * time.Second},
		{name: "job-complete", fault: "a Job that succeeds", target: "job/once", steps: []step{job("completions: 2", "true")}, root: "", verdict: good, says: []string{"2 of 2 pods succeeded"}, wait: soon, exit: 0, within: 10 * time.Second},
	}
}

func fine() []scenario {
	return []scenario{
		{name: "healthy", fault: "nothing", target: "deployment/api", steps: []step{app{replicas: 3}.up(), run("set", "env", "deployment/api", "V=2")}, root: "", verdict: good, says: []string{"all 3 replicas are updated and available"}, wait: []string{"--stable-for=2s", "--timeout=60s"}, exit: 0, within: 20 * time.Second},
		{name: "healthy-statefulset", fault: "nothing", target: "statefulset/db", steps: []step{app{kind: "StatefulSet", name: "db", replicas: 2}.up(), run("set", "env", "statefulset/db", "V=2")}, root: "", verdict: good, wait: []string{"--stable-for=2s", "--timeout=60s"}, exit: 0, within: 30 * time.Second},
		{name: "healthy-daemonset", fault: "nothing", target: "daemonset/agent", steps: []step{app{kind: "DaemonSet", name: "agent"}.up(), run("set", "env", "daemonset/agent", "V=2")}, root: "", verdict: good, wait: []string{"--stable-for=2s", "--timeout=60s"}, exit: 0, within: 30 * time.Second},
		{name: "scaled-to-zero", fault: "0 replicas", target: "deployment/api", steps: []step{app{replicas: 0}.up()}, root: "", verdict: good, says: []string{"scaled to 0 replicas"}, wait: soon, exit: 0, within: 10 * time.Second},
	}
}
