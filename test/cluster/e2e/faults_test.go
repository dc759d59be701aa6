package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// faultTest injects a fault and tells how it shows.
type faultTest struct {
	fault string
	flags []string
	seen  func(h *harness, node string) (string, bool)
}

func (f faultTest) label(node string) string {
	return strings.Join(append([]string{f.fault, node}, f.flags...), " ")
}

func (h *harness) testFault(t *testing.T, node string, f faultTest) {
	faulty := func() bool {
		var status struct {
			Nodes []struct {
				Name   string
				Faults []string
			}
		}
		if err := json.Unmarshal([]byte(h.must(t, "status", "-o", "json")), &status); err != nil {
			t.Fatal(err)
		}
		for _, n := range status.Nodes {
			if n.Name == node {
				return strings.Contains(strings.Join(n.Faults, " "), f.fault)
			}
		}
		return false
	}
	// Each is given twice: the second time must change nothing.
	inject := append([]string{"fault", f.fault, node}, f.flags...)
	h.must(t, inject...)
	h.must(t, inject...)
	began := time.Now()
	if !faulty() {
		t.Error("status does not tell of the fault")
	}
	eventually(t, 2*time.Minute, "the fault shows", func() (string, bool) { return f.seen(h, node) })
	shown := time.Since(began)
	h.must(t, "heal", f.fault, node)
	h.must(t, "heal", f.fault, node)
	began = time.Now()
	if faulty() {
		t.Error("status tells of a fault that is healed")
	}
	eventually(t, 2*time.Minute, "the fault has gone", func() (string, bool) {
		out, seen := f.seen(h, node)
		return out, !seen
	})
	eventually(t, 2*time.Minute, "the node is well", func() (string, bool) { return condition(h, node, "Ready", "True") })
	t.Logf("shown after %s, gone after %s", shown.Round(time.Second), time.Since(began).Round(time.Second))
}

// condition says whether a node's condition has a status.
func condition(h *harness, node, kind, status string) (string, bool) {
	out, err := h.k("get", "node", node, "-o", `jsonpath={range .status.conditions[*]}{.type}={.status} {end}`)
	return out, err == nil && strings.Contains(out, kind+"="+status)
}

func shows(kind, status string) func(*harness, string) (string, bool) {
	return func(h *harness, node string) (string, bool) { return condition(h, node, kind, status) }
}

// fails is seen when a command in the node's pod with tools fails.
func fails(command string) func(*harness, string) (string, bool) {
	return func(h *harness, node string) (string, bool) {
		out, err := h.k("exec", "tools-"+node, "--", "sh", "-c", command)
		return out, err != nil
	}
}

const (
	ask      = "dig +time=2 +tries=1 kubernetes.default.svc.cluster.local | grep -q NOERROR"
	askByTCP = "dig +tcp +time=2 +tries=1 kubernetes.default.svc.cluster.local | grep -q NOERROR"
)

// nodeFaults lists what is tested on each worker.
func nodeFaults() map[string][]faultTest {
	return map[string][]faultTest{
		"w1": {
			{fault: "stop-kubelet", seen: shows("Ready", "Unknown")},
			{fault: "cut-api", seen: func(h *harness, node string) (string, bool) {
				out, seen := condition(h, node, "Ready", "Unknown")
				health, _, _ := h.run("exec", node, "--", "busybox", "wget", "-qO-", "http://127.0.0.1:10248/healthz")
				return out + health, seen && health == "ok"
			}},
			{fault: "break-cni", seen: shows("Ready", "False")},
			{fault: "memory-pressure", seen: shows("MemoryPressure", "True")},
			{fault: "block-dns", flags: []string{"--proto", "udp", "--dest", "vip"}, seen: func(h *harness, node string) (string, bool) {
				out, silent := fails(ask)(h, node)
				_, tcpToo := fails(askByTCP)(h, node)
				return out, silent && !tcpToo
			}},
			{fault: "block-dns", flags: []string{"--proto", "tcp"}, seen: func(h *harness, node string) (string, bool) {
				out, silent := fails(askByTCP)(h, node)
				_, udpToo := fails(ask)(h, node)
				return out, silent && !udpToo
			}},
			{fault: "wrong-cluster-dns", seen: wrongDNS},
			{fault: "freeze-kube-proxy", seen: func(h *harness, node string) (string, bool) {
				// Not wget -T: that of Debian's busybox-static ends with a segmentation fault.
				out, _, err := h.run("exec", node, "--", "busybox", "timeout", "2", "busybox", "wget", "-qO-", "http://127.0.0.1:10256/livez")
				return out, err != nil
			}},
			{fault: "refuse-lease-writes", seen: func(h *harness, node string) (string, bool) {
				out, err := h.k("annotate", "lease", node, "-n", "kube-node-lease", "tried=yes", "--overwrite", "--dry-run=server")
				return out, err != nil
			}},
			{fault: "pending-serving-csr", seen: func(h *harness, node string) (string, bool) {
				out, err := h.k("get", "csr", "--field-selector=spec.signerName=kubernetes.io/kubelet-serving")
				_, tlsErr := servingEnd(h, node)
				waits := err == nil && strings.Contains(out, "system:node:"+node) && strings.Contains(out, "Pending")
				return fmt.Sprint(out, tlsErr), waits && tlsErr != nil && strings.Contains(tlsErr.Error(), "internal error")
			}},
			{fault: "expire-kubelet-cert", seen: shows("Ready", "Unknown")},
		},
		"w2": {
			{fault: "pause-kubelet", seen: shows("Ready", "Unknown")},
			{fault: "unplug", seen: shows("Ready", "Unknown")},
			{fault: "stop-runtime", seen: shows("Ready", "False")},
			{fault: "exhaust-cni-range", seen: func(h *harness, node string) (string, bool) {
				out, _, err := h.run("exec", node, "--", "sh", "-c", "ls /var/lib/cni/networks/pods | grep -c '^10'")
				taken, scanErr := strconv.Atoi(strings.TrimSpace(out))
				return out, err == nil && scanErr == nil && taken > 250 // of 254; a pod may have ended since
			}},
			{fault: "pid-pressure", seen: shows("PIDPressure", "True")},
			{fault: "block-dns", flags: []string{"--dest", "pods"}, seen: fails(ask)},
			{fault: "cut-pods", seen: fails("ping -c1 -W2 $(dig +time=2 +tries=1 +short metrics-server.kube-system.svc.cluster.local) >/dev/null 2>&1; ! dig +time=2 +tries=1 kubernetes.default.svc.cluster.local | grep -q 'timed out'")},
			{fault: "slow-link", flags: []string{"--rate", "32kbit"}, seen: slow},
			{fault: "expire-kubelet-cert", flags: []string{"--serving"}, seen: expiredServing},
			{fault: "expire-kubelet-cert", flags: []string{"--serving", "--left", "120h"}, seen: func(h *harness, node string) (string, bool) {
				end, err := servingEnd(h, node)
				return fmt.Sprint(end, err), err == nil && end.After(time.Now()) && end.Before(time.Now().Add(120*time.Hour))
			}},
			{fault: "fill-disk", seen: shows("DiskPressure", "True")},
		},
	}
}

