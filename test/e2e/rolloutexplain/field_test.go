package rolloutexplain

import (
	"fmt"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// What users reported in public, each beside what is nearly the same and well.

// settled waits for what is well already.
var settled = []string{"--stable-for=1s", "--timeout=60s"}

// finally runs kubectl when the test ends: for what a namespace does not take with it, or cannot.
func finally(args ...string) step {
	return func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		words := []string{"-n", ns}
		for _, a := range args {
			words = append(words, inNamespace(t, c, ns, a))
		}
		t.Cleanup(func() { c.Kubectl(t, words...) })
	}
}

// await waits for a field of an object.
func await(object, path, value string) step {
	return run("wait", object, "--for=jsonpath={"+path+"}="+value, "--timeout=90s")
}

// created waits until a controller has made an object.
func created(object string) step { return run("wait", object, "--for=create", "--timeout=90s") }

// brokenAtDB1 waits until the last of the two pods of the StatefulSet db has the new, broken template.
var brokenAtDB1 = all(await("statefulset/db", ".status.updatedReplicas", "1"),
	run("wait", "pod/db-1", "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}", "--timeout=90s"), pause(3*time.Second))

func field() []scenario {
	var list []scenario
	for _, part := range [][]scenario{bareReplicaSets(), moreJobs(), goingObjects(), handMadeVolumes(), defaulted(), annotated(), scaledDown()} {
		list = append(list, part...)
	}
	return list
}

func bareReplicaSets() []scenario {
	bare := app{kind: "ReplicaSet", name: "bare", replicas: 1}
	up := all(bare.apply(), await("rs/bare", ".status.availableReplicas", "1"), pause(2*time.Second)) // times are whole seconds
	return []scenario{
		{
			name: "bare-replicaset-template", fault: "a new template of a ReplicaSet without a Deployment", target: "replicaset/bare",
			steps: []step{up, run("set", "env", "rs/bare", "V=2")},
			root:  "OnDelete", verdict: held, says: []string{"replaces no pods"}, next: "delete pod bare-", wait: soon, exit: 6, within: 10 * time.Second,
		},
		{
			name: "bare-replicaset-scaled", fault: "the same ReplicaSet, scaled without a new template", target: "replicaset/bare",
			steps: []step{up, run("scale", "rs/bare", "--replicas=2"), await("rs/bare", ".status.availableReplicas", "2")},
			root:  "", verdict: good, wait: settled, exit: 0, within: 10 * time.Second,
		},
	}
}

func moreJobs() []scenario {
	job := func(spec, policy string, commands ...string) step {
		containers := ""
		for i, command := range commands {
			name := [...]string{"main", "proxy"}[i]
			containers += fmt.Sprintf("      - {name: %s, image: %q, imagePullPolicy: IfNotPresent, command: [sh, -c, %q]}\n", name, image, command)
		}
		return apply("apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec:\n  " + spec +
			"\n  template:\n    spec:\n      terminationGracePeriodSeconds: 1\n      restartPolicy: " + policy + "\n      containers:\n" + containers)
	}
	const indexed = "completionMode: Indexed\n  completions: 3\n  parallelism: 3\n  backoffLimitPerIndex: "
	return []scenario{
		{
			name: "job-second-container", fault: "one of two containers ends, the other runs on", target: "job/once", steps: []step{job("backoffLimit: 0", "Never", "exit 0", "exec sleep 3600")},
			root: "JobPodNotEnding", verdict: late, says: []string{"container main has ended (exit code 0), but proxy still runs"}, next: "logs", wait: brief, exit: 5, within: 40 * time.Second,
		},
		{
			name: "job-two-containers", fault: "two containers that both end", target: "job/once", steps: []step{job("backoffLimit: 0", "Never", "exit 0", "sleep 3")},
			root: "", verdict: good, says: []string{"1 of 1 pods succeeded"}, wait: settled, exit: 0, within: 10 * time.Second,
		},
		{
			name: "job-parallelism-0", fault: "a Job with parallelism 0", target: "job/once", steps: []step{job("parallelism: 0", "Never", "exit 0")},
			root: "JobSuspended", verdict: held, says: []string{"spec.parallelism is 0"}, next: `"parallelism":1`, heals: `"parallelism":1`, wait: soon, exit: 6, within: 10 * time.Second,
		},
		{
			name: "job-failed-index", fault: "one index of three fails finally, another runs on", target: "job/once",
			steps: []step{job(indexed+"0", "Never", "case $JOB_COMPLETION_INDEX in 1) echo no data; exit 3;; 2) exec sleep 3600;; esac")},
			root:  "JobFailed", verdict: failed, says: []string{"index 1 has failed finally", "exit code 3"}, next: "logs once-1-", shows: marked("logs", "no data"), wait: soon, exit: 3, within: 20 * time.Second,
		},
		{
			name: "job-index-tries-left", fault: "one index of three fails, and may be tried again", target: "job/once",
			steps: []step{finally("delete", "job/once", "--cascade=foreground"), job(indexed+"5", "Never", "case $JOB_COMPLETION_INDEX in 1) exit 3;; 2) exec sleep 3600;; esac")},
			root:  "", verdict: moving, says: []string{"1 of 3 succeeded", "(per index, up to 6)"}, also: []string{"ContainerCrashing"},
		},
		{
			name: "job-backoff-pods-gone", fault: "a Job whose pods fail, and are deleted with it", target: "job/once",
			steps: []step{job("backoffLimit: 1", "OnFailure", "exit 2"), run("wait", "job/once", "--for=condition=Failed", "--timeout=90s"), run("wait", "pod", "-l", "batch.kubernetes.io/job-name=once", "--for=delete", "--timeout=60s")},
			root:  "JobFailed", verdict: failed, says: []string{"BackoffLimitExceeded"}, next: "get events", wait: soon, exit: 3, within: 40 * time.Second,
		},
	}
}

