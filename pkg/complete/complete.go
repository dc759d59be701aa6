// Package complete offers the names that exist in the cluster to the shell. It is bounded in time and size: a slow or
// forbidden cluster offers nothing rather than hanging the prompt.
package complete

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

const (
	patience = 3 * time.Second
	most     = 500
)

// Func is the shape of cobra's completion functions.
type Func = func(c *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective)

// Words offers a fixed set.
func Words(words ...string) Func {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// Names offers the names of a resource; namespaced ones from the namespace that the flags choose. Prefix stands before
// every name ("node/").
func Names(flags *kube.Flags, resource schema.GroupVersionResource, namespaced bool, prefix string) Func {
	return func(c *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names := list(c.Context(), flags, resource, namespaced)
		var offered []string
		for _, name := range names {
			name = prefix + name
			if strings.HasPrefix(name, toComplete) && !slices.Contains(args, name) {
				offered = append(offered, name)
			}
		}
		return offered, cobra.ShellCompDirectiveNoFileComp
	}
}

func list(ctx context.Context, flags *kube.Flags, resource schema.GroupVersionResource, namespaced bool) []string {
	cluster, err := flags.Cluster()
	if err != nil {
		return nil
	}
	client, err := cluster.Metadata()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	options := metav1.ListOptions{Limit: most}
	var found *metav1.PartialObjectMetadataList
	if namespaced {
		found, err = client.Resource(resource).Namespace(cluster.Namespace).List(ctx, options)
	} else {
		found, err = client.Resource(resource).List(ctx, options)
	}
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(found.Items))
	for i := range found.Items {
		names = append(names, found.Items[i].Name)
	}
	slices.Sort(names)
	return names
}

// Nodes offers node names.
func Nodes(flags *kube.Flags) Func {
	return Names(flags, schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, false, "")
}

// Namespaces offers namespace names.
func Namespaces(flags *kube.Flags) Func {
	return Names(flags, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, false, "")
}

// Contexts offers the contexts of the kubeconfig.
func Contexts(flags *kube.Flags) Func {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		config, err := flags.Loader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for name := range config.Contexts {
			names = append(names, name)
		}
		slices.Sort(names)
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
