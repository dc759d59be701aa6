package netns

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	id  = "4f1c2a7b9d3e5f60718293a4b5c6d7e8f9010203040506070809aabbccddeeff"
	uid = "3b1a8c9e-5d7f-4e21-9a0b-7c6d5e4f3a2b"
)

func TestIsContainer(t *testing.T) {
	slice := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice/"
	tests := []struct {
		name string
		path string
		want bool
	}{
		{"containerd, cgroupfs, v1", "/kubepods/burstable/pod" + uid + "/" + id, true},
		{"containerd, systemd, v1 and v2", slice + "cri-containerd-" + id + ".scope", true},
		{"containerd, mismatched drivers", "/system.slice/containerd.service/kubepods-burstable-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice:cri-containerd:" + id, true},
		{"containerd, v2 with a private cgroup namespace", "/../../kubepods-burstable-podx.slice/cri-containerd-" + id + ".scope", true},
		{"below a node that is itself a container", "/docker/abc/kubelet/kubepods/pod" + uid + "/" + id, true},
		{"CRI-O, systemd", slice + "crio-" + id + ".scope", true},
		{"CRI-O, cgroupfs", "/kubepods/besteffort/pod" + uid + "/crio-" + id, true},
		{"CRI-O with crun, v2", slice + "crio-" + id + ".scope/container", true},
		{"Docker, systemd", slice + "docker-" + id + ".scope", true},
		{"Docker, cgroupfs", "/kubepods/besteffort/pod" + uid + "/" + id, true},
		{"CRI-O's conmon, in the node's network", slice + "crio-conmon-" + id + ".scope", false},
		{"a container inside the container", "/kubepods/burstable/pod" + uid + "/" + id + "/docker/" + strings.Repeat("b", 64), false},
		{"a unit of systemd inside the container", slice + "cri-containerd-" + id + ".scope/system.slice/nginx.service", false},
		{"another container of the pod", "/kubepods/burstable/pod" + uid + "/" + strings.Repeat("c", 64), false},
		{"an ID that only begins the same", "/kubepods/burstable/pod" + uid + "/" + id + "0", false},
		{"the root", "/", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := isContainer(test.path, id); got != test.want {
				t.Errorf("%s: %v", test.path, got)
			}
		})
	}
}

func TestIsContainerNeedsAnID(t *testing.T) {
	if isContainer("/kubepods/", "") {
		t.Error("an empty ID matches")
	}
}

func lines(text ...string) string { return strings.Join(text, "\n") + "\n" }

const host, own, other = "net:[1]", "net:[2]", "net:[3]"

func asked() query {
	return query{Containers: []string{id}, PodIDs: []string{uid}, Addresses: []string{"10.0.0.7"}}
}

