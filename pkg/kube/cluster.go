// Package kube connects to a cluster: kubectl's own connection flags, lazily made clients over one transport, the
// server's clock, and the one place where an API error becomes a source state or a line for a person.
package kube

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Flags are kubectl's connection flags (--kubeconfig, --context, -n, --as, --token …), from cli-runtime.
type Flags struct {
	config   *genericclioptions.ConfigFlags
	contexts []string // --context, which may be given several times or as a pattern
	set      *pflag.FlagSet
	agent    string
	local    func() time.Time
	wrap     []func(http.RoundTripper) http.RoundTripper
}

// NewFlags makes the flags. Agent is the user agent ("kubectl-nodeinfo/v1.2.3 (linux/amd64)"); local is this machine's
// clock; wrap adds transports, outermost last (tests count or break requests there).
func NewFlags(agent string, local func() time.Time, wrap ...func(http.RoundTripper) http.RoundTripper) *Flags {
	f := &Flags{
		config: genericclioptions.NewConfigFlags(false), // not cached: it is read once for each context
		set:    pflag.NewFlagSet("connection", pflag.ContinueOnError),
		agent:  agent,
		local:  local,
		wrap:   wrap,
	}
	f.config.Context = nil
	f.config.AddFlags(f.set)
	f.set.StringArrayVar(&f.contexts, "context", nil, "The name of the kubeconfig context to use. "+
		"Can be repeated, or be a pattern (prod-*), where a command reports on several clusters")
	return f
}

// FlagSet holds the flags, for a command to add.
func (f *Flags) FlagSet() *pflag.FlagSet { return f.set }

// adjust replaces client-go's defaults: 5 requests a second would make 60 lists take 10 s, and the server has its own
// fairness (https://kubernetes.io/docs/concepts/cluster-administration/flow-control/). Concurrency is bounded by the
// callers. ContentType stays unset, so that typed clients negotiate protobuf.
func (f *Flags) adjust(config *rest.Config, clock *Clock) {
	config.QPS = -1
	config.UserAgent = f.agent
	config.Wrap(clock.Wrap)
	limit := config.Timeout
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return patientTransport{next: next, limit: limit} })
	config.Wrap(newUndecidedTransport)
	for _, wrap := range f.wrap {
		config.Wrap(wrap)
	}
}

// Cluster resolves the flags into one connection. Nothing is sent yet.
func (f *Flags) Cluster() (*Cluster, error) {
	clusters, err := f.Clusters()
	if err != nil {
		return nil, err
	}
	if len(clusters) > 1 {
		return nil, fmt.Errorf("--context matches %d contexts (%s); this command accepts one", len(clusters), strings.Join(f.contexts, ", "))
	}
	return clusters[0], nil
}

// Clusters resolves the flags into a connection for each context that --context names, in the order given, or the one
// of the current context.
func (f *Flags) Clusters() ([]*Cluster, error) {
	names, err := f.contextNames()
	if err != nil {
		return nil, err
	}
	var clusters []*Cluster
	for _, name := range names {
		cluster, err := f.connect(name)
		if err != nil {
			return nil, err
		}
		clusters = append(clusters, cluster)
	}
	return clusters, nil
}

// Named resolves the flags into a connection to one context, by its exact name, which --context has to allow where it is given.
// Without a name it is the one that --context names, or the current context.
func (f *Flags) Named(context string) (*Cluster, error) {
	allowed, err := f.contextNames()
	if err != nil {
		return nil, err
	}
	list := strings.Join(allowed, ", ")
	switch {
	case context == "" && len(allowed) == 1:
		return f.connect(allowed[0])
	case context == "":
		return nil, fmt.Errorf("a context is required; allowed contexts: %s", list)
	case len(f.contexts) > 0 && !slices.Contains(allowed, context):
		return nil, fmt.Errorf("context %q is not allowed; allowed contexts: %s", context, list)
	}
	raw, err := f.Loader().RawConfig()
	if err != nil {
		return nil, Explain(err)
	}
	if raw.Contexts[context] == nil {
		return nil, fmt.Errorf("context %q: not found in the kubeconfig", context)
	}
	return f.connect(context)
}

