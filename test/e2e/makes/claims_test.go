package makes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	rollout "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

const onAVolume = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: "testapp:1", volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {storageClassName: local-path, accessModes: [ReadWriteOnce], resources: {requests: {storage: 16Mi}}}
`

// A volume that was provisioned on one node holds its pod there: other nodes are not for the pod, however free they are.
func TestAVolumeHoldsAPodToItsNode(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.Apply(t, onAVolume, "-n", ns)
	c.MustKubectl(t, "wait", "statefulset/db", "--for=jsonpath={.status.availableReplicas}=1", "--timeout=90s", "-n", ns)
	node := c.MustKubectl(t, "get", "pod", "db-0", "-n", ns, "-o", "jsonpath={.spec.nodeName}")
	c.MustKubectl(t, "cordon", node)
	t.Cleanup(func() { c.MustKubectl(t, "uncordon", node) })
	c.MustKubectl(t, "delete", "pod", "db-0", "-n", ns)
	var said rollout.Rollout
	harness.Eventually(t, 30*time.Second, func() (string, bool) {
		said = rollout.Rollout{}
		read(t, c, &said, "rollout-explain", "statefulset/db", "-n", ns, "-o", "json")
		return fmt.Sprintf("%s: %s", said.Verdict, said.Summary), len(said.Findings) == 1 && said.Findings[0].Code == "NodesCordoned" &&
			strings.Contains(said.Summary, node)
	})
	if !slices.ContainsFunc(said.Findings[0].Evidence, func(e finding.Evidence) bool { return strings.HasPrefix(e.Value, "cannot reach PersistentVolume pvc-") }) {
		t.Errorf("which node cannot reach the volume is not shown: %+v", said.Findings[0].Evidence)
	}
	follow(t, c, []finding.Finding{said.Findings[0].Finding})
	c.Settle(t, "NodesCordoned", said.Summary, "rollout-explain", "statefulset/db")
	c.MustKubectl(t, "uncordon", node)
	c.MustKubectl(t, "wait", "statefulset/db", "--for=jsonpath={.status.availableReplicas}=1", "--timeout=60s", "-n", ns)
}