func goingObjects() []scenario {
	held := app{replicas: 1}.up()
	hold := run("patch", "deployment/api", "--type=merge", "-p", `{"metadata":{"finalizers":["example.com/hold"]}}`)
	free := finally("patch", "deployment/api", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	return []scenario{
		{
			name: "deployment-finalizer", fault: "a Deployment that is deleted, and held by a finalizer", target: "deployment/api",
			steps: []step{held, free, hold, run("set", "image", "deployment/api", "main=Foo:::"), run("delete", "deployment/api", "--wait=false")},
			root:  "FinalizerBlocksDeletion", verdict: []string{"Superseded"}, says: []string{"finalizer example.com/hold remains"}, not: []string{"InvalidImageName"}, next: "--show-managed-fields",
			wait: soon, exit: 7, within: 10 * time.Second,
		},
		{
			name: "deployment-with-finalizer", fault: "a Deployment with a finalizer, which is not deleted", target: "deployment/api",
			steps: []step{held, free, hold}, root: "", verdict: good, wait: settled, exit: 0, within: 10 * time.Second,
		},
	}
}

func handMadeVolumes() []scenario {
	class := all(apply(`{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: NAMESPACE}, provisioner: kubernetes.io/no-provisioner, volumeBindingMode: WaitForFirstConsumer}`),
		finally("delete", "storageclass", "NAMESPACE"),
		apply(`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {storageClassName: NAMESPACE, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}`))
	volume := all(apply(`{apiVersion: v1, kind: PersistentVolume, metadata: {name: NAMESPACE}, spec: {storageClassName: NAMESPACE, accessModes: [ReadWriteOnce], capacity: {storage: 1Mi}, hostPath: {path: /tmp}}}`),
		finally("delete", "pv", "NAMESPACE", "--wait=false"))
	claimed := app{replicas: 1, pod: "\n      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]", extra: "\n        volumeMounts: [{name: data, mountPath: /data}]"}
	return []scenario{
		{
			name: "claim-no-provisioner", fault: "a claim that waits for its pod, of a class without a provisioner", target: "deployment/api", steps: []step{class, claimed.apply()},
			root: "NoPersistentVolumeAvailable", verdict: []string{"Stuck", "Failed"}, says: []string{"has no provisioner", `"data" is Pending`}, next: "describe pvc data", wait: soon, exit: 3, within: 30 * time.Second,
		},
		{
			name: "claim-volume-by-hand", fault: "the same claim, and a volume that was made by hand", target: "deployment/api", steps: []step{class, volume, claimed.up()},
			root: "", verdict: good, wait: settled, exit: 0, within: 10 * time.Second,
		},
	}
}

func defaulted() []scenario {
	small := apply(`{apiVersion: v1, kind: LimitRange, metadata: {name: small}, spec: {limits: [{type: Container, default: {memory: 64Mi}}]}}`)
	requests := func(memory string) app {
		return app{replicas: 1, extra: "\n        resources: {requests: {memory: " + memory + "}}"}
	}
	return []scenario{
		{
			name: "limitrange-default-limit", fault: "a LimitRange whose default limit is below the request", target: "deployment/api", steps: []step{small, requests("128Mi").apply()},
			root: "PodInvalid", verdict: []string{"Stuck", "Failed"}, says: []string{"less than or equal to memory limit of 64Mi"}, next: "describe limitrange", shows: marked("describe limitrange", "64Mi"), wait: soon, exit: 3, within: 30 * time.Second,
		},
		{
			name: "limitrange-default-fits", fault: "the same LimitRange, and a request that fits", target: "deployment/api", steps: []step{small, requests("16Mi").up()},
			root: "", verdict: good, wait: settled, exit: 0, within: 10 * time.Second,
		},
	}
}

// changesReplicaSets is a policy that changes the ReplicaSets of the namespace when they are made.
func changesReplicaSets(object string) step {
	return all(finally("delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", "NAMESPACE"), apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: NAMESPACE}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
    resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [replicasets]}]
  reinvocationPolicy: Never
  mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: '`+object+`'}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: NAMESPACE}
