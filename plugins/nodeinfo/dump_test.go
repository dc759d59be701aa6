package nodeinfo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// dumped is a dump whose node w2 stopped renewing its Lease a minute and a half before.
const dumped = `apiVersion: v1
items:
- apiVersion: v1
  kind: Node
  metadata: {name: w1, creationTimestamp: "2025-03-01T10:00:00Z"}
  status: {conditions: [{type: Ready, status: "True", lastHeartbeatTime: "2025-03-02T09:58:00Z", lastTransitionTime: "2025-03-01T10:01:00Z"}]}
- apiVersion: v1
  kind: Node
  metadata: {name: w2, creationTimestamp: "2025-03-01T10:00:00Z"}
  status: {conditions: [{type: Ready, status: "True", lastHeartbeatTime: "2025-03-02T09:58:00Z", lastTransitionTime: "2025-03-01T10:01:00Z"}]}
- apiVersion: coordination.k8s.io/v1
  kind: Lease
  metadata:
    name: w1
    namespace: kube-node-lease
    managedFields: [{manager: kubelet, operation: Update, time: "2025-03-02T10:00:00Z", fieldsV1: {"f:spec": {"f:renewTime": {}}}}]
  spec: {renewTime: "2025-03-02T10:00:00.000000Z", leaseDurationSeconds: 40}
- apiVersion: coordination.k8s.io/v1
  kind: Lease
  metadata:
    name: w2
    namespace: kube-node-lease
    managedFields: [{manager: kubelet, operation: Update, time: "2025-03-02T09:58:30Z", fieldsV1: {"f:spec": {"f:renewTime": {}}}}]
  spec: {renewTime: "2025-03-02T09:58:30.000000Z", leaseDurationSeconds: 40}
- apiVersion: v1
  kind: Secret
  metadata: {name: key, namespace: shop}
  data: {key: aHVudGVyMg==}
kind: List
metadata: {resourceVersion: ""}
`

// runDump runs the command on the dump, which is also its standard input. DUMP stands for the path of the file.
func runDump(t *testing.T, text, arguments string) (out, stderr string, code int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := testkit.NewEnv("kubectl nodeinfo", now).Stdin(strings.NewReader(text))
	code = env.Run(t, New, strings.Fields(strings.ReplaceAll(arguments, "DUMP", path))...)
	return env.Stdout.String(), strings.ReplaceAll(env.Stderr.String(), path, "DUMP"), code
}

// A dump is judged by its own time, however old it is.
func TestADumpIsJudgedByItsOwnTime(t *testing.T) {
	for args, want := range map[string]int{"-f DUMP": 0, "-f -": 0, "-f DUMP --fail-on=critical": cli.ExitThreshold} {
		out, note, code := runDump(t, dumped, args)
		if code != want || !strings.Contains(out, "2 nodes: 1 Unhealthy, 1 Healthy") ||
			!strings.Contains(out, "ReadyConditionStale") || !strings.Contains(out, " 90s ") {
			t.Errorf("%v: exit %d: %s%s", args, code, out, note)
		}
		if !strings.Contains(note, "the dump is judged as of 2025-03-02T10:00:00Z, the newest time of the API server in its leases\n") ||
			!strings.Contains(note, "note: not checked: the dump contains no pods\n") {
			t.Errorf("%v: %s", args, note)
		}
	}
	// Without the times of the API server, nothing is known of its age.
	out, note, code := runDump(t, strings.ReplaceAll(dumped, "managedFields", "former"), "-f DUMP w2")
	if code != 0 || !strings.HasPrefix(out, "Healthy: node/w2: Ready; heartbeat not checked: the leases in the dump lack") ||
		!strings.Contains(note, "heartbeats are unknown") {
		t.Errorf("exit %d: %s%s", code, out, note)
	}
}

// What a kubelet says of the devices of a pod is read from a dump too.
func TestADumpTellsTheHealthOfDevices(t *testing.T) {
	for health, want := range map[string]bool{"Healthy": false, "Unhealthy": true} {
		pod := `- apiVersion: v1
  kind: Pod
  metadata: {name: train, namespace: shop, creationTimestamp: "2025-03-01T10:00:00Z"}
  spec: {nodeName: w1, containers: [{name: app, resources: {requests: {example.com/gpu: "1"}}}]}
  status:
    phase: Running
    containerStatuses:
    - name: app
      ready: true
      allocatedResourcesStatus: [{name: example.com/gpu, resources: [{resourceID: GPU-7, health: ` + health + `}]}]
kind: List
`
		out, note, code := runDump(t, strings.ReplaceAll(dumped, "kind: List\n", pod), "-f DUMP w1")
		if code != 0 || strings.Contains(out, "device GPU-7 of example.com/gpu is unhealthy") != want || !strings.Contains(out, "shop/train (1)") {
			t.Errorf("%s: exit %d: %s%s", health, code, out, note)
		}
	}
}

func TestADumpShowsNoSecret(t *testing.T) {
	for _, args := range []string{"", "w1", "-o json", "-o markdown", "w2 -o yaml", "-o wide"} {
		out, note, code := runDump(t, dumped, "-f DUMP "+args)
		if all := out + note; code != 0 || strings.Contains(all, "aHVudGVyMg") || strings.Contains(all, "shop") {
			t.Errorf("%s: exit %d: %s", args, code, all)
		}
	}
}

func TestBadDumps(t *testing.T) {
	cut, _, _ := strings.Cut(dumped, "kind: List")
	for _, c := range []struct{ text, args, want string }{
		{"garbage", "-f DUMP", "error: -f DUMP: the file contains no Kubernetes objects\n"},
		{"a: b: c", "-f DUMP", "error: -f DUMP: the file is neither YAML nor JSON: "},
		{cut, "-f DUMP", "error: -f DUMP: the file is cut: a list has no kind after its items\n"},
		{dumped[:600], "-f -", "error: -f -: the file is cut: a list has no kind after its items\n"},
		{"kind: Secret\nmetadata: {name: a}\n", "-f DUMP", "error: -f DUMP: the dump contains no nodes\n"},
		{"kind: Node\nmetadata: {name: a}\nspec: none\n", "-f DUMP", "error: -f DUMP: Node a: "},
		{dumped, "-f DUMP nosuch", "error: the dump does not contain node/nosuch\n"},
		{dumped, "-f DUMP.gone", "error: open DUMP.gone: no such file or directory\n"},
		{dumped, "-f - -f -", "error: -f - can be given only once\n"},
		{dumped, "-f DUMP -w", "error: -f cannot be combined with -w\n"},
		{dumped, "-f DUMP --kubelet --save-input=x -l a=b", "error: -f cannot be combined with --save-input, -l, --kubelet\n"},
		{dumped, "-f DUMP --wait-for=healthy", "error: -f cannot be combined with --wait-for\n"},
		{dumped, "-f DUMP --drain w1", "error: -f cannot be combined with --drain\n"},
		{dumped, "-f DUMP --paths", "error: -f cannot be combined with --paths\n"},
		{dumped, "-f DUMP --from-input=x", "error: -f cannot be combined with --from-input\n"},
	} {
		out, stderr, code := runDump(t, c.text, c.args)
		lines := strings.Count(strings.ReplaceAll(stderr, "See 'kubectl nodeinfo --help'.\n", ""), "\n")
		if code != cli.ExitError || !strings.HasPrefix(stderr, c.want) || out != "" || lines != 1 {
			t.Errorf("%s: exit %d: %s%s", c.args, code, stderr, out)
		}
	}
}
