package fault

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
)

// denyByPolicy has one policy for all nodes that are broken: of two policies that select a pod, each lets in what the other one keeps out.
func denyByPolicy() Fault {
	return Fault{
		Name: "deny-by-policy", Part: build.NetworkPolicy,
		Summary: "a NetworkPolicy of the DNS pods lets in all addresses but those of the node's pods (a cluster made --with network-policy)",
		Symptom: "names fail in the node's pods with a timeout; the DNS pods are ready, and other nodes' pods, and the nodes, get answers",
		Inject:  applyPolicy, Heal: applyPolicy,
	}
}

// applyPolicy makes the policy what the records of the nodes say.
func applyPolicy(ctx context.Context, t Target, _ Options) error {
	var names []string
	for _, name := range t.Cluster.State.NodeNames() {
		n, err := t.Cluster.Node(name)
		if err != nil {
			return err
		}
		_, active, err := (Target{Cluster: t.Cluster, Node: n}).record("deny-by-policy")
		if err != nil {
			return err
		}
		if active {
			names = append(names, name)
		}
	}
	verb := []string{"apply", "-f", "-"}
	var ranges string
	if len(names) == 0 {
		verb = []string{"delete", "--ignore-not-found", "-f", "-"}
	} else {
		var err error
		if ranges, err = t.Cluster.Kubectl(ctx, "", append([]string{"get", "node", "-o", `jsonpath={range ..spec.podCIDRs[*]}{@} {end}`}, names...)...); err != nil {
			return err
		}
	}
	policy, err := allBut(strings.Fields(ranges))
	if err != nil {
		return err
	}
	_, err = t.Cluster.Kubectl(ctx, policy, verb...)
	return err
}

// allBut is a policy of the DNS pods that lets in every address that is not in one of these ranges.
func allBut(ranges []string) (string, error) {
	type object map[string]any
	except := map[bool][]string{}
	for _, r := range ranges {
		prefix, err := netip.ParsePrefix(r)
		if err != nil {
			return "", err
		}
		except[prefix.Addr().Is4()] = append(except[prefix.Addr().Is4()], r)
	}
	block := func(cidr string, except []string) object {
		return object{"ipBlock": object{"cidr": cidr, "except": except}}
	}
	data, err := json.Marshal(object{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
		"metadata": object{"name": "keep-nodes-out", "namespace": "kube-system"},
		"spec": object{
			"podSelector": object{"matchLabels": object{"k8s-app": "kube-dns"}},
			"policyTypes": []string{"Ingress"},
			"ingress":     []object{{"from": []object{block("0.0.0.0/0", except[true]), block("::/0", except[false])}}},
		},
	})
	return string(data), err
}
