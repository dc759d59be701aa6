package rolloutexplain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// moreControllers are troubles of revisions and of other writers.
func moreControllers() []scenario {
	twoWriters := change("two-writers", "an autoscaler and a manifest that both set replicas", 2, app{extra: never(5)}, "ReadinessProbeFailing", late, "logs", nil, 0)
	twoWriters.steps = append(twoWriters.steps, func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		for range 3 {
			c.MustKubectl(t, "scale", "deployment/api", "--replicas=3", "-n", ns)
			time.Sleep(time.Second)
			c.MustKubectl(t, "patch", "deployment/api", "-n", ns, "--field-manager=ci", "-p", `{"spec":{"replicas":2}}`)
			time.Sleep(time.Second)
		}
	})
	twoWriters.also = []string{"ReplicasFlapping"}
	stale := change("stale-change-cause", "a change-cause that nobody rewrote", 1, app{}.withCommand(`["/nope"]`), "ContainerStartError", stuck, "rollout undo", nil, 0)
	stale.steps = []step{app{replicas: 1}.up(), run("annotate", "deployment/api", "kubernetes.io/change-cause=release 1"), pause(2 * time.Second), app{replicas: 1}.withCommand(`["/nope"]`).apply()}
	stale.also = []string{"StaleChangeCause"}
	return []scenario{
		twoWriters, stale,
		{
			name: "revision-renumbered", fault: "an undo renumbers revision 1 to 3, then an image name that is not valid", target: "deployment/api",
			steps: []step{app{replicas: 1}.up(), run("set", "env", "deployment/api", "V=2"), complete("deployment/api"), run("rollout", "undo", "deployment/api"), complete("deployment/api"), run("set", "image", "deployment/api", "main=Foo:::")},
			root:  "InvalidImageName", verdict: failed, says: []string{"Foo:::"}, next: "--to-revision=3", wait: soon, exit: 3, within: 15 * time.Second,
		},
	}
}

