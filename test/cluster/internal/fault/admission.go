package fault

import (
	"context"
	"fmt"
)

// admissionFaults are those of a policy that refuses what it should let pass.
func admissionFaults() []Fault {
	return []Fault{{
		Name:    "refuse-lease-writes",
		Summary: "an admission policy refuses to write the node's Lease in kube-node-lease",
		Symptom: "the kubelet runs and posts its status; Ready turns to Unknown after about 50 s and back within 10 s, again and again",
		Inject: func(ctx context.Context, t Target, _ Options) error {
			_, err := t.Cluster.Kubectl(ctx, leasePolicy(t.Node.Name), "apply", "-f", "-")
			return err
		},
		Heal: func(ctx context.Context, t Target, _ Options) error {
			_, err := t.Cluster.Kubectl(ctx, leasePolicy(t.Node.Name), "delete", "--ignore-not-found", "-f", "-")
			return err
		},
	}}
}

// leasePolicy is for one node alone: the fault is one of a node.
func leasePolicy(node string) string {
	return fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: keep-leases-%[1]s}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [coordination.k8s.io], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [leases]}]
  matchConditions: [{name: node, expression: "request.namespace == 'kube-node-lease' && request.name == '%[1]s'"}]
  validations: [{expression: "false", message: "leases of this node are not to be written"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: keep-leases-%[1]s}
spec: {policyName: keep-leases-%[1]s, validationActions: [Deny]}
`, node)
}
