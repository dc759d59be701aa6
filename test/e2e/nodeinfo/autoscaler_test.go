package nodeinfo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// Neither autoscaler runs in these clusters: what they would write is written by hand, the ConfigMap in both of its forms, and the
// objects of Karpenter against definitions that have their group and kinds alone.
const karpenterKinds = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: nodeclaims.karpenter.sh
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes-sigs/karpenter"}
spec:
  group: karpenter.sh
  scope: Cluster
  names: {kind: NodeClaim, listKind: NodeClaimList, plural: nodeclaims, singular: nodeclaim}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: nodepools.karpenter.sh
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes-sigs/karpenter"}
spec:
  group: karpenter.sh
  scope: Cluster
  names: {kind: NodePool, listKind: NodePoolList, plural: nodepools, singular: nodepool}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// ago is a moment as both write it.
func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }

func nodeClaim(name, node string, conditions ...string) string {
	return fmt.Sprintf(`apiVersion: karpenter.sh/v1
kind: NodeClaim
metadata: {name: %s, labels: {karpenter.sh/nodepool: default}}
spec: {expireAfter: 720h}
status: {nodeName: %q, conditions: [%s]}
---
`, name, node, strings.Join(conditions, ", "))
}

func condition(kind, status, reason, message string, age time.Duration) string {
	return fmt.Sprintf(`{type: %s, status: %q, reason: %s, message: %q, lastTransitionTime: %q}`, kind, status, reason, message, ago(age))
}

func TestKarpenterIsKnownByItsNodeClaims(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w1")
	ns := c.Namespace(t)
	t.Cleanup(func() {
		c.Kubectl(t, "label", "node", "w1", "karpenter.sh/nodepool-")
		c.Kubectl(t, "patch", "node", "w1", "--type=json", "-p", `[{"op":"remove","path":"/metadata/ownerReferences"}]`)
		c.Kubectl(t, "delete", "crd", "nodeclaims.karpenter.sh", "nodepools.karpenter.sh", "--ignore-not-found")
	})
	c.Apply(t, karpenterKinds)
	c.MustKubectl(t, "wait", "--for=condition=Established", "crd/nodeclaims.karpenter.sh", "crd/nodepools.karpenter.sh", "--timeout=30s")
	joined := []string{
		condition("Launched", "True", "Launched", "", time.Hour), condition("Registered", "True", "Registered", "", 50*time.Minute),
		condition("Initialized", "True", "Initialized", "", 40*time.Minute),
	}
	c.Apply(t, nodeClaim("default-w1", "w1", joined...)+
		nodeClaim("default-denied", "", condition("Launched", "Unknown", "LaunchFailed", "creating instance, UnauthorizedOperation", time.Minute))+
		nodeClaim("default-absent", "", joined[0], condition("Registered", "Unknown", "NodeNotFound", "Node not registered with cluster", time.Hour))+
		`apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: default}
spec: {disruption: {consolidateAfter: Never, budgets: [{nodes: 10%}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: `+ns+`}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      nodeName: w1
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: docker.io/library/busybox:latest, imagePullPolicy: Never, command: [sleep, "100000"]}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: db, namespace: `+ns+`}
spec: {minAvailable: 1, selector: {matchLabels: {app: db}}}
---
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: `+ns+`, annotations: {karpenter.sh/do-not-disrupt: "true"}}
spec:
  nodeName: w1
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: docker.io/library/busybox:latest, imagePullPolicy: Never, command: [sleep, "100000"]}]
`)
	uid := c.MustKubectl(t, "get", "nodeclaim", "default-w1", "-o", "jsonpath={.metadata.uid}")
	c.MustKubectl(t, "label", "node", "w1", "karpenter.sh/nodepool=default")
	c.MustKubectl(t, "patch", "node", "w1", "--type=merge", "-p", fmt.Sprintf(
		`{"metadata":{"ownerReferences":[{"apiVersion":"karpenter.sh/v1","kind":"NodeClaim","name":"default-w1","uid":%q}]}}`, uid))
	c.MustKubectl(t, "wait", "--for=condition=Available", "deployment/db", "-n", ns, "--timeout=60s")

	keeps := []string{"PoolConsolidationOff", "PodAnnotated " + ns + "/job", "PodDisruptionBudget " + ns + "/db-"}
	n := scaledBy(t, c, func(a *report.Autoscaler) bool { return slices.EqualFunc(holds(a), keeps, strings.HasPrefix) })
	if a := n.Autoscaler; a.Name != "Karpenter" || a.Group != "default" || a.NodeClaim == nil || a.NodeClaim.Name != "default-w1" || n.Verdict != report.Healthy {
		t.Errorf("%s: %+v", n.Verdict, a)
	}
	t.Log(c.MustKubectl(t, "nodeinfo", "w1", "--section=autoscaler"))

	text := c.MustKubectl(t, "nodeinfo")
	t.Log(text)
	for _, line := range []string{
		"WARNING NodeClaimNotLaunched: Karpenter cannot launch the machine of NodeClaim default-denied,",
		"WARNING NodeClaimNotRegistered: the machine of NodeClaim default-absent was launched 60m ago and has not joined the cluster",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the table does not say %q", line)
		}
	}
	if r := c.Kubectl(t, "nodeinfo", "--fail-on=warning"); r.Code != 3 {
		t.Errorf("--fail-on=warning: exit %d", r.Code)
	}
	c.Apply(t, nodeClaim("default-w1", "w1", joined[0], joined[1],
		condition("Initialized", "Unknown", "ResourceNotRegistered", `Resource "nvidia.com/gpu" was requested but not registered`, 50*time.Minute)))
	becomes(t, c, 30*time.Second, want{node: "w1", verdict: report.Degraded, code: "NodeClaimNotInitialized", text: `Resource "nvidia.com/gpu" was requested`})
	t.Log(c.MustKubectl(t, "nodeinfo", "w1", "--section=autoscaler"))
	// Not that of w1: its deletion would take the Node with it.
	c.MustKubectl(t, "delete", "nodeclaims", "default-denied", "default-absent")
	if text := c.MustKubectl(t, "nodeinfo"); strings.Contains(text, "NodeClaimNotLaunched") || strings.Contains(text, "NodeClaimNotRegistered") {
		t.Errorf("no NodeClaim without a node is left: %s", text)
	}
}