func moreStatefulSets() []scenario {
	claims := "\n  volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: nope, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]"
	ready := app{kind: "StatefulSet", name: "db", replicas: 2, command: "touch /tmp/ready; exec sleep 3600", extra: "\n        readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 1}"}
	return []scenario{
		{
			name: "statefulset-old-pod-blocks", fault: "an old pod is not ready when the update comes", target: "statefulset/db",
			steps: []step{ready.up(), run("exec", "db-0", "--", "rm", "/tmp/ready"), pause(5 * time.Second), run("set", "env", "statefulset/db", "V=2")},
			root:  "ReadinessProbeFailing", verdict: late, says: []string{"db-0"}, next: "logs db-0", wait: brief, exit: 5, within: 40 * time.Second,
		},
		{
			name: "statefulset-claim-deleting", fault: "a claim of the same name is being deleted", target: "statefulset/db",
			steps: []step{
				apply(`{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data-db-0, finalizers: [example.com/hold]}, spec: {storageClassName: nope, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}`),
				func(t *testing.T, c *harness.Cluster, ns string) {
					t.Helper()
					t.Cleanup(func() {
						c.Kubectl(t, "patch", "pvc", "data-db-0", "-n", ns, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
					})
				},
				run("delete", "pvc", "data-db-0", "--wait=false"), app{kind: "StatefulSet", name: "db", replicas: 1, spec: claims}.apply(),
			},
			root: "PVCTerminating", verdict: stuck, says: []string{"data-db-0"}, next: "get pvc", shows: marked("get pvc", "data-db-0"), wait: soon, exit: 3, within: 40 * time.Second,
		},
		{
			name: "statefulset-adopted", fault: "adopted pods without the volumes of the claim templates: it runs, and the controller cannot put it right", target: "statefulset/db",
			steps: []step{app{kind: "StatefulSet", name: "db", replicas: 1}.up(), run("delete", "statefulset", "db", "--cascade=orphan"), app{kind: "StatefulSet", name: "db", replicas: 1, spec: claims}.apply(), pause(15 * time.Second)},
			root:  "", verdict: good, also: []string{"StatefulSetUpdateFailed"},
		},
	}
}

// apart lets a node run one pod of the workload.
var apart = strings.Replace(antiAffinity, "kubernetes.io/os", "kubernetes.io/hostname", 1)

// morePlaces are pods that find no place, or lose it.
func morePlaces() []scenario {
	onW1 := "\n      nodeSelector: {kubernetes.io/hostname: w1}"
	half := "\n        resources: {requests: {cpu: \"1200m\"}}"
	mixed := "\n      affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [w1]}]}]}}}"
	scaling := change("autoscaler-adds-a-node", "no room, and an autoscaler that has said it adds a node", 1, app{extra: "\n        resources: {requests: {cpu: \"500\"}}"}, "InsufficientResources", late, "describe pod", brief, 5, "the autoscaler is adding a node")
	scaling.steps = append(scaling.steps, pause(3*time.Second), autoscalerEvent)
	// The kubelet measures volumes once a minute; after the first eviction the next pod runs, and the rollout is complete again.
	evicted := change("evicted-ephemeral", "an emptyDir that outgrows its limit, once", 1, app{
		command: "dd if=/dev/zero of=/scratch/x bs=1M count=20; exec sleep 3600", pod: "\n      volumes: [{name: s, emptyDir: {sizeLimit: 2Mi}}]", extra: "\n        volumeMounts: [{name: s, mountPath: /scratch}]",
	}, "", good, "", nil, 0)
	evicted.also, evicted.limit = []string{"Evicted"}, 4*time.Minute
	return []scenario{
		change("sched-mixed", "one node is too small, the others are not wanted", 1, app{pod: mixed, extra: "\n        resources: {requests: {cpu: \"500\"}}"}, "InsufficientResources", stuck, "rollout undo", soon, 3, "Insufficient cpu", "even without other pods"),
		scaling,
		change("sched-affinity-nobody", "affinity to pods that are nowhere", 1, app{pod: "\n      affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: cache}}}]}}"},
			"PodAffinityUnsatisfied", stuck, "rollout undo", soon, 3, "next to pods with app=cache"),
		change("hostpath-absent", "a hostPath that is not on the node", 1, app{pod: "\n      volumes: [{name: v, hostPath: {path: /no/such/dir, type: Directory}}]", extra: "\n        volumeMounts: [{name: v, mountPath: /v}]"},
			"FailedMount", stuck, "rollout undo", soon, 3, "hostPath /no/such/dir"),
		change("start-workdir", "a working directory that is a file of the image", 1, app{extra: "\n        workingDir: /bin/sh"},
			"ContainerStartError", stuck, "rollout undo", soon, 3, "its working directory /bin/sh cannot be made"),
		change("start-subpath", "a file of a ConfigMap mounted onto a directory of the image", 1, app{pod: "\n      volumes: [{name: v, configMap: {name: kube-root-ca.crt}}]", extra: "\n        volumeMounts: [{name: v, mountPath: /etc, subPath: ca.crt}]"},
			"ContainerStartError", stuck, "rollout undo", soon, 3, `volume "v" cannot be mounted at /etc`),
		{
			name: "sched-hostport", fault: "a host port that the old pods hold on every node, surge 1", target: "deployment/api",
			steps: []step{app{replicas: 2, spec: "\n  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}", extra: "\n        ports: [{containerPort: 18191, hostPort: 18191}]"}.up(), run("set", "env", "deployment/api", "V=2")},
			root:  "HostPortConflict", verdict: stuck, says: []string{"deadlock"}, next: `"maxSurge":0`, wait: soon, exit: 3, within: 40 * time.Second,
		},
		{
			name: "sched-more-than-nodes", fault: "three pods that keep each other off a node, two nodes", target: "deployment/api",
			steps: []step{app{replicas: 3, pod: apart}.apply()},
			root:  "PodAffinityUnsatisfied", verdict: stuck, says: []string{"each of the 2 eligible nodes already runs a pod"}, next: "--replicas=2", wait: soon, exit: 3, within: 40 * time.Second,
		},
		{
			name: "sched-autoscaled", fault: "a HorizontalPodAutoscaler wants a third pod, and each of two nodes takes one", target: "deployment/api",
			steps: []step{
				app{replicas: 2, pod: apart}.up(),
				apply(`{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: api}, spec: {minReplicas: 3, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}}}`),
				await("deployment/api", ".spec.replicas", "3"),
			},
			root: "PodAffinityUnsatisfied", verdict: stuck, says: []string{"each of the 2 eligible nodes already runs a pod"}, next: "get hpa", wait: soon, exit: 3, within: 40 * time.Second,
		},
		{
			name: "one-replica-cpu", fault: "one replica that takes more than half of the only eligible node", target: "deployment/api",
			steps: []step{app{replicas: 1, pod: onW1, extra: half}.up(), run("set", "env", "deployment/api", "V=2")},
			root:  "InsufficientResources", verdict: stuck, says: []string{"deadlock", "requires 1200m cpu"}, next: `"maxSurge":0`, wait: soon, exit: 3, within: 40 * time.Second,
		},
		evicted,
	}
}

// autoscalerEvent says of each pending pod what a cluster autoscaler says; none runs here.
func autoscalerEvent(t *testing.T, c *harness.Cluster, ns string) {
	t.Helper()
	pods := c.MustKubectl(t, "get", "pods", "-n", ns, "--field-selector=status.phase=Pending", "-o", `jsonpath={range .items[*]}{.metadata.name}/{.metadata.uid}{"\n"}{end}`)
	now := time.Now().UTC().Format(time.RFC3339)
	for i, line := range strings.Fields(pods) {
		name, uid, _ := strings.Cut(line, "/")
		c.Apply(t, fmt.Sprintf(`{apiVersion: v1, kind: Event, metadata: {name: scale-up-%d}, type: Normal, reason: TriggeredScaleUp, message: "pod triggered scale-up: [{pool 1->2 (max: 5)}]", count: 1, firstTimestamp: %q, lastTimestamp: %q,
source: {component: cluster-autoscaler}, involvedObject: {apiVersion: v1, kind: Pod, name: %s, namespace: %s, uid: %s}}`, i, now, now, name, ns, uid), "-n", ns)
	}
}
