package nodeshell

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

const web = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: w1
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "busybox:1.36", imagePullPolicy: IfNotPresent, command: [sh, -c, "mkdir /w; echo hello-packets >/w/index.html; exec httpd -f -p 8080 -h /w"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: web}}
spec:
  nodeName: w2
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "toolbox:1", imagePullPolicy: IfNotPresent, command: [sleep, "1d"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: crash}
spec:
  nodeName: w1
  containers: [{name: c, image: "busybox:1.36", imagePullPolicy: IfNotPresent, command: ["false"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: hostnet}
spec:
  nodeName: w1
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: "busybox:1.36", imagePullPolicy: IfNotPresent, command: [sleep, "1d"]}]
`

func pods(t *testing.T, c *harness.Cluster, ns string) (webIP string) {
	t.Helper()
	c.Apply(t, web, "-n", ns)
	c.MustKubectl(t, "wait", "-n", ns, "--for=condition=Ready", "pod/web", "pod/client", "pod/hostnet", "--timeout=90s")
	return c.MustKubectl(t, "get", "pod", "web", "-n", ns, "-o", "jsonpath={.status.podIP}")
}

func TestAPodsNetwork(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	ip := pods(t, c, ns)
	if r := run(t, c, "-n", ns, "pod/web", "--netns", "--eval", "hostname; ip -o -4 addr; ss -tln"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "w1\n") || !strings.Contains(r.Stdout, ip+"/") || !strings.Contains(r.Stdout, ":8080") {
		t.Errorf("code %d, %q, %s", r.Code, r.Stdout, r.Stderr)
	}
	t.Run("of a pod that crashes", func(t *testing.T) {
		harness.Eventually(t, time.Minute, func() (string, bool) {
			state := c.MustKubectl(t, "get", "pod", "crash", "-n", ns, "-o", "jsonpath={.status.containerStatuses[0].restartCount} {.status.podIP}")
			return state, len(strings.Fields(state)) == 2 && !strings.HasPrefix(state, "0")
		})
		own := c.MustKubectl(t, "get", "pod", "crash", "-n", ns, "-o", "jsonpath={.status.podIP}")
		if r := run(t, c, "-n", ns, "pod/crash", "--netns", "--", "ip", "-o", "-4", "addr"); r.Code != 0 || !strings.Contains(r.Stdout, own+"/") {
			t.Errorf("code %d, %q, %s", r.Code, r.Stdout, r.Stderr)
		}
	})
	t.Run("of a pod on the node's network, with a warning", func(t *testing.T) {
		if r := run(t, c, "-n", ns, "pod/hostnet", "--netns", "--", "true"); r.Code != 0 || !strings.Contains(r.Stderr, "uses the network of node") {
			t.Errorf("code %d, %s", r.Code, r.Stderr)
		}
	})
	t.Run("of a static pod", func(t *testing.T) {
		if r := run(t, c, "-n", "kube-system", "pod/kube-apiserver-cp1", "--netns", "--eval", "hostname; ss -tln"); r.Code != 0 || !strings.Contains(r.Stdout, "cp1\n") || !strings.Contains(r.Stdout, ":6443") {
			t.Errorf("code %d, %q, %s", r.Code, r.Stdout, r.Stderr)
		}
	})
}

// A real HTTP request and a DNS query between two pods, read back by tcpdump.
func TestCaptureOfTwoPods(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	ip := pods(t, c, ns)
	dir := t.TempDir()
	all, one := filepath.Join(dir, "all.pcapng"), filepath.Join(dir, "web.pcap")
	traffic := func(line string) harness.Result {
		return c.Sh(t, fmt.Sprintf(`(for i in 1 2 3 4 5 6; do kubectl exec -n %s client -- sh -c 'wget -qO- http://%s:8080/ >/dev/null; dig +time=1 +tries=1 packets.example.test >/dev/null' >/dev/null 2>&1; sleep 2; done) & %s; code=$?; wait; exit $code`, ns, ip, line))
	}
	r := traffic(fmt.Sprintf("kubectl nodeshell capture web client -n %s -w %s --duration 12s", ns, all))
	if r.Code != 0 || !strings.Contains(r.Stderr, "dropped 0") {
		t.Fatalf("code %d: %s", r.Code, r.Stderr)
	}
	text := c.Sh(t, "tcpdump -nnA -r "+all+" 2>/dev/null").Stdout
	for _, want := range []string{"GET / HTTP/1", "hello-packets", "packets.example.test", ip + ".8080"} {
		if !strings.Contains(text, want) {
			t.Errorf("the capture lacks %q", want)
		}
	}
	raw, err := os.ReadFile(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{ns + "/web on node w1", ns + "/client on node w2"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no interface is called %q", want)
		}
	}
	r = traffic(fmt.Sprintf("kubectl nodeshell capture web -n %s -w %s --count 4 -o json -- tcp port 8080", ns, one))
	if r.Code != 0 || !strings.Contains(r.Stdout, `"packets": 4`) || !strings.Contains(r.Stdout, `"complete": true`) {
		t.Errorf("code %d, %s %s", r.Code, r.Stdout, r.Stderr)
	}
	if n := strings.Count(c.Sh(t, "tcpdump -nn -r "+one+" 2>/dev/null").Stdout, "\n"); n != 4 {
		t.Errorf("%d packets in the file", n)
	}
}

// In a namespace that enforces "baseline" no privileged pod is allowed there, and an ephemeral container is enough.
func TestCaptureWithoutPrivilege(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	ip := pods(t, c, ns)
	c.MustKubectl(t, "label", "namespace", ns, "pod-security.kubernetes.io/enforce=baseline")
	file := filepath.Join(t.TempDir(), "e.pcap")
	r := c.Sh(t, fmt.Sprintf(`(for i in 1 2 3 4 5 6 7; do kubectl exec -n %s client -- wget -qO- http://%s:8080/ >/dev/null 2>&1; sleep 2; done) & kubectl nodeshell capture web -n %s --mode ephemeral --image docker.io/library/toolbox:1 -w %s --duration 10s -- tcp port 8080; code=$?; wait; exit $code`, ns, ip, ns, file))
	if r.Code != 0 {
		t.Fatalf("code %d: %s", r.Code, r.Stderr)
	}
	if text := c.Sh(t, "tcpdump -nnA -r "+file+" 2>/dev/null").Stdout; !strings.Contains(text, "hello-packets") {
		t.Errorf("the capture lacks the answer: %s", text)
	}
	harness.Eventually(t, time.Minute, func() (string, bool) {
		state := c.MustKubectl(t, "get", "pod", "web", "-n", ns, "-o", "jsonpath={.status.ephemeralContainerStatuses[*].state}")
		return state, strings.Contains(state, "terminated")
	})
}
