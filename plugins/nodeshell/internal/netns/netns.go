// Package netns finds a pod's network namespace from the node, by the processes' cgroups: no runtime client, no socket
// and no PATH is needed, and it is the same for containerd, CRI-O and Docker. The scan runs on the node, through a helper
// there; what it means is decided here.
package netns

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// query is what is looked for: the containers' IDs, and the pod's own names for the case that none runs.
type query struct {
	Containers []string // IDs without their "containerd://"
	PodIDs     []string // UID, or a static pod's configuration hash
	Host       bool     // hostNetwork: the node's own namespace is right
	Addresses  []string // status.podIPs
}

// queryOf makes the query of a pod. Container narrows it to one.
func queryOf(pod *corev1.Pod, container string) (query, error) {
	q := query{Host: pod.Spec.HostNetwork, PodIDs: []string{string(pod.UID)}}
	// A static pod's UID in the API is not the one on the node.
	// https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/types/pod_update.go
	if hash := pod.Annotations["kubernetes.io/config.hash"]; hash != "" {
		q.PodIDs = append(q.PodIDs, hash)
	}
	known := false
	for _, list := range [][]corev1.ContainerStatus{
		pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for _, s := range list {
			if container != "" && s.Name != container {
				continue
			}
			known = true
			if _, id, ok := strings.Cut(s.ContainerID, "://"); ok && s.State.Running != nil && id != "" {
				q.Containers = append(q.Containers, id)
			}
		}
	}
	if container != "" && !known {
		return q, fmt.Errorf("pod %q has no container %q", pod.Name, container)
	}
	for _, ip := range pod.Status.PodIPs {
		q.Addresses = append(q.Addresses, ip.IP)
	}
	if len(q.Addresses) == 0 && pod.Status.PodIP != "" {
		q.Addresses = []string{pod.Status.PodIP}
	}
	return q, nil
}

// scan prints the host's namespace (H), the cgroup lines with one of the words (C), and for each of these processes its
// namespace (N) and whether it has the pod's address (A).
const scan = `
words=$1 v4=$2 v6=$3; shift 3
echo "H $(readlink /proc/1/ns/net)"
set --; for w in $words; do set -- "$@" -e "$w"; done
grep -sHF "$@" /proc/[0-9]*/cgroup | sed 's/^/C /'
for f in $(grep -slF "$@" /proc/[0-9]*/cgroup); do
  d=${f%/cgroup}; p=${d#/proc/}
  echo "N $p $(readlink "$d/ns/net" 2>/dev/null)"
  for ip in $v4; do grep -qs -e "|-- $ip\$" "$d/net/fib_trie" && echo "A $p"; done
  for ip in $v6; do grep -qs "^$ip " "$d/net/if_inet6" && echo "A $p"; done
done
exit 0
`

// scanCommand is what the scan runs as, in a container that sees the node's processes.
func (q query) scanCommand(sh string) []string {
	words := slices.Clone(q.Containers)
	for _, id := range q.PodIDs {
		words = append(words, id, strings.ReplaceAll(id, "-", "_"))
	}
	var v4, v6 []string
	for _, text := range q.Addresses {
		ip, err := netip.ParseAddr(text)
		switch {
		case err != nil:
		case ip.Is4():
			v4 = append(v4, text)
		default:
			bytes := ip.As16()
			v6 = append(v6, hex.EncodeToString(bytes[:]))
		}
	}
	return []string{sh, "-c", scan, "scan", strings.Join(words, " "), strings.Join(v4, " "), strings.Join(v6, " ")}
}

// process is one process of the pod.
type process struct {
	PID     string
	Netns   string // "net:[4026532281]"
	Paths   []string
	Address bool // the pod's address is on an interface there
}

// Found is the namespace to enter, through a process that is in it.
type Found struct {
	PID   string
	Netns string
	Word  string // what the process's cgroup must still hold when it is entered
	Host  bool
}

// choose reads a scan's output. It refuses rather than guesses: a process that has wandered into the node's namespace
// must not make a capture of the node pass for one of the pod (https://github.com/istio/istio/issues/55139).
func (q query) choose(output string) (Found, error) {
	host, processes := parse(output)
	if host == "" {
		return Found{}, fmt.Errorf("the node's own network namespace could not be read")
	}
	candidates, word := q.mains(processes)
	if len(candidates) == 0 {
		return Found{}, fmt.Errorf("no process of the pod was found on the node; the pod may not be running there")
	}
	if q.Host {
		for _, p := range candidates {
			if p.Netns == host {
				return Found{PID: p.PID, Netns: host, Word: word(p), Host: true}, nil
			}
		}
		return Found{}, fmt.Errorf("the pod uses the host network, but no process of the pod is in the host network namespace")
	}
	var found []process
	spaces := map[string]bool{}
	for _, p := range candidates {
		if p.Netns != host && p.Netns != "" && (p.Address || len(q.Addresses) == 0) {
			found = append(found, p)
			spaces[p.Netns] = true
		}
	}
	switch {
	case len(spaces) > 1:
		return Found{}, fmt.Errorf("the processes of the pod are in %d network namespaces with the pod address; choose a container with -c",
			len(spaces))
	case len(found) == 1 || len(spaces) == 1:
		return Found{PID: found[0].PID, Netns: found[0].Netns, Word: word(found[0])}, nil
	case allIn(candidates, host):
		return Found{}, fmt.Errorf("all processes of the pod are in the host network namespace, although the pod does not use the host network " +
			"(probably a sandboxed runtime); capture on the node, with a filter for the pod address")
	}
	return Found{}, fmt.Errorf("no network namespace of the pod's processes has the pod address %s", strings.Join(q.Addresses, ", "))
}

