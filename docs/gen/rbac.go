package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// permission is one line of a role. Option is what the user has to ask for before it is used; such lines are not part of
// the role for everyday use.
type permission struct {
	group     string
	resources string // several with commas; a path is a non-resource URL
	verbs     string
	use       string
	option    string
}

// role is what a plugin needs. test/e2e/install runs each plugin with exactly its role and demands that nothing is
// reported as forbidden.
type role struct {
	plugin      string
	about       string
	permissions []permission
}

var roles = []role{
	{
		plugin: "nodeinfo",
		about:  "Reads only. Without `nodes` there is no report; each other missing line leaves out what it is for, and the report says so.",
		permissions: []permission{
			{"", "nodes", "get,list", "the nodes themselves", ""},
			{"coordination.k8s.io", "leases", "get,list", "heartbeats; leaders of the control plane", ""},
			{"metrics.k8s.io", "nodes,pods", "get,list", "usage", ""},
			{"", "pods", "list", "requests and limits, pods in trouble", ""},
			{"apps", "daemonsets", "list", "which DaemonSets should have a pod on a node", ""},
			{"storage.k8s.io", "csinodes,volumeattachments", "get,list", "volumes and their limits", ""},
			{"", "events", "list", "warnings, reboots, flapping", ""},
			{"", "configmaps", "get", "kube-proxy's mode, from the ConfigMap kube-proxy", ""},
			{"", "/version,/readyz", "get", "version skew; the API server's own checks", ""},
			{"", "namespaces", "list", "shell completion", ""},
			{"", "nodes/proxy", "get", "what the kubelet itself says; its holder can run commands in pods", "`--kubelet`"},
		},
	},
	{
		plugin: "nodeshell",
		about:  "Who may create privileged pods is root on every node: give this to those who are. With `--netns` and captures by ephemeral container it needs no more.",
		permissions: []permission{
			{"", "nodes", "get,list", "the node; `--all`, `-l`", ""},
			{"coordination.k8s.io", "leases", "get", "whether the kubelet lives", ""},
			{"", "pods", "get,list,watch,create,delete", "the helper pod; the pod whose network is entered", ""},
			{"", "pods/exec,pods/attach", "create,get", "the session", ""},
			{"", "pods/log", "get", "why a helper ended", ""},
			{"batch", "jobs", "get,list,create,delete", "the guard that removes the helper when this process is killed", ""},
			{"", "events", "list,create", "why a helper does not start; the note that somebody entered", ""},
			{"", "namespaces", "list", "a namespace that admits the helper; shell completion", ""},
			{"", "services", "get,list", "captures of a Service", ""},
			{"apps", "deployments,statefulsets,daemonsets", "get,list", "captures of a workload", ""},
			{"", "pods/ephemeralcontainers", "patch,update", "captures inside a pod", "`capture` in a pod"},
			{"", "namespaces", "create,delete", "a namespace of its own for the session", "`--create-namespace`"},
		},
	},
	{
		plugin: "dns",
		about:  "Reads, and asks the DNS servers through a tunnel. Nothing is created unless `--probe` asks for it.",
		permissions: []permission{
			{"", "services,nodes,namespaces", "get,list", "what names there must be; where DNS runs", ""},
			{"discovery.k8s.io", "endpointslices", "list", "what stands behind Services", ""},
			{"", "pods", "get,list", "the DNS pods; the pod that asks", ""},
			{"", "pods/log", "get", "why a server crashes or refuses its configuration", ""},
			{"", "pods/portforward", "create,get", "questions to each server", ""},
			{"", "configmaps", "get", "the Corefile; the kubelets' configuration", ""},
			{"apps", "deployments,daemonsets,statefulsets", "get,list", "replicas; names of StatefulSet pods", ""},
			{"networking.k8s.io", "networkpolicies", "list", "whether a policy blocks DNS", ""},
			{"authorization.k8s.io", "subjectaccessreviews", "create", "whether the DNS server may read what it needs", ""},
			{"", "pods/exec", "create,get", "questions from inside a pod with its own tools", "`--from`"},
			{"", "pods/ephemeralcontainers", "patch", "questions from inside a pod without tools", "`--probe`"},
			{"", "pods", "create,delete", "questions from a helper pod", "`--probe`"},
			{"", "nodes/proxy", "get", "clusterDNS of each kubelet; its holder can run commands in pods", "kubelet checks"},
		},
	},
	{
		plugin: "rollout-explain",
		about:  "Reads only. A Role in one namespace is enough for that namespace's rollouts; nodes and volumes need the ClusterRole.",
		permissions: []permission{
			{"apps", "deployments,statefulsets,daemonsets,replicasets,controllerrevisions", "get,list,watch", "the rollouts and their revisions", ""},
			{"batch", "jobs", "get,list,watch", "Jobs", ""},
			{"argoproj.io", "rollouts", "get,list,watch", "Argo Rollouts, where they are installed", ""},
			{"", "pods,events", "get,list,watch", "what each pod waits for", ""},
			{"", "pods/log", "get", "the last lines of a container that fails", ""},
			{"", "nodes", "get,list", "why no node takes a pod", ""},
			{"", "namespaces", "get,list", "a namespace that is being deleted; shell completion", ""},
			{"", "resourcequotas,persistentvolumeclaims,persistentvolumes", "get,list", "quotas and volumes", ""},
			{"storage.k8s.io", "storageclasses", "list", "why a claim is not bound", ""},
			{"coordination.k8s.io", "leases", "get", "whether the controllers and the scheduler live", ""},
		},
	},
}

// rbac is the page of permissions, of the plugins that there are.
func rbac(plugins []plugin) []byte {
	var b bytes.Buffer
	b.WriteString("# Permissions\n\nGenerated; a test runs each plugin with exactly its role. What is missing is never guessed: a check that may not be made is named\nunder `sources`, and `--require-complete` turns that into exit code 4. Secrets are never read.\n")
	for _, r := range roles {
		if !slices.ContainsFunc(plugins, func(p plugin) bool { return p.name == r.plugin }) {
			continue
		}
		fmt.Fprintf(&b, "\n## kubectl %s\n\n%s\n\n| may | for |\n|---|---|\n", r.plugin, r.about)
		for _, p := range r.permissions {
			use := p.use
			if p.option != "" {
				use = "only with " + p.option + ": " + use
			}
			fmt.Fprintf(&b, "| %s `%s` | %s |\n", strings.ReplaceAll(p.verbs, ",", ", "), strings.Trim(p.group+" "+strings.ReplaceAll(p.resources, ",", ", "), " "), use)
		}
		fmt.Fprintf(&b, "\n```yaml\n%s```\n", r.yaml())
	}
	return b.Bytes()
}

// yaml is the ClusterRole of what is used without being asked for.
func (r role) yaml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: kubectl-%s\nrules:\n", r.plugin)
	list := func(words string) string { return "[" + strings.ReplaceAll(words, ",", ", ") + "]" }
	for _, p := range r.permissions {
		switch {
		case p.option != "":
		case strings.HasPrefix(p.resources, "/"):
			fmt.Fprintf(&b, "  - nonResourceURLs: %s\n    verbs: %s\n", list(p.resources), list(p.verbs))
		default:
			fmt.Fprintf(&b, "  - apiGroups: [%q]\n    resources: %s\n    verbs: %s\n", p.group, list(p.resources), list(p.verbs))
		}
	}
	return b.String()
}
