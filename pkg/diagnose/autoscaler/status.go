// Package autoscaler says what is true of a node for those that add and remove nodes: what Cluster Autoscaler reports of itself and
// of its node groups, what Karpenter's NodeClaims and NodePools say, and what keeps either from removing a node.
package autoscaler

import (
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
)

// Status is what Cluster Autoscaler writes into the ConfigMap cluster-autoscaler-status: as YAML from version 1.30 on, before that as
// text for people.
// https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/clusterstate/api/types.go
type Status struct {
	Written    time.Time `json:"written,omitzero"` // by the API server's clock, which the ConfigMap tells; zero: it does not
	Time       time.Time `json:"time,omitzero"`    // the newest in the text, by the autoscaler's clock; zero: there is none
	State      string    `json:"state,omitempty"`  // "Running", "Initializing"
	Health     Aspect    `json:"health,omitzero"`
	ScaleUp    Aspect    `json:"scaleUp,omitzero"`
	ScaleDown  Aspect    `json:"scaleDown,omitzero"`
	Candidates *int      `json:"candidates,omitempty"` // nodes that may be removed
	Groups     []Group   `json:"nodeGroups,omitempty"`
}

// Aspect is one thing that is reported, of the cluster or of a node group.
type Aspect struct {
	Status string    `json:"status,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Error  string    `json:"error,omitempty"` // why a scale-up failed: code and message
}

// Group is a node group.
type Group struct {
	Name       string `json:"name"`
	Health     Aspect `json:"health,omitzero"`
	ScaleUp    Aspect `json:"scaleUp,omitzero"`
	ScaleDown  Aspect `json:"scaleDown,omitzero"`
	Ready      *int   `json:"ready,omitempty"`
	Target     *int   `json:"target,omitempty"` // the size that the cloud is to bring about
	Min        *int   `json:"min,omitempty"`
	Max        *int   `json:"max,omitempty"`
	Candidates *int   `json:"candidates,omitempty"`
}

// The words of aspects and states that something follows from.
const (
	Initializing = "Initializing"
	Unhealthy    = "Unhealthy"
	Backoff      = "Backoff"
)

// silence is how long a Cluster Autoscaler may be at one round before it is restarted: the default of --max-inactivity, by which its
// own health check fails. Each round writes the status.
// https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/FAQ.md (max-inactivity)
const silence = 10 * time.Minute

// abandoned is from when on a status that is not renewed is more likely left over than that of an autoscaler that has stopped: nothing
// removes the ConfigMap together with the autoscaler.
const abandoned = 24 * time.Hour

// Updated is when the status was written, as far as is known.
func (s *Status) Updated() time.Time {
	if !s.Written.IsZero() {
		return s.Written
	}
	return s.Time
}

// Stopped says whether nobody renews the status any more; left says that this is so for so long that the autoscaler may have been
// removed. Without a time neither is said.
func (s *Status) Stopped(now time.Time) (stopped, left bool) {
	at := s.Updated()
	if at.IsZero() {
		return false, false
	}
	age := now.Sub(at)
	return age > silence, age > abandoned
}

// InBackoff are the node groups to which nothing is added for a while, because that failed.
func (s *Status) InBackoff() []*Group {
	var list []*Group
	for i := range s.Groups {
		if s.Groups[i].ScaleUp.Status == Backoff {
			list = append(list, &s.Groups[i])
		}
	}
	return list
}

// AtMinimum says whether a group has no more nodes than it is to have at least.
func (g *Group) AtMinimum() bool { return g.Target != nil && g.Min != nil && *g.Target <= *g.Min }

// AtMaximum says whether a group has as many nodes as it may have.
func (g *Group) AtMaximum() bool {
	return g.Target != nil && g.Max != nil && *g.Max > 0 && *g.Target >= *g.Max
}

var errUnknown = errors.New("neither the YAML nor the text of a Cluster Autoscaler status")

// Read reads the status out of its ConfigMap, with the time at which the API server stored it: the time in the text is by the clock of
// the autoscaler.
func Read(object *corev1.ConfigMap) (*Status, error) {
	s, err := Parse(object.Data["status"])
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", object.Namespace, object.Name, err)
	}
	if by, ok := nodefact.WrittenAt(object.ManagedFields, "status"); ok {
		s.Written = by.Time.UTC()
	}
	return s, nil
}

// Parse reads a status in either form.
func Parse(text string) (*Status, error) {
	if strings.HasPrefix(strings.TrimSpace(text), textHead) {
		return parseText(text), nil
	}
	return parseYAML(text)
}

// The fields of the YAML that are judged. Times are read as text: one that is none is left out, and nothing else is lost by it.
type yamlAspect struct {
	Status     string `json:"status"`
	Probed     string `json:"lastProbeTime"`
	Since      string `json:"lastTransitionTime"`
	Candidates *int   `json:"candidates"`
	Target     *int   `json:"cloudProviderTarget"`
	Min        *int   `json:"minSize"`
	Max        *int   `json:"maxSize"`
	Counts     struct {
		Registered struct {
			Ready *int `json:"ready"`
		} `json:"registered"`
	} `json:"nodeCounts"`
	Backoff struct {
		Code    string `json:"errorCode"`
		Message string `json:"errorMessage"`
	} `json:"backoffInfo"`
}

type yamlAspects struct {
	Name      string     `json:"name"`
	Health    yamlAspect `json:"health"`
	ScaleUp   yamlAspect `json:"scaleUp"`
	ScaleDown yamlAspect `json:"scaleDown"`
}

func parseYAML(text string) (*Status, error) {
	var file struct {
		Time   string        `json:"time"`
		State  string        `json:"autoscalerStatus"`
		Wide   yamlAspects   `json:"clusterWide"`
		Groups []yamlAspects `json:"nodeGroups"`
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil || file.State == "" && file.Wide.Health.Status == "" {
		return nil, errUnknown
	}
	s := &Status{State: file.State, Time: moment(file.Time), Candidates: file.Wide.ScaleDown.Candidates}
	for _, a := range []struct {
		from *yamlAspect
		to   *Aspect
	}{{&file.Wide.Health, &s.Health}, {&file.Wide.ScaleUp, &s.ScaleUp}, {&file.Wide.ScaleDown, &s.ScaleDown}} {
		*a.to = a.from.aspect()
		s.see(moment(a.from.Probed))
	}
	for i := range file.Groups {
		from := &file.Groups[i]
		s.Groups = append(s.Groups, Group{
			Name: from.Name, Health: from.Health.aspect(), ScaleUp: from.ScaleUp.aspect(), ScaleDown: from.ScaleDown.aspect(),
			Ready: from.Health.Counts.Registered.Ready, Target: from.Health.Target, Min: from.Health.Min, Max: from.Health.Max,
			Candidates: from.ScaleDown.Candidates,
		})
	}
	return s, nil
}

func (a *yamlAspect) aspect() Aspect {
	out := Aspect{Status: a.Status, Since: moment(a.Since), Error: a.Backoff.Code}
	if message := a.Backoff.Message; message != "" {
		out.Error = strings.TrimPrefix(out.Error+": "+message, ": ")
	}
	return out
}

// see takes a time into account of when the status was written.
func (s *Status) see(at time.Time) {
	if at.After(s.Time) {
		s.Time = at
	}
}

// moment reads a time as RFC 3339, or as Go prints one; zero: it is none. Of the latter the zone's name and the monotonic clock are
// left out: the offset says all.
func moment(text string) time.Time {
	text = strings.TrimSpace(text)
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UTC()
	}
	words := strings.Fields(text)
	if len(words) < 3 {
		return time.Time{}
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999999 -0700", strings.Join(words[:3], " "))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
