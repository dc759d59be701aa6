package fault

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
)

// networkFaults are those of links, routes and packet filters.
func networkFaults() []Fault {
	return []Fault{
		{
			Name:    "break-cni",
			Summary: "the pod network's configuration is gone",
			Symptom: "after about 10 s Ready is False (NetworkPluginNotReady); pods that run go on",
			Inject: func(ctx context.Context, t Target, _ Options) error {
				return t.move(ctx, t.Cluster.ConflistPath(), t.Cluster.ConflistPath()+disabled)
			},
			Heal: func(ctx context.Context, t Target, _ Options) error {
				return t.move(ctx, t.Cluster.ConflistPath()+disabled, t.Cluster.ConflistPath())
			},
		},
		{
			Name:    "unplug",
			Summary: "the node's link is down",
			Symptom: "nothing reaches the node or leaves it; after about 50 s Ready is Unknown",
			Inject:  setLink("down"), Heal: setLink("up"),
		},
		{
			Name:    "cut-api",
			Summary: "what the node and its pods send to the API server is dropped; all else works",
			Symptom: "looks like a dead node (Ready Unknown after about 50 s), yet its kubelet's healthz is ok",
			Inject: rules("cut-api", func(t Target, _ Options) (string, error) {
				rules := drops("daddr", "tcp dport 6443 drop", t.Cluster.APIAddresses()...)
				return chain("output", 0, rules...) + chain("forward", 0, rules...), nil
			}), Heal: noRules("cut-api"),
		},
		{
			Name:    "block-dns",
			Summary: "DNS is dropped on the node: --proto udp|tcp|both, --dest vip|pods|all",
			Symptom: "queries time out; vip: those to the Service's address; pods: those that reach the node for a DNS pod or leave it; all: every query",
			Inject:  rules("block-dns", blockDNS), Heal: noRules("block-dns"),
		},
		{
			Name:    "cut-pods",
			Summary: "pod traffic between this node and others is dropped; nodes reach each other",
			Symptom: "nodes stay Ready; pods here reach only pods here; DNS fails by the replica that answers",
			Inject: rules("cut-pods", func(t Target, _ Options) (string, error) {
				pods := strings.Split(t.Cluster.State.Plan.PodRanges(), ",")
				return chain("forward", 0, append(drops("daddr", `iifname "eth0" drop`, pods...), drops("saddr", `oifname "eth0" drop`, pods...)...)...), nil
			}), Heal: noRules("cut-pods"),
		},
		{
			Name:    "cut-family",
			Summary: "pod traffic of one family between this node and others is dropped: --family ipv4|ipv6 (default ipv6)",
			Symptom: "in a dual-stack cluster nodes stay Ready, and pods here and elsewhere reach each other by the other family alone",
			Inject:  rules("cut-family", cutFamily), Heal: noRules("cut-family"),
		},
		{
			Name:    "slow-link",
			Summary: "what the node sends crawls at --rate (default 64kbit)",
			Symptom: "logs and lists from the node take many seconds; at a few kbit the node flaps",
			Inject:  throttle, Heal: unthrottle,
		},
	}
}

// disabled is no ending that the runtime reads.
const disabled = ".disabled"

// move renames a file of the node, if it is still at its old place.
func (t Target) move(ctx context.Context, from, to string) error {
	_, err := t.Cluster.InNode(ctx, t.Node.Name, "sh", "-c", `[ ! -e "$0" ] || { mkdir -p "${1%/*}" && mv "$0" "$1"; }`, from, to)
	return err
}

func setLink(state string) action {
	return func(ctx context.Context, t Target, _ Options) error {
		_, err := host.Run(ctx, "", "ip", "link", "set", t.Cluster.State.Plan.Veth(t.Node.Name), state)
		return err
	}
}

// tableName keeps a fault's rules apart from everything else's.
func tableName(fault string) string { return "fault_" + strings.ReplaceAll(fault, "-", "_") }

