package rolloutexplain

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// phase is a fault of the cluster itself, and what rollouts of that time must say. Phases run alone, before the tests that
// run side by side: all others need healthy nodes.
type phase struct {
	name      string
	inject    step
	scenarios []prepared
}

// prepared is a scenario with steps that come before the phase's fault.
type prepared struct {
	scenario
	before []step // start what must run: nothing is waited for
	ready  []step // wait for it
}

func phases() []phase {
	return []phase{placesPhase(), nodeDownPhase(), controlPlanePhase(), restartPhase(), mutatedPhase()}
}

const (
	onW1 = "\n      nodeSelector: {kubernetes.io/hostname: w1}"
	onW2 = "\n      nodeSelector: {kubernetes.io/hostname: w2}"
)

// patient pods leave a dead node after two seconds instead of five minutes.
const patient = onW2 + "\n      tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 2}]"

// breaks injects a fault of the cluster until the test ends.
func breaks(fault, node string) step {
	return func(t *testing.T, c *harness.Cluster, _ string) {
		t.Helper()
		c.Fault(t, fault, node)
	}
}

func placesPhase() phase {
	agent := app{kind: "DaemonSet", name: "agent"}
	return phase{
		name: "w2 is tainted and cordoned",
		inject: func(t *testing.T, c *harness.Cluster, _ string) {
			t.Helper()
			t.Cleanup(func() {
				c.Kubectl(t, "taint", "node", "w2", "example.com/repair-")
				c.Kubectl(t, "uncordon", "w2")
			})
			c.MustKubectl(t, "taint", "node", "w2", "example.com/repair=disk:NoSchedule")
			c.MustKubectl(t, "cordon", "w2")
		},
		scenarios: []prepared{
			{
				before: []step{agent.apply()}, ready: []step{complete("daemonset/agent")},
				scenario: scenario{
					name: "daemonset-node-tainted", fault: "a node is tainted under a running DaemonSet", target: "daemonset/agent",
					root: "", verdict: good, also: []string{"DaemonSetNodesExcluded"}, wait: []string{"--stable-for=1s", "--timeout=60s"}, exit: 0, within: 40 * time.Second,
				},
			},
			{
				before: []step{app{replicas: 1, pod: onW2}.apply()}, ready: []step{complete("deployment/api")},
				scenario: scenario{
					name: "sched-cordoned", fault: "the only selected node is cordoned and tainted", target: "deployment/api", steps: []step{run("set", "env", "deployment/api", "V=2")},
					root: "NodesCordoned", verdict: late, says: []string{"w2 (cordoned"}, next: "nodeinfo w2", shows: marked("nodeinfo w2", "ordoned"), wait: brief, exit: 5, within: 40 * time.Second,
				},
			},
			{
				// Nobody else of this phase starts a pod on w1.
				before: []step{app{replicas: 1, pod: onW1}.apply()}, ready: []step{complete("deployment/api")},
				scenario: scenario{
					name: "no-pod-address", fault: "every pod address of the selected node is taken", target: "deployment/api",
					steps: []step{breaks("exhaust-cni-range", "w1"), run("set", "env", "deployment/api", "V=2")},
					root:  "FailedCreatePodSandBox", verdict: late, says: []string{"w1", "no IP addresses available"}, next: "nodeinfo w1", shows: marked("nodeinfo w1", "no free pod address"), wait: brief, exit: 5, within: 40 * time.Second,
				},
			},
		},
	}
}

func nodeDownPhase() phase {
	db := app{kind: "StatefulSet", name: "db", replicas: 1, pod: patient}
	recreate := app{replicas: 1, pod: patient, spec: "\n  strategy: {type: Recreate}"}
	agent := app{kind: "DaemonSet", name: "agent", spec: "\n  updateStrategy: {rollingUpdate: {maxUnavailable: 1}}"}
	pinned := app{replicas: 1, pod: onW2}
	return phase{
		name:   "the kubelet of w2 is down",
		inject: nodeDown,
		scenarios: []prepared{
			{
				before: []step{agent.apply()}, ready: []step{complete("daemonset/agent")},
				scenario: scenario{
					name: "daemonset-node-down", fault: "a node stops answering, then a new template", target: "daemonset/agent", steps: []step{run("set", "env", "daemonset/agent", "V=2"), pause(5 * time.Second)},
					root: "TerminatingOnNotReadyNode", verdict: append([]string{"Progressing"}, stuck...), says: []string{"w2"}, next: "nodeinfo w2", limit: 2 * time.Minute,
				},
			},
			{
				before: []step{db.apply()}, ready: []step{complete("statefulset/db")},
				scenario: scenario{
					name: "statefulset-node-down", fault: "the node of its pod is lost", target: "statefulset/db", steps: []step{run("set", "env", "statefulset/db", "V=2")},
					root: "TerminatingOnNotReadyNode", verdict: stuck, says: []string{"db-0", "w2", "damage its data"}, next: "out-of-service", limit: 2 * time.Minute,
				},
			},
			{
				before: []step{recreate.apply()}, ready: []step{complete("deployment/api")},
				scenario: scenario{
					name: "recreate-node-down", fault: "strategy Recreate, and the old pod's node is lost", target: "deployment/api", steps: []step{run("set", "env", "deployment/api", "V=2")},
					root: "TerminatingOnNotReadyNode", verdict: stuck, says: []string{"w2"}, next: "nodeinfo w2", also: []string{"RecreateWaitingForOldPods"}, limit: 2 * time.Minute,
				},
			},
			{
				before: []step{pinned.apply()}, ready: []step{complete("deployment/api")},
				scenario: scenario{
					name: "deployment-node-down", fault: "the only selected node is lost", target: "deployment/api", steps: []step{run("set", "env", "deployment/api", "V=2"), pause(3 * time.Second)},
					root: "UntoleratedTaint", verdict: late, says: []string{"cordoned or unhealthy", "w2"}, next: "nodeinfo w2", wait: brief, exit: 5, within: 40 * time.Second,
				},
			},
		},
	}
}