spec: {policyName: NAMESPACE}
`), pause(10*time.Second)) // a policy is compiled some seconds after it was made
}

func annotated() []scenario {
	return []scenario{{
		name: "replicasets-annotated", fault: "admission annotates each ReplicaSet, and leaves its template alone", target: "deployment/api",
		steps: []step{changesReplicaSets(`Object{metadata: Object.metadata{annotations: {"example.com/stamp": "x"}}}`), app{replicas: 1}.up(), run("wait", "rs", "--all", `--for=jsonpath={.metadata.annotations.example\.com/stamp}=x`, "--timeout=90s")},
		root:  "", verdict: good, wait: settled, exit: 0, within: 10 * time.Second,
	}}
}

// mutatedPhase is alone: the controller makes one ReplicaSet after the other for as long as it lasts, hundreds of them, and has no
// requests left for the Deployments of others (--kube-api-qps, 20 a second). Their pods, which no scheduler takes, cost the kubelets
// nothing.
func mutatedPhase() phase {
	unscheduled := app{replicas: 1, pod: "\n      schedulerName: none"}
	return phase{
		name: "admission changes ReplicaSets", inject: all(),
		scenarios: []prepared{{
			scenario: scenario{
				name: "replicasets-mutated", fault: "admission changes the template of each ReplicaSet", target: "deployment/api",
				steps: []step{changesReplicaSets(`Object{spec: Object.spec{template: Object.spec.template{metadata: Object.spec.template.metadata{annotations: {"example.com/stamp": "x"}}}}}`), unscheduled.apply()},
				root:  "ReplicaSetMutated", verdict: stuck, says: []string{"admission changes each new ReplicaSet", "example.com/stamp"}, next: "mutatingadmissionpolicies", wait: soon, exit: 3, within: 40 * time.Second,
			},
		}},
	}
}

func scaledDown() []scenario {
	db := app{kind: "StatefulSet", name: "db", replicas: 3, extra: "\n        readinessProbe: {exec: {command: [sh, -c, \"[ ! -e /tmp/broken ]\"]}, periodSeconds: 1}"}
	down := run("scale", "statefulset/db", "--replicas=1")
	return []scenario{
		{
			name: "scale-down-waits", fault: "a scale-down while the first pod is not ready", target: "statefulset/db",
			steps: []step{db.up(), run("exec", "db-0", "--", "touch", "/tmp/broken"), await("pod/db-0", ".status.containerStatuses[0].ready", "false"), down},
			root:  "ReadinessProbeFailing", verdict: late, says: []string{"db-0"}, also: []string{"OrderedReadyWait"}, next: "logs db-0", wait: brief, exit: 5, within: 40 * time.Second,
		},
		{
			name: "scale-down", fault: "the same scale-down, and all pods are ready", target: "statefulset/db", steps: []step{db.up(), down},
			root: "", verdict: good, wait: settled, exit: 0, within: 30 * time.Second,
		},
	}
}