// chain is a base chain with rules that drop, and accepts the rest.
func chain(hook string, priority int, rules ...string) string {
	name := fmt.Sprintf("%s_%d", hook, priority+1000)
	return fmt.Sprintf("chain %s { type filter hook %s priority %d; policy accept; %s; }\n", name, hook, priority, strings.Join(rules, "; "))
}

// drops are rules about addresses or ranges, one rule for each family.
func drops(field, rest string, addresses ...string) []string {
	var rules []string
	for _, family := range []string{"ip", "ip6"} {
		of := slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return strings.Contains(a, ":") != (family == "ip6") })
		if len(of) > 0 {
			rules = append(rules, fmt.Sprintf("%s %s { %s } %s", family, field, strings.Join(of, ", "), rest))
		}
	}
	return rules
}

// cutFamily leaves what the node itself sends and gets, as neighbor discovery.
func cutFamily(_ Target, o Options) (string, error) {
	switch o.Family {
	case "", netplan.IPv4, netplan.IPv6:
	default:
		return "", fmt.Errorf("--family %q: ipv4 or ipv6", o.Family)
	}
	match := "meta nfproto " + cmp.Or(o.Family, netplan.IPv6)
	return chain("forward", afterNAT, match+` iifname "eth0" drop`, match+` oifname "eth0" drop`), nil
}

// rules puts a fault's chains in place, all at once; what was there is replaced.
func rules(fault string, make func(Target, Options) (string, error)) action {
	return func(ctx context.Context, t Target, o Options) error {
		chains, err := make(t, o)
		if err != nil {
			return err
		}
		table := tableName(fault)
		script := fmt.Sprintf("table inet %[1]s {}\ndelete table inet %[1]s\ntable inet %[1]s {\n%[2]s}\n", table, chains)
		return t.Cluster.InNodeNetwork(ctx, t.Node.Name, script, "nft", "-f", "-")
	}
}

func noRules(fault string) action {
	return func(ctx context.Context, t Target, _ Options) error {
		// Declaring the table first makes deleting one that is not there work.
		script := fmt.Sprintf("table inet %[1]s {}\ndelete table inet %[1]s\n", tableName(fault))
		return t.Cluster.InNodeNetwork(ctx, t.Node.Name, script, "nft", "-f", "-")
	}
}

// beforeNAT and afterNAT lie around the priority (-100) at which kube-proxy
// swaps a Service's address for a pod's.
const (
	beforeNAT = -250
	afterNAT  = 0
)

func blockDNS(t Target, o Options) (string, error) {
	var match string
	switch o.Proto {
	case "", "both":
		match = "meta l4proto { tcp, udp } th dport 53 drop"
	case "udp", "tcp":
		match = o.Proto + " dport 53 drop"
	default:
		return "", fmt.Errorf("--proto %q: udp, tcp or both", o.Proto)
	}
	switch o.Dest {
	case "vip":
		rules := drops("daddr", match, t.Cluster.State.Plan.ClusterDNSes()...)
		return chain("prerouting", beforeNAT, rules...) + chain("output", beforeNAT, rules...), nil
	case "pods":
		rules := drops("daddr", match, strings.Split(t.Cluster.State.Plan.PodRanges(), ",")...)
		return chain("forward", afterNAT, rules...) + chain("output", afterNAT, rules...), nil
	case "", "all":
		return chain("prerouting", beforeNAT, match) + chain("output", beforeNAT, match), nil
	}
	return "", fmt.Errorf("--dest %q: vip, pods or all", o.Dest)
}

func throttle(ctx context.Context, t Target, o Options) error {
	rate := o.Rate
	if rate == "" {
		rate = "64kbit"
	}
	return t.Cluster.InNodeNetwork(ctx, t.Node.Name, "", "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf",
		"rate", rate, "burst", "8kb", "latency", "60s")
}

func unthrottle(ctx context.Context, t Target, _ Options) error {
	// What a link begins with in its place: unlike a deletion it can be repeated.
	return t.Cluster.InNodeNetwork(ctx, t.Node.Name, "", "tc", "qdisc", "replace", "dev", "eth0", "root", "noqueue")
}
