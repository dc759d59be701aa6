package event

import (
	"slices"
	"strings"
)

// Beginnings and endings of what the layers put before an error on its way up: kubelet, CRI, runtime, CNI, OCI.
var (
	wrapping = []string{
		"failed to ", "failed open", "unable to ", "error ", "Err", "rpc error", "code = ", "plugin type=", "Back-off pulling image", "Head ",
		"Get ", "add cmd", "httpReadSeeker", "networkPlugin cni failed",
	}
	wrapped = []string{" failed", " internal error", " failed (add)", " failed (delete)", "dial tcp"}
)

// Innermost cuts an error to what its innermost layer said: the layers above name themselves, separated by colons. What is not
// known for a layer ends the cutting, so that nothing of the cause is lost.
func Innermost(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if at := strings.LastIndex(text, "desc = "); at >= 0 {
		text = text[at+len("desc = "):]
	}
	for {
		layer, rest, more := strings.Cut(text, ": ")
		layer = strings.TrimLeft(layer, `"`)
		begins := func(w string) bool { return len(layer) >= len(w) && strings.EqualFold(layer[:len(w)], w) }
		ends := func(w string) bool { return strings.HasSuffix(layer, w) }
		if !more || rest == "" || !slices.ContainsFunc(wrapping, begins) && !slices.ContainsFunc(wrapped, ends) {
			break
		}
		text = rest
	}
	if strings.Count(text, `"`)%2 == 1 {
		text = strings.TrimSuffix(text, `"`)
	}
	return text
}

// addressless are words of network plugins that have no address left for a pod: host-local, Calico, Cilium, Amazon's, Azure's.
// https://github.com/containernetworking/plugins/blob/v1.9.0/plugins/ipam/host-local/backend/allocator/allocator.go (Get)
// https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/troubleshooting.md
var addressless = []string{
	"no ip addresses available", "no available ip", "no more free affine blocks", "no available addresses", "range is full",
	"failed to assign an ip address to container", "no more ips", "no free ip", "no available address",
}

// NoAddress says whether a text says that no address is left for a pod.
func NoAddress(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(addressless, func(w string) bool { return strings.Contains(text, w) })
}

// agentFiles are what agents of network plugins leave on a node for the programs that set up pods there, by which those miss them.
// https://github.com/flannel-io/cni-plugin/blob/main/flannel.go (defaultSubnetFile)
// https://github.com/projectcalico/calico/blob/master/cni-plugin/pkg/plugin/plugin.go (nodename)
// https://github.com/cilium/cilium/blob/main/pkg/defaults/defaults.go (SockPath)
var agentFiles = []struct{ agent, file string }{
	{"flannel", "/run/flannel/subnet.env: no such file"},
	{"calico", "/var/lib/calico/nodename: no such file"},
	{"cilium", "/run/cilium/cilium.sock: connect: no such file"},
}

// WithoutAgent names the network plugin whose agent has not set up the node, where a text says that what the agent leaves there is
// missing; empty: it says no such thing.
func WithoutAgent(text string) string {
	for _, f := range agentFiles {
		if strings.Contains(text, f.file) {
			return f.agent
		}
	}
	return ""
}

// HostLocal says whether the text is that of the plugin host-local, which keeps a file for each address on the node.
func HostLocal(text string) bool {
	return strings.Contains(text, "no IP addresses available in range set")
}