// contextNames expands --context; a single empty name stands for the current context.
func (f *Flags) contextNames() ([]string, error) {
	if len(f.contexts) == 0 {
		return []string{""}, nil
	}
	raw, err := f.Loader().RawConfig()
	if err != nil {
		return nil, Explain(err)
	}
	known := slices.Sorted(maps.Keys(raw.Contexts))
	var names []string
	for _, pattern := range f.contexts {
		matched := false
		for _, name := range known {
			if ok, err := path.Match(pattern, name); err != nil {
				return nil, fmt.Errorf("--context %q: invalid name or pattern: %w", pattern, err)
			} else if ok || name == pattern {
				matched = true
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
		if !matched {
			return nil, fmt.Errorf("--context %q: not found in the kubeconfig; existing contexts: %s",
				pattern, cmp.Or(strings.Join(known, ", "), "none"))
		}
	}
	return names, nil
}

func (f *Flags) connect(name string) (*Cluster, error) {
	f.config.Context = nil
	if name != "" {
		f.config.Context = &name
	}
	config, err := f.config.ToRESTConfig()
	if err != nil {
		return nil, Explain(err)
	}
	if f.unconfigured(config) {
		return nil, Explain(clientcmd.ErrEmptyConfig)
	}
	namespace, explicit, err := f.Loader().Namespace()
	if err != nil {
		return nil, Explain(err)
	}
	clock := NewClock(f.local)
	f.adjust(config, clock)
	return &Cluster{
		Config: config, Clock: clock, Context: name, Namespace: namespace, NamespaceGiven: explicit,
		Kubectl: finding.Kubectl{Flags: f.given(name)},
	}, nil
}

// unconfigured tells the default that client-go falls back to (http://localhost:8080) from a wish: nothing listens there
// on anybody's machine, and "connection refused" would hide that no kubeconfig was found.
func (f *Flags) unconfigured(config *rest.Config) bool {
	raw, err := f.Loader().RawConfig()
	return err == nil && len(raw.Clusters) == 0 && !f.set.Changed("server") && config.Host == "http://localhost:8080"
}

// Loader is the kubeconfig as kubectl would merge it, for the completion of contexts.
func (f *Flags) Loader() clientcmd.ClientConfig { return f.config.ToRawKubeConfigLoader() }

// repeated are the connection flags that next commands carry on: what chooses the cluster, the user, and the way to trust
// it. The others are either secrets (--token, --password, --username) or choose nothing (--cache-dir, --request-timeout,
// --disable-compression, --namespace, which each command sets for itself).
var repeated = []string{
	"kubeconfig", "context", "cluster", "user", "server", "as", "as-uid", "as-group", "as-user-extra",
	"certificate-authority", "client-certificate", "client-key", "insecure-skip-tls-verify", "tls-server-name", "proxy-url",
}

// given repeats the flags that choose the cluster and the user, as they were given, for next commands.
func (f *Flags) given(context string) []string {
	var flags []string
	for _, name := range repeated {
		flag := f.set.Lookup(name)
		if flag == nil || !flag.Changed && (name != "context" || context == "") {
			continue
		}
		values := []string{flag.Value.String()}
		if name == "context" {
			values = []string{context}
		} else if many, ok := flag.Value.(pflag.SliceValue); ok {
			values = many.GetSlice()
		}
		for _, value := range values {
			if u, err := url.Parse(value); err == nil && u.User != nil {
				if _, secret := u.User.Password(); secret {
					continue // as --token: hidden, it would be another address
				}
			}
			flags = append(flags, "--"+name+"="+value)
		}
	}
	return flags
}

// Cluster is one connection. Its clients are made on first use and share one transport.
type Cluster struct {
	Config         *rest.Config
	Clock          *Clock
	Context        string          // as --context chose it; empty for the current context
	Namespace      string          // of the context, or -n
	NamespaceGiven bool            // -n was given
	Kubectl        finding.Kubectl // builds next commands for this connection

	once    sync.Once
	client  *http.Client
	httpErr error
}

func (c *Cluster) http() (*http.Client, error) {
	c.once.Do(func() { c.client, c.httpErr = rest.HTTPClientFor(c.Config) })
	return c.client, c.httpErr
}

// Typed gives the clients of the built-in kinds.
func (c *Cluster) Typed() (Clients, error) {
	client, err := c.http()
	if err != nil {
		return nil, Explain(err)
	}
	return newClients(c.Config, client)
}

// Dynamic gives a client for kinds known only at run time (custom resources).
func (c *Cluster) Dynamic() (dynamic.Interface, error) {
	client, err := c.http()
	if err != nil {
		return nil, Explain(err)
	}
	return dynamic.NewForConfigAndClient(c.Config, client)
}

// Metadata gives a client that reads names and labels alone.
func (c *Cluster) Metadata() (metadata.Interface, error) {
	client, err := c.http()
	if err != nil {
		return nil, Explain(err)
	}
	return metadata.NewForConfigAndClient(c.Config, client)
}

// HTTP gives the authenticated HTTP client itself, for endpoints without a typed client (/readyz, metrics.k8s.io).
func (c *Cluster) HTTP() (*http.Client, error) { return c.http() }
