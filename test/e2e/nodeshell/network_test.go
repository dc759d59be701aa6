package nodeshell

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	t.Run("of a pod that has ended", func(t *testing.T) {
		c.Apply(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"ended"},"spec":{"nodeName":"w1","restartPolicy":"Never","containers":[{"name":"c","image":"busybox:1.36","imagePullPolicy":"IfNotPresent","command":["true"]}]}}`, "-n", ns)
		c.MustKubectl(t, "wait", "-n", ns, "--for=jsonpath={.status.phase}=Succeeded", "pod/ended", "--timeout=60s")
		if r := run(t, c, "-n", ns, "pod/ended", "--netns", "--", "true"); r.Code != 125 || !strings.Contains(r.Stderr, "has terminated (Succeeded)") {
			t.Errorf("code %d, %s", r.Code, r.Stderr)
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
		return c.Sh(t, fmt.Sprintf(`(while :; do kubectl exec -n %s client -- sh -c 'wget -qO- http://%s:8080/ >/dev/null; dig +time=1 +tries=1 kubernetes.default.svc.cluster.local >/dev/null' >/dev/null 2>&1; sleep 1; done) & loop=$!; %s; code=$?; kill $loop; exit $code`, ns, ip, line))
	}
	r := traffic(fmt.Sprintf("kubectl nodeshell capture web client -n %s -w %s --duration 12s", ns, all))
	if r.Code != 0 || !strings.Contains(r.Stderr, "dropped 0") {
		t.Fatalf("code %d: %s", r.Code, r.Stderr)
	}
	text := c.Sh(t, "tcpdump -nnA -r "+all+" 2>/dev/null").Stdout
	// Each packet is there twice, as the client's pod and as the server's saw it; the query as the client's alone.
	for _, want := range []string{"GET / HTTP/1", "hello-packets", ip + ".8080: Flags [S]", ip + ".8080 > "} {
		if n := strings.Count(text, want); n < 2 {
			t.Errorf("%q is there %d times:\n%.3000s", want, n, text)
		}
	}
	queries := regexp.MustCompile(`> \S+\.53: (\d+)\+.* A\? kubernetes\.default\.svc\.cluster\.local\.`).FindAllStringSubmatch(text, -1)
	answer := c.MustKubectl(t, "get", "service", "kubernetes", "-n", "default", "-o", "jsonpath={.spec.clusterIP}")
	answered := 0 // a loaded name server may leave one out
	for _, query := range queries {
		if regexp.MustCompile(`\.53 > \S+: ` + query[1] + `\*?-? .* A ` + regexp.QuoteMeta(answer)).MatchString(text) {
			answered++
		}
	}
	if answered == 0 {
		t.Errorf("%d queries and no answer among the packets:\n%s", len(queries), c.Sh(t, "tcpdump -nn -r "+all+" port 53 2>/dev/null").Stdout)
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

const staticPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"static","namespace":"%s"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"busybox:1.36","imagePullPolicy":"IfNotPresent","command":["sh","-c","mkdir /w; echo hello-static >/w/index.html; exec httpd -f -p 8080 -h /w"]}]}}`

// A static pod's cgroup has another name than its object says; a pod that crashes has only its sandbox; a pod on the
// node's network has nothing of its own, and that is said.
func TestCaptureOfUnusualPods(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	pods(t, c, ns)
	c.OnNode(t, "w1", "sh", "-c", "mkdir -p /etc/kubernetes/manifests; printf %s \"$1\" >/etc/kubernetes/manifests/e2e-static.json", "write", fmt.Sprintf(staticPod, ns))
	t.Cleanup(func() { c.OnNode(t, "w1", "rm", "-f", "/etc/kubernetes/manifests/e2e-static.json") })
	address := func(pod string) string {
		return c.Kubectl(t, "get", "pod", pod, "-n", ns, "-o", "jsonpath={.status.podIP}").Stdout
	}
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		crash := c.MustKubectl(t, "get", "pod", "crash", "-n", ns, "-o", "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].state}")
		return "static " + address("static-w1") + ", crash " + crash, address("static-w1") != "" && !strings.HasPrefix(crash, "0") && !strings.Contains(crash, "running")
	})
	var visits []string
	for _, pod := range []string{"static-w1", "crash", "hostnet"} {
		visits = append(visits, fmt.Sprintf("wget -qO- http://%s:8080/", address(pod)))
	}
	dir := t.TempDir()
	r := c.Sh(t, fmt.Sprintf(`(while :; do kubectl exec -n %[1]s client -- sh -c '%[2]s' >/dev/null 2>&1; sleep 1; done) & loop=$!; kubectl nodeshell capture static-w1 crash hostnet -n %[1]s -w %[3]s/ --duration 12s -- tcp port 8080; code=$?; kill $loop; exit $code`,
		ns, strings.Join(visits, "; "), dir))
	if r.Code != 0 || strings.Count(r.Stderr, "captured ") != 3 {
		t.Fatalf("code %d: %s", r.Code, r.Stderr)
	}
	if want := "pod " + ns + "/hostnet uses the network of node w1"; !strings.Contains(r.Stderr, want) {
		t.Errorf("not said: %s\n%s", want, r.Stderr)
	}
	for pod, want := range map[string]string{"static-w1": "hello-static", "crash": "Flags [R", "hostnet": "Flags [R"} {
		text := c.Sh(t, fmt.Sprintf("tcpdump -nnA -r %s/%s_%s.pcap 2>/dev/null", dir, ns, pod)).Stdout
		if !strings.Contains(text, want) || !strings.Contains(text, address(pod)+".8080: Flags [S]") {
			t.Errorf("the capture of %s (%s) lacks %q:\n%.2000s", pod, address(pod), want, text)
		}
		for _, other := range []string{"static-w1", "crash"} {
			if other != pod && pod != "hostnet" && strings.Contains(text, address(other)) {
				t.Errorf("the capture of %s has packets of %s", pod, other)
			}
		}
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
	r := c.Sh(t, fmt.Sprintf(`(while :; do kubectl exec -n %s client -- wget -qO- http://%s:8080/ >/dev/null 2>&1; sleep 1; done) & loop=$!; kubectl nodeshell capture web -n %s --mode ephemeral --image docker.io/library/toolbox:1 -w %s --duration 10s -- tcp port 8080; code=$?; kill $loop; exit $code`, ns, ip, ns, file))
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