func TestChoose(t *testing.T) {
	at := func(pid, path string) string { return "C /proc/" + pid + "/cgroup:4:memory:" + path }
	container := "/kubepods/burstable/pod" + uid + "/" + id
	sandbox := "/kubepods/burstable/pod" + uid + "/" + strings.Repeat("e", 64)
	tests := []struct {
		name   string
		query  func(*query)
		output string
		want   Found
		err    string
	}{
		{name: "its main process", output: lines("H "+host, at("70", container), "N 70 "+own, "A 70"), want: Found{PID: "70", Netns: own, Word: id}},
		{name: "a process that has entered the node's network is passed over", output: lines("H "+host, at("71", container), at("70", container), "N 71 "+host, "A 71", "N 70 "+own, "A 70"), want: Found{PID: "70", Netns: own, Word: id}},
		{name: "only in the node's network: refused, never taken for the pod's", output: lines("H "+host, at("70", container), "N 70 "+host, "A 70"), err: "in the host network namespace"},
		{name: "a namespace without the pod's address", output: lines("H "+host, at("70", container), "N 70 "+own), err: "10.0.0.7"},
		{name: "two namespaces with the address", output: lines("H "+host, at("70", container), at("71", container), "N 70 "+own, "A 70", "N 71 "+other, "A 71"), err: "2 network namespaces"},
		{name: "crashed: its sandbox is there", query: func(q *query) { q.Containers = nil }, output: lines("H "+host, at("50", sandbox), "N 50 "+own, "A 50"), want: Found{PID: "50", Netns: own, Word: uid}},
		{name: "a static pod goes by its hash", query: func(q *query) { q.Containers, q.PodIDs = nil, []string{uid, "abcdef0123456789"} }, output: lines("H "+host, at("50", "/kubepods/besteffort/podabcdef0123456789/"+strings.Repeat("e", 64)), "N 50 "+own, "A 50"), want: Found{PID: "50", Netns: own, Word: "abcdef0123456789"}},
		{name: "conmon alone is nobody", query: func(q *query) { q.Containers = nil }, output: lines("H "+host, at("50", "/kubepods.slice/kubepods-pod"+strings.ReplaceAll(uid, "-", "_")+".slice/crio-conmon-"+id+".scope"), "N 50 "+host, "A 50"), err: "no process"},
		{name: "hostNetwork: the node's own is right", query: func(q *query) { q.Host = true }, output: lines("H "+host, at("70", container), "N 70 "+host), want: Found{PID: "70", Netns: host, Word: id, Host: true}},
		{name: "nothing runs", output: lines("H " + host), err: "no process"},
		{name: "no address is known yet", query: func(q *query) { q.Addresses = nil }, output: lines("H "+host, at("70", container), "N 70 "+own), want: Found{PID: "70", Netns: own, Word: id}},
		{name: "v2 has one line", output: lines("H "+host, "C /proc/70/cgroup:0::/kubepods.slice/cri-containerd-"+id+".scope", "N 70 "+own, "A 70"), want: Found{PID: "70", Netns: own, Word: id}},
		{name: "the node's namespace is unknown", output: lines("H "), err: "could not be read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := asked()
			if test.query != nil {
				test.query(&q)
			}
			got, err := q.choose(test.output)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("err %v, found %+v; want %q", err, got, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("%+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestQueryTakesRunningContainersOnly(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", UID: uid, Annotations: map[string]string{"kubernetes.io/config.hash": "hash"}},
		Status: corev1.PodStatus{
			PodIP: "10.0.0.7",
			ContainerStatuses: []corev1.ContainerStatus{
				{Name: "dead", ContainerID: "containerd://dead"},
				{Name: "app", ContainerID: "containerd://" + id, State: running},
				{Name: "side", ContainerID: "cri-o://side", State: running},
			},
		},
	}
	q, err := queryOf(pod, "")
	if err != nil || strings.Join(q.Containers, " ") != id+" side" || strings.Join(q.PodIDs, " ") != uid+" hash" || q.Addresses[0] != "10.0.0.7" {
		t.Errorf("%+v, %v", q, err)
	}
	if q, err = queryOf(pod, "side"); err != nil || strings.Join(q.Containers, " ") != "side" {
		t.Errorf("%+v, %v", q, err)
	}
	if _, err = queryOf(pod, "nosuch"); err == nil {
		t.Error("a container that does not exist")
	}
}

func TestScanLooksForAddressesAsTheKernelWritesThem(t *testing.T) {
	q := asked()
	q.Addresses = []string{"10.0.0.7", "fd00::7"}
	argv := q.scanCommand("sh")
	if argv[5] != "10.0.0.7" || argv[6] != "fd000000000000000000000000000007" {
		t.Errorf("%q", argv[4:])
	}
}

// Between the scan and the entry a process may end, and its number may be another's: neither is entered.
func TestEnterChecksTheProcessOnceMore(t *testing.T) {
	self := fmt.Sprint(os.Getpid())
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Logf("no /proc here: %v", err)
		return
	}
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	word, _, _ := strings.Cut(string(cgroups), "\n")
	tests := map[string]struct {
		found Found
		code  int
		out   string
	}{
		"there":              {Found{PID: self, Netns: own, Word: word}, 0, own},
		"ended":              {Found{PID: "999999999", Netns: own, Word: word}, 125, "nodeshell: the pod's process 999999999 has ended"},
		"another's now":      {Found{PID: self, Netns: own, Word: "another"}, 125, "nodeshell: process " + self + " no longer belongs to the pod"},
		"in another network": {Found{PID: self, Netns: "net:[1]", Word: word}, 125, "no longer belongs to the pod"},
	}
	for _, shell := range []string{"dash", "bash", "busybox"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not here", shell)
			continue
		}
		for name, test := range tests {
			argv := test.found.Enter(path, []string{"readlink", NetFile})
			if shell == "busybox" {
				argv = append([]string{path, "sh"}, argv[1:]...)
			}
			cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
			out, _ := cmd.CombinedOutput() // the code is looked at
			if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(out), test.out) || strings.Count(string(out), "\n") != 1 {
				t.Errorf("%s, %s: code %d, %q", shell, name, code, out)
			}
		}
	}
}