func allIn(processes []process, netns string) bool {
	return !slices.ContainsFunc(processes, func(p process) bool { return p.Netns != netns })
}

// mains gives the processes of the containers; when none runs, those of the sandbox, which survives its containers.
func (q query) mains(processes []process) ([]process, func(process) string) {
	var found []process
	for _, p := range processes {
		if q.containerOf(p) != "" {
			found = append(found, p)
		}
	}
	if len(found) > 0 {
		return found, q.containerOf
	}
	sandbox := func(p process) string {
		for _, path := range p.Paths {
			if word := inPod(path, q.PodIDs); word != "" {
				return word
			}
		}
		return ""
	}
	for _, p := range processes {
		if sandbox(p) != "" {
			found = append(found, p)
		}
	}
	return found, sandbox
}

func (q query) containerOf(p process) string {
	for _, path := range p.Paths {
		for _, id := range q.Containers {
			if isContainer(path, id) {
				return id
			}
		}
	}
	return ""
}

// isContainer says that a cgroup path is that of the container itself. The last element decides: the ID alone (cgroupfs),
// in a scope of systemd's, or after colons (containerd with mismatched drivers). conmon's scope holds the ID too, and
// conmon is in the node's namespace; deeper paths belong to containers inside the container, with networks of their own.
// crun puts the container's processes into a child called "container".
func isContainer(path, id string) bool {
	if id == "" {
		return false
	}
	path = strings.TrimSuffix(path, "/container")
	last := path[strings.LastIndexByte(path, '/')+1:]
	switch last {
	case id, "cri-containerd-" + id + ".scope", "crio-" + id + ".scope", "crio-" + id, "docker-" + id + ".scope", id + ".scope":
		return true
	}
	return strings.HasSuffix(last, ":cri-containerd:"+id) || strings.HasSuffix(last, ":crio:"+id) || strings.HasSuffix(last, ":docker:"+id)
}

// inPod says that a path is a container or sandbox directly in the pod's own cgroup, and gives the pod's name in it.
func inPod(path string, ids []string) string {
	path = strings.TrimSuffix(path, "/container")
	cut := strings.LastIndexByte(path, '/')
	if cut < 0 {
		return ""
	}
	last, parent := path[cut+1:], path[:cut]
	parent = parent[strings.LastIndexByte(parent, '/')+1:]
	if strings.HasPrefix(last, "crio-conmon-") {
		return ""
	}
	for _, id := range ids {
		for _, word := range []string{id, strings.ReplaceAll(id, "-", "_")} {
			if id == "" {
				continue
			}
			for _, where := range []string{parent, strings.SplitN(last, ":", 2)[0]} {
				where = strings.TrimSuffix(where, ".slice")
				if where == "pod"+word || strings.HasSuffix(where, "-pod"+word) {
					return word
				}
			}
		}
	}
	return ""
}

// parse reads the scan's lines.
func parse(output string) (host string, processes []process) {
	index := map[string]int{}
	at := func(pid string) *process {
		i, ok := index[pid]
		if !ok {
			i = len(processes)
			index[pid] = i
			processes = append(processes, process{PID: pid})
		}
		return &processes[i]
	}
	for line := range strings.Lines(output) {
		kind, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch kind {
		case "H":
			host = rest
		case "C":
			file, entry, ok := strings.Cut(rest, ":")
			pid := strings.TrimSuffix(strings.TrimPrefix(file, "/proc/"), "/cgroup")
			parts := strings.SplitN(entry, ":", 3) // hierarchy:controllers:path; the path may hold colons
			if ok && len(parts) == 3 {
				p := at(pid)
				p.Paths = append(p.Paths, parts[2])
			}
		case "N":
			pid, netns, _ := strings.Cut(rest, " ")
			at(pid).Netns = netns
		case "A":
			at(rest).Address = true
		}
	}
	return host, processes
}

// enter opens the namespace, checks that it is still the one that was found, and only then goes in: a process ID may have
// been given to another process since. Without "command", a redirection of exec that fails ends the shell at once.
const enter = `
{ command exec 9<"/proc/$1/ns/net"; } 2>/dev/null || { echo "nodeshell: the pod's process $1 has ended" >&2; exit 125; }
if [ "$(readlink /proc/self/fd/9)" != "$2" ] || ! grep -qsF -e "$3" "/proc/$1/cgroup"; then
  echo "nodeshell: process $1 no longer belongs to the pod" >&2; exit 125
fi
shift 3
exec "$@"
`

// Enter wraps a command so that descriptor 9 is the pod's network namespace: nsenter --net=/proc/self/fd/9.
func (f Found) Enter(sh string, argv []string) []string {
	return append([]string{sh, "-c", enter, "enter", f.PID, f.Netns, f.Word}, argv...)
}

// NetFile is the namespace for nsenter, within Enter.
const NetFile = "/proc/self/fd/9"