// The status in its two forms, of which the second is that of 1.30 and later; %[1]s is when it was written.
const statusText = `Cluster-autoscaler status at %[1]s:
Cluster-wide:
  Health:      Healthy (ready=3 unready=0 (resourceUnready=0) notStarted=0 longNotStarted=0 registered=3 longUnregistered=0)
               LastProbeTime:      %[1]s
               LastTransitionTime: %[1]s
  ScaleUp:     NoActivity (ready=3 registered=3)
               LastProbeTime:      %[1]s
               LastTransitionTime: %[1]s
  ScaleDown:   NoCandidates (candidates=0)
               LastProbeTime:      %[1]s
               LastTransitionTime: %[1]s

NodeGroups:
  Name:        workers
  Health:      Healthy (ready=2 unready=0 (resourceUnready=0) notStarted=0 longNotStarted=0 registered=2 longUnregistered=0 cloudProviderTarget=2 (minSize=2, maxSize=5))
               LastProbeTime:      %[1]s
               LastTransitionTime: %[1]s
  ScaleUp:     Backoff (ready=2 cloudProviderTarget=2)
               LastProbeTime:      %[1]s
               LastTransitionTime: %[1]s
`

const statusYAML = `time: %[1]s
autoscalerStatus: Running
clusterWide:
  health: {status: Healthy, lastProbeTime: "%[1]s", lastTransitionTime: "%[1]s"}
  scaleUp: {status: NoActivity, lastProbeTime: "%[1]s", lastTransitionTime: "%[1]s"}
  scaleDown: {status: NoCandidates, lastProbeTime: "%[1]s", lastTransitionTime: "%[1]s"}
nodeGroups:
- name: workers
  health: {status: Healthy, nodeCounts: {registered: {total: 2, ready: 2}}, cloudProviderTarget: 2, minSize: 2, maxSize: 5}
  scaleUp: {status: Backoff, backoffInfo: {errorCode: QUOTA_EXCEEDED, errorMessage: Instance creation failed due to quota}}
  scaleDown: {status: NoCandidates}
`

