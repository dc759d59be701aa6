// Package cleanup finds and removes what sessions have left: Jobs, pods and namespaces that are finished, or past their
// own deadline. It knows by which marks a session's objects are recognized, and when nobody holds one any more.
package cleanup

import (
	"cmp"
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
)

const (
	// Manager is the label podspec.ManagedByLabel of everything that a session makes.
	Manager = "kubectl-nodeshell"
	// NamespacePrefix begins the name of a namespace that was made for one session.
	NamespacePrefix = "nodeshell-"
)

// Options are a checked `nodeshell cleanup`.
type Options struct {
	All       bool
	OlderThan time.Duration
	Mine      bool
	DryRun    bool
	NoHeaders bool
	Color     output.ColorMode
}

// Run removes what is left, and shows it with what became of it.
func Run(ctx context.Context, env *cli.Env, connection *kube.Flags, o Options) error {
	cluster, reader, err := collect.Open(connection)
	if err != nil {
		return err
	}
	namespace := cluster.Namespace
	if o.All {
		namespace = metav1.NamespaceAll
	}
	c := cleaner{client: reader.Client, now: cluster.Clock.Now, user: reader.User}
	list, err := c.leftovers(ctx, namespace, o)
	if err != nil {
		return kube.Explain(err)
	}
	if len(list) == 0 {
		env.Warn("no leftovers of sessions found")
		return nil
	}
	failed := 0
	table := output.TableText{Columns: []output.Column{
		{Header: "KIND"},
		{Header: "NAMESPACE"},
		{Header: "NAME"},
		{Header: "NODE"},
		{Header: "USER"},
		{Header: "AGE"},
		{Header: "STATE"},
		{Header: "ACTION"},
	}}
	for _, l := range list {
		action := "kept"
		switch {
		case l.remove && o.DryRun:
			action = "would be deleted"
		case l.remove:
			action = "deleted"
			if err := c.remove(ctx, l); err != nil {
				failed++
				action = "failed: " + kube.OneLine(err)
			}
		}
		table.Rows = append(table.Rows, output.Text(
			l.kind, orNone(l.namespace), l.name, orNone(l.node), orNone(l.user), output.Age(l.age), l.state, action))
	}
	if err := table.Fprint(env.Streams.Out, output.TableOptions{Terminal: env.Out(o.Color), NoHeaders: o.NoHeaders}); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%s could not be deleted", output.Plural(failed, "object"))
	}
	return nil
}

func orNone(s string) string { return cmp.Or(s, output.None) }

// remove deletes one object, if it is still the one that was judged.
func (c cleaner) remove(ctx context.Context, l leftover) error {
	policy := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{Preconditions: &l.uid, PropagationPolicy: &policy}
	var err error
	switch l.kind {
	case "job":
		err = c.client.BatchV1().Jobs(l.namespace).Delete(ctx, l.name, options)
	case "pod":
		err = c.client.CoreV1().Pods(l.namespace).Delete(ctx, l.name, options)
	default:
		err = c.client.CoreV1().Namespaces().Delete(ctx, l.name, options)
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