// nodeDown stops a kubelet and waits until the cluster has noticed; it comes back when the test ends.
func nodeDown(t *testing.T, c *harness.Cluster, _ string) {
	t.Helper()
	c.Fault(t, "stop-kubelet", "w2")
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		state := c.MustKubectl(t, "get", "node", "w2", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.spec.taints[*].effect}`)
		return "w2 is Ready " + state, strings.HasPrefix(state, "Unknown ") && strings.Contains(state, "NoExecute")
	})
}

func controlPlanePhase() phase {
	return phase{
		name:   "scheduler and controller-manager are down",
		inject: breaks("stop-scheduler", "cp1"),
		scenarios: []prepared{
			{
				before: []step{app{replicas: 1}.apply()}, ready: []step{complete("deployment/api")},
				scenario: scenario{
					name: "scheduler-down", fault: "kube-scheduler does not run", target: "deployment/api", steps: []step{run("set", "env", "deployment/api", "V=2"), pause(25 * time.Second)}, // until its lease is old
					root: "SchedulerNotActing", verdict: late, says: []string{"kube-scheduler has not renewed its Lease"}, next: "kube-scheduler", wait: brief, exit: 5, within: 40 * time.Second, limit: 2 * time.Minute,
				},
			},
			{
				before: []step{app{replicas: 1}.apply()}, ready: []step{complete("deployment/api")},
				scenario: scenario{
					name: "controller-manager-down", fault: "kube-controller-manager does not run", target: "deployment/api",
					steps: []step{
						pause(10 * time.Second), // the other scenario of the phase needs it
						breaks("stop-controller-manager", "cp1"),
						pause(3 * time.Second), run("set", "env", "deployment/api", "V=2"), pause(22 * time.Second), // until its lease is old
					},
					root: "SpecUpdateNotObserved", verdict: late, says: []string{"kube-controller-manager has not renewed its Lease"}, next: "kube-controller-manager", wait: brief, exit: 5, within: 40 * time.Second, limit: 2 * time.Minute,
				},
			},
		},
	}
}

// restartPhase: the API server goes away and comes back while --wait watches. The controllers go on afterwards.
func restartPhase() phase {
	slow := app{replicas: 1, spec: "\n  minReadySeconds: 45", command: "exec sleep 3601"}
	return phase{
		name: "the API server restarts", inject: all(),
		scenarios: []prepared{{
			before: []step{app{replicas: 1}.apply()}, ready: []step{complete("deployment/api")},
			scenario: scenario{
				name: "apiserver-restarts", fault: "the API server goes away for ten seconds while --wait waits", target: "deployment/api", steps: []step{slow.apply()},
				root: "MinReadySecondsNotElapsed", verdict: moving, wait: []string{"--timeout=150s", "--stable-for=1s"}, exit: 0, within: 150 * time.Second,
				during: func(t *testing.T, c *harness.Cluster, _ string) {
					t.Helper()
					heal := c.Fault(t, "stop-apiserver", "cp1")
					time.Sleep(10 * time.Second)
					heal()
				},
			},
		}},
	}
}

// On a cluster of their own: they wait for most of their time, while the other one is busy.
func TestFaultsOfTheCluster(t *testing.T) {
	t.Parallel()
	c := harness.Own(t, "rolloutexplain2", 2)
	for _, p := range phases() {
		t.Run(p.name, func(t *testing.T) {
			namespaces := make([]string, len(p.scenarios))
			for i, s := range p.scenarios {
				namespaces[i] = c.Namespace(t)
				all(s.before...)(t, c, namespaces[i])
			}
			for i, s := range p.scenarios {
				all(s.ready...)(t, c, namespaces[i])
			}
			t.Cleanup(func() { healthyNodes(t, c) })
			p.inject(t, c, "")
			// Side by side, but not as parallel tests, which would get their turn after all scenarios of the other cluster.
			var proofs sync.WaitGroup
			for i, s := range p.scenarios {
				proofs.Go(func() {
					t.Run(s.name, func(t *testing.T) { s.proveIn(t, c, namespaces[i]) })
				})
			}
			proofs.Wait()
		})
	}
}

// healthyNodes waits after a phase, so that the next test does not meet its fault.
func healthyNodes(t *testing.T, c *harness.Cluster) {
	t.Helper()
	harness.Eventually(t, 3*time.Minute, func() (string, bool) {
		states := c.Kubectl(t, "get", "nodes", "-o", `jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{.spec.taints[*].key}{" "}{end}`)
		return states.Stdout, states.Code == 0 && states.Stdout == "Truenode-role.kubernetes.io/control-plane True True "
	})
}
