package nodeshell

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// cleanupOptions are a checked `nodeshell cleanup`.
type cleanupOptions struct {
	All       bool
	OlderThan time.Duration
	Mine      bool
	DryRun    bool
	NoHeaders bool
	Color     output.ColorMode
}

func cleanupCommand(env *cli.Env, connection *kube.Flags, runF func(context.Context, *cli.Env, *kube.Flags, cleanupOptions) error) *cobra.Command {
	var (
		o     cleanupOptions
		color string
	)
	command := &cobra.Command{
		Use:   "cleanup",
		Short: "Delete what killed sessions have left",
		Long: cli.Long(`
			Delete what killed sessions have left: helper pods, Jobs and namespaces that are finished or past their own
			deadline. A session that runs is kept, except with --mine, which ends your own.

			Normally there is nothing to do: the cluster itself removes a session within a minute of its client's death.`),
		Example: cli.Example(env, `
			# What there is, in every namespace
			PROGRAM cleanup -A --dry-run

			# End my own sessions too, if they are older than an hour
			PROGRAM cleanup -A --mine --older-than 1h`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usage(fmt.Errorf("unexpected argument %q", args[0]))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.Color, err = output.ParseColorMode(color); err != nil {
				return cli.Usage(err)
			}
			if o.OlderThan < 0 {
				return cli.Usage(fmt.Errorf("--older-than %s: use a positive duration", o.OlderThan))
			}
			return runF(c.Context(), env, connection, o)
		},
	}
	set := command.Flags()
	set.BoolVarP(&o.All, "all-namespaces", "A", false, "In every namespace, and the namespaces of --create-namespace too.")
	set.DurationVar(&o.OlderThan, "older-than", 0, "Only what is older than this.")
	set.BoolVar(&o.Mine, "mine", false, "Also end sessions of yours that still run.")
	set.BoolVar(&o.DryRun, "dry-run", false, "Only show what would be deleted.")
	set.BoolVar(&o.NoHeaders, "no-headers", false, "No header line.")
	cli.AddColorFlag(set, &color)
	completeWords(command, map[string][]string{"color": output.ColorModes()})
	return command
}

// leftover is an object that a session has made.
type leftover struct {
	kind, namespace, name, node, user, state string
	age                                      time.Duration
	remove                                   bool
	uid                                      metav1.Preconditions
}

