package dns

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Reading is what the command check reads of a cluster: it is judged by CheckOptions.Evaluate, and its JSON is the file of
// --save-input, masked.
type Reading struct{ savedInput }

// DefaultCheck are the options of the command check without flags.
func DefaultCheck() CheckOptions {
	return CheckOptions{
		Common: Common{Timeout: readLimit}, Profile: profileQuick, External: defaultExternal, Slow: slowUpstream,
	}
}

// Check reads a cluster and reports on its DNS, as the command check does without --from: it creates nothing and prints nothing.
func Check(ctx context.Context, cluster *kube.Cluster, o CheckOptions) (report.Status, error) {
	reading, err := ReadCheck(ctx, cluster, o)
	if err != nil {
		return report.Status{}, err
	}
	return o.Evaluate(reading, cluster.Kubectl), nil
}

// ReadCheck reads what Check reports on. Only an API server that answers nothing is an error.
func ReadCheck(ctx context.Context, cluster *kube.Cluster, o CheckOptions) (Reading, error) {
	w, _ := o.plan("", evaluate.Options{})
	in, err := confirmed(ctx, func() *collect.Collector {
		return newCollector(cluster, o.Timeout, slowestExternal, cluster.Clock.Now())
	}, w)
	return Reading{savedInput{Time: cluster.Clock.Now(), Input: in}}, err
}

// Evaluate judges what was read.
func (o CheckOptions) Evaluate(r Reading, kubectl finding.Kubectl) report.Status {
	_, judge := o.plan("", evaluate.Options{Kubectl: kubectl})
	return mask.Copy(evaluate.Status(r.Input, r.Time, judge, checkKind))
}

// Resolve queries a name at every DNS pod, as the command resolve does without --from: it creates nothing and prints nothing.
// Without types, A and AAAA are queried.
func Resolve(ctx context.Context, cluster *kube.Cluster, name string, types ...string) (report.Resolution, error) {
	o := ResolveOptions{Name: name, At: "all", Types: []string{"A", "AAAA"}}
	if len(types) > 0 {
		o.Types = nil
	}
	for _, typ := range types {
		o.Types = append(o.Types, strings.ToUpper(typ))
	}
	for _, question := range questionsFor(name, o.Types) {
		if err := collect.CheckQuestion(question); err != nil {
			return report.Resolution{}, err
		}
	}
	in, err := confirmed(ctx, func() *collect.Collector { return newCollector(cluster, readLimit, 0, cluster.Clock.Now()) }, o.atServers())
	if err != nil {
		return report.Resolution{}, err
	}
	judge := evaluate.Options{Kubectl: cluster.Kubectl, Slow: slowUpstream, Typed: name}
	return mask.Copy(evaluate.Resolve(in, cluster.Clock.Now(), judge, evaluate.Qualify(in, name), o.Types, "")), nil
}

// Written says when, and by which field manager, a configuration of DNS servers was written last.
type Written struct {
	Object finding.ObjectRef
	Time   time.Time
	By     string
}

// Corefiles says it of each ConfigMap that the DNS servers mount, where its managedFields tell, and the state of that read.
func (r Reading) Corefiles() ([]Written, source.Source) {
	var list []Written
	for i := range r.Input.ConfigMaps {
		cm := &r.Input.ConfigMaps[i]
		if m, known := nodefact.WrittenAt(cm.ManagedFields, "data"); known {
			of := finding.ObjectRef{Kind: "ConfigMap", Namespace: cm.Namespace, Name: cm.Name}
			list = append(list, Written{of, m.Time.Time, m.Manager})
		}
	}
	return list, r.Input.Sources.Get("configmaps")
}

// MarshalJSON writes the file of --save-input.
func (r Reading) MarshalJSON() ([]byte, error) {
	return json.Marshal(savedInput{r.Time, evaluate.Masked(r.Input)})
}

// UnmarshalJSON reads the file of --save-input.
func (r *Reading) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &r.savedInput) }

const (
	checkKind = "DNSCheck"
	// readLimit and slowUpstream are the defaults of --timeout and --slow-threshold.
	readLimit    = 10 * time.Second
	slowUpstream = 500 * time.Millisecond
	// slowestExternal is how long the name outside the cluster may take.
	slowestExternal = 4500 * time.Millisecond
)

// plan is what check reads, and how it judges that. Namespace is the one whose names are checked; empty: none was chosen.
func (o CheckOptions) plan(namespace string, judge evaluate.Options) (collect.Wants, evaluate.Options) {
	for _, code := range o.Ignore {
		judge.Skip = append(judge.Skip, finding.Code(code))
	}
	judge.Slow = o.Slow
	full := o.Profile == profileFull
	w := collect.Wants{
		Servers: true, Namespaces: true, Policies: true, Access: true, Events: true, KubeletMap: true, Kubelets: full, Logs: true,
		LogLines: 300, Metrics: true, External: o.External, Questions: checkQuestions,
	}
	switch {
	case full:
		judge.All, w.StatefulSets, w.Pods = true, true, true
	case namespace != "":
		judge.Namespace, w.StatefulSets, w.Pods, w.Scope = namespace, true, true, namespace
	}
	if o.From != "" {
		w.From = &collect.From{
			Namespace: namespace, Pod: o.From, Container: o.Container, Ask: true, Files: true, Questions: pathQuestions,
		}
	}
	return w, judge
}

// confirmed reads a cluster. What a server answers otherwise than the API says is read and asked a second time: a change between the
// two readings is no difference.
func confirmed(ctx context.Context, collector func() *collect.Collector, w collect.Wants) (evaluate.Input, error) {
	in, err := collector().Collect(ctx, w)
	if err != nil || w.Questions == nil {
		return in, err
	}
	differing := evaluate.Mismatched(in)
	if len(differing) == 0 {
		return in, nil
	}
	second, err := collector().Collect(ctx, collect.Wants{
		Servers: true, Namespaces: w.Namespaces, StatefulSets: w.StatefulSets, Pods: w.Pods, Scope: w.Scope, Only: w.Only,
		Questions: func(in evaluate.Input, _ time.Time) []records.Question {
			return append(differing, evaluate.SOAQuestion(in))
		},
	})
	if err != nil {
		return in, err
	}
	return evaluate.Replace(in, second), nil
}

// newCollector makes the one that reads a cluster; now makes names that no cache knows.
func newCollector(cluster *kube.Cluster, timeout, slow time.Duration, now time.Time) *collect.Collector {
	return &collect.Collector{
		Cluster: cluster, Timeout: timeout, Slow: slow, Nonce: strconv.FormatInt(now.UnixNano()%1_000_000_000, 36),
	}
}