// scalerReports writes the ConfigMap of Cluster Autoscaler.
func scalerReports(t *testing.T, c *harness.Cluster, form, at string) {
	t.Helper()
	text, err := json.Marshal(fmt.Sprintf(form, at))
	if err != nil {
		t.Fatal(err)
	}
	c.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cluster-autoscaler-status, namespace: kube-system}\ndata: {status: "+string(text)+"}\n")
}

func TestClusterAutoscalerIsKnownByItsStatus(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w1")
	ns := c.Namespace(t)
	t.Cleanup(func() {
		c.Kubectl(t, "delete", "configmap", "cluster-autoscaler-status", "-n", "kube-system", "--ignore-not-found")
		c.Kubectl(t, "annotate", "node", "w1", "cluster-autoscaler.kubernetes.io/scale-down-disabled-")
	})
	c.MustKubectl(t, "annotate", "node", "w1", "cluster-autoscaler.kubernetes.io/scale-down-disabled=true")
	c.Apply(t, `apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: `+ns+`}
spec:
  nodeName: w1
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: docker.io/library/busybox:latest, imagePullPolicy: Never, command: [sleep, "100000"]}]
`)
	for form, failed := range map[string]string{statusText: "", statusYAML: "QUOTA_EXCEEDED"} {
		scalerReports(t, c, form, time.Now().UTC().Format("2006-01-02 15:04:05.999999999 -0700 MST"))
		n := scaledBy(t, c, func(a *report.Autoscaler) bool {
			return len(a.Holds) > 1 && a.Holds[0].Reason == "NodeAnnotated" && slices.Contains(holds(a), "PodBare "+ns+"/bare")
		})
		if s := n.Autoscaler.Status; s == nil || s.State != "Running" || s.Health != "Healthy" || s.Stopped || !slices.Equal(s.Backoff, []string{"workers"}) {
			t.Errorf("%+v", s)
		}
		if f := of(t, n, "NodeGroupScaleUpFailing"); f.Severity != "info" || !strings.Contains(f.Evidence[0].Value, failed) {
			t.Errorf("%+v", f)
		}
		t.Log(c.MustKubectl(t, "nodeinfo", "w1", "--section=autoscaler"))
	}
	scalerReports(t, c, statusYAML, ago(20*time.Minute))
	if n, _, err := look(t, c, want{node: "w1"}); err != nil || n.Autoscaler.Status.Stopped { // the API server has just stored it
		t.Errorf("%v: %+v", err, n.Autoscaler)
	}
	c.MustKubectl(t, "patch", "configmap", "cluster-autoscaler-status", "-n", "kube-system", "--type=merge", "-p", `{"metadata":{"managedFields":[{}]}}`)
	becomes(t, c, 30*time.Second, want{
		node: "w1", verdict: report.Degraded, code: "ClusterAutoscalerNotReporting", text: "has not updated its status for 20m",
	})
	t.Log(c.MustKubectl(t, "nodeinfo", "w1", "--section=autoscaler"))
}

// scaledBy waits until w1 has a section of its autoscaler that is as wanted.
func scaledBy(t *testing.T, c *harness.Cluster, as func(*report.Autoscaler) bool) report.Node {
	t.Helper()
	var n report.Node
	harness.Eventually(t, 40*time.Second, func() (string, bool) {
		var err error
		if n, _, err = look(t, c, want{node: "w1"}); err != nil || n.Autoscaler == nil {
			return fmt.Sprint(err, n.Autoscaler), false
		}
		return fmt.Sprintf("%+v", n.Autoscaler), as(n.Autoscaler)
	})
	return n
}

// holds are what keeps a node, as "REASON POD", without the pods of the cluster itself.
func holds(a *report.Autoscaler) []string {
	var list []string
	for _, h := range a.Holds {
		text := h.Reason
		if h.Pod != "" {
			text += " " + h.Namespace + "/" + h.Pod
		}
		if h.Namespace != "kube-system" {
			list = append(list, text)
		}
	}
	return list
}