func cleanup(ctx context.Context, env *cli.Env, connection *kube.Flags, o cleanupOptions) error {
	r, err := newRunner(env, connection, podFlags{})
	if err != nil {
		return err
	}
	namespace := r.cluster.Namespace
	if o.All {
		namespace = metav1.NamespaceAll
	}
	list, err := r.leftovers(ctx, namespace, o)
	if err != nil {
		return kube.Explain(err)
	}
	if len(list) == 0 {
		env.Warn("nothing is left of any session")
		return nil
	}
	failed := 0
	table := output.TableText{Columns: []output.Column{{Header: "KIND"}, {Header: "NAMESPACE"}, {Header: "NAME"}, {Header: "NODE"}, {Header: "USER"}, {Header: "AGE"}, {Header: "STATE"}, {Header: "ACTION"}}}
	for _, l := range list {
		action := "kept"
		switch {
		case l.remove && o.DryRun:
			action = "would be deleted"
		case l.remove:
			action = "deleted"
			if err := r.removeLeftover(ctx, l); err != nil {
				failed++
				action = "failed: " + kube.OneLine(err)
			}
		}
		table.Rows = append(table.Rows, output.Text(l.kind, orNone(l.namespace), l.name, orNone(l.node), orNone(l.user), output.Age(l.age), l.state, action))
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

// leftovers lists Jobs, bare pods and namespaces by label, and decides on each.
func (r *runner) leftovers(ctx context.Context, namespace string, o cleanupOptions) ([]leftover, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	mine := ""
	if o.Mine {
		mine = r.reader.User(ctx)
	}
	options := metav1.ListOptions{LabelSelector: podspec.ManagedByLabel + "=" + manager}
	pods, err := r.client.CoreV1().Pods(namespace).List(ctx, options)
	if err != nil {
		return nil, err
	}
	var list []leftover
	live := map[string]bool{} // namespaces and Jobs with a session that runs and is kept
	for i := range pods.Items {
		pod := &pods.Items[i]
		l := r.judge("pod", pod.ObjectMeta, podState(pod, r.cluster.Clock.Now()), mine, o)
		l.node = pod.Spec.NodeName
		live[pod.Namespace] = live[pod.Namespace] || !l.remove
		live[pod.Namespace+"/"+pod.Labels[podspec.HelperLabel]] = !l.remove
		list = append(list, l)
	}
	jobs, err := r.client.BatchV1().Jobs(namespace).List(ctx, options)
	if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if err == nil {
		for i := range jobs.Items {
			job := &jobs.Items[i]
			state := jobState(job, r.cluster.Clock.Now())
			if live[job.Namespace+"/"+job.Name] {
				state = "running"
			}
			live[job.Namespace] = live[job.Namespace] || state == "running"
			list = append(list, r.judge("job", job.ObjectMeta, state, mine, o))
		}
	}
	if o.All {
		list = append(list, r.emptyNamespaces(ctx, options, live, o)...)
	}
	slices.SortFunc(list, func(a, b leftover) int {
		return cmp.Or(cmp.Compare(order(a.kind), order(b.kind)), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return list, nil
}

// order deletes Jobs before their pods, or the controller makes another one.
func order(kind string) int { return slices.Index([]string{"job", "pod", "namespace"}, kind) }

func (r *runner) judge(kind string, meta metav1.ObjectMeta, state, mine string, o cleanupOptions) leftover {
	l := leftover{
		kind: kind, namespace: meta.Namespace, name: meta.Name, user: meta.Annotations[podspec.UserAnnotation],
		state: state, age: r.cluster.Clock.Now().Sub(meta.CreationTimestamp.Time), uid: *metav1.NewUIDPreconditions(string(meta.UID)),
	}
	own := mine != "" && l.user == mine
	l.remove = (state != "running" || own) && l.age >= o.OlderThan
	return l
}

func podState(pod *corev1.Pod, now time.Time) string {
	switch {
	case podfact.Finished(pod):
		return "finished"
	case podspec.Expired(pod.Annotations, now):
		return "expired"
	case pod.DeletionTimestamp != nil:
		return "ending"
	}
	return "running"
}

// jobState reads a guard. One without a pod is a session that begins: its deadline, which its client pushes on, tells
// when it is dead, also where no controller is there to say so.
func jobState(job *batchv1.Job, now time.Time) string {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return "finished"
		}
	}
	if limit := job.Spec.ActiveDeadlineSeconds; limit != nil {
		start := job.CreationTimestamp
		if job.Status.StartTime != nil {
			start = *job.Status.StartTime
		}
		if now.After(start.Add(time.Duration(*limit)*time.Second + time.Minute)) {
			return "expired"
		}
	}
	if podspec.Expired(job.Annotations, now) {
		return "expired"
	}
	return "running"
}

func (r *runner) emptyNamespaces(ctx context.Context, options metav1.ListOptions, live map[string]bool, o cleanupOptions) []leftover {
	namespaces, err := r.client.CoreV1().Namespaces().List(ctx, options)
	if err != nil {
		return nil
	}
	var list []leftover
	for i := range namespaces.Items {
		n := &namespaces.Items[i]
		if !strings.HasPrefix(n.Name, "nodeshell-") {
			continue
		}
		state := "empty"
		// A session makes its namespace first and its pod a moment later.
		if live[n.Name] || r.cluster.Clock.Now().Sub(n.CreationTimestamp.Time) < time.Minute {
			state = "running"
		}
		if state == "empty" && r.othersLive(ctx, n.Name) {
			continue
		}
		list = append(list, r.judge("namespace", n.ObjectMeta, state, "", o))
	}
	return list
}

// othersLive says whether a namespace that a session made has come to hold somebody else's pods, or may: with it they
// would go, too.
func (r *runner) othersLive(ctx context.Context, namespace string) bool {
	pods, err := r.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: podspec.ManagedByLabel + "!=" + manager, Limit: 1})
	return err != nil || len(pods.Items) > 0
}

func (r *runner) removeLeftover(ctx context.Context, l leftover) error {
	policy := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{Preconditions: &l.uid, PropagationPolicy: &policy}
	var err error
	switch l.kind {
	case "job":
		err = r.client.BatchV1().Jobs(l.namespace).Delete(ctx, l.name, options)
	case "pod":
		err = r.client.CoreV1().Pods(l.namespace).Delete(ctx, l.name, options)
	default:
		err = r.client.CoreV1().Namespaces().Delete(ctx, l.name, options)
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