// slow fetches 80 kB that cannot be compressed, which takes 20 s at 32 kbit/s.
func slow(h *harness, node string) (string, bool) {
	began := time.Now()
	out, err := h.k("exec", "tools-"+node, "--", "sh", "-c", "head -c 60000 /dev/urandom | base64")
	took := time.Since(began)
	// The stream may break on so slow a link, late: what arrived until then came slowly.
	return fmt.Sprintf("%d bytes in %s, %v", len(out), took, err), len(out) > 10_000 && took > 10*time.Second
}

// wrongDNS looks at the resolver of a pod that starts now.
func wrongDNS(h *harness, node string) (string, bool) {
	h.k("delete", "pod", "fresh", "--now", "--ignore-not-found") //nolint:errcheck // the next command tells
	overrides := fmt.Sprintf(`{"spec":{"nodeName":%q}}`, node)
	if out, err := h.k("run", "fresh", "--image=busybox:1.36", "--restart=Never", "--overrides="+overrides, "--", "sleep", "1000"); err != nil {
		return out, false
	}
	h.k("wait", "--for=condition=Ready", "pod/fresh", "--timeout=30s") //nolint:errcheck // the next command tells
	out, err := h.k("exec", "fresh", "--", "cat", "/etc/resolv.conf")
	return out, err == nil && strings.Contains(out, ".255.253")
}

// expiredServing looks at the certificate that a kubelet shows.
func expiredServing(h *harness, node string) (string, bool) {
	end, err := servingEnd(h, node)
	return fmt.Sprint(end, err), err == nil && end.Before(time.Now())
}

func servingEnd(h *harness, node string) (time.Time, error) {
	ip, err := h.k("get", "node", node, "-o", `jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`)
	if err != nil {
		return time.Time{}, err
	}
	connection, err := tls.Dial("tcp", ip+":10250", &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // to look at it
	if err != nil {
		return time.Time{}, err
	}
	defer connection.Close() //nolint:errcheck // nothing was sent
	return connection.ConnectionState().PeerCertificates[0].NotAfter, nil
}

// controlPlaneFaults lists what is tested on the control plane.
func controlPlaneFaults() []faultTest {
	return []faultTest{
		{fault: "stop-scheduler", seen: func(h *harness, _ string) (string, bool) {
			name := fmt.Sprintf("waits-%d", time.Now().UnixNano())
			if out, err := h.k("run", name, "--image=busybox:1.36", "--restart=Never", "--", "true"); err != nil {
				return out, false
			}
			time.Sleep(4 * time.Second)
			out, err := h.k("get", "pod", name, "-o", "jsonpath={.spec.nodeName}")
			h.k("delete", "pod", name, "--now", "--wait=false") //nolint:errcheck // the cluster goes anyway
			return out, err == nil && out == ""
		}},
		{fault: "stop-controller-manager", seen: func(h *harness, _ string) (string, bool) {
			name := fmt.Sprintf("idle-%d", time.Now().UnixNano())
			if out, err := h.k("create", "deployment", name, "--image=testapp:1"); err != nil {
				return out, false
			}
			time.Sleep(4 * time.Second)
			out, err := h.k("get", "replicasets", "-l", "app="+name, "-o", "name")
			h.k("delete", "deployment", name) //nolint:errcheck // the cluster goes anyway
			return out, err == nil && out == ""
		}},
		{fault: "stop-etcd", seen: func(h *harness, _ string) (string, bool) {
			out, err := h.k("get", "--raw", "/readyz/etcd", "--request-timeout=5s")
			return out, err != nil
		}},
		{fault: "stop-apiserver", seen: func(h *harness, _ string) (string, bool) {
			out, err := h.k("get", "--raw", "/livez", "--request-timeout=5s")
			return out, err != nil && strings.Contains(out, "refused")
		}},
	}
}
