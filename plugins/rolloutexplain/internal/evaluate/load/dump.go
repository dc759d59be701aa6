// Package load reads dumps of a cluster and makes inputs that may be saved: whatever goes through a file. It judges nothing.
package load

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// Dump reads a dump: what "kubectl get deploy,rs,pods,events,… -o yaml" prints, one or several documents, in YAML or JSON.
// A kind that the dump holds counts as read; a kind of which there is nothing counts as not read.
func Dump(data []byte) (*model.Input, error) {
	in := &model.Input{}
	seen := map[string]bool{}
	documents, err := split(data)
	if err != nil {
		return nil, err
	}
	for _, d := range documents {
		if err := take(in, d, seen); err != nil {
			return nil, err
		}
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("the file contains no Kubernetes objects")
	}
	sourcesOfDump(in, seen)
	in.Collected = newestTime(in)
	return in, nil
}

func split(data []byte) ([]map[string]any, error) {
	var all []map[string]any
	for _, part := range splitYAML(string(data)) {
		text, err := yaml.ToJSON([]byte(part))
		if err != nil {
			return nil, fmt.Errorf("the file is neither YAML nor JSON: %w", err)
		}
		var d any
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, err
		}
		if m, ok := d.(map[string]any); ok && len(m) > 0 {
			all = append(all, m)
		}
	}
	return all, nil
}

// take sorts an object, or the items of a list, into the Input.
func take(in *model.Input, o map[string]any, seen map[string]bool) error {
	if items, ok := o["items"].([]any); ok {
		for _, item := range items {
			if m, ok := item.(map[string]any); ok {
				if err := take(in, m, seen); err != nil {
					return err
				}
			}
		}
		return nil
	}
	kind, _ := o["kind"].(string)
	api, _ := o["apiVersion"].(string)
	if kind == "" {
		return nil
	}
	seen[kind] = true
	switch kind {
	case "Deployment":
		return into(o, &in.Deployments)
	case "ReplicaSet":
		return into(o, &in.ReplicaSets)
	case "StatefulSet":
		return into(o, &in.StatefulSets)
	case "DaemonSet":
		return into(o, &in.DaemonSets)
	case "ControllerRevision":
		return into(o, &in.ControllerRevisions)
	case "Job":
		return into(o, &in.Jobs)
	case "Pod":
		return into(o, &in.Pods)
	case "Event":
		return takeEvent(in, o, api)
	case model.KindArgo:
		in.Rollouts = append(in.Rollouts, o)
		return nil
	}
	return takeLookup(in, o, kind)
}

// takeLookup sorts what only some causes ask for.
func takeLookup(in *model.Input, o map[string]any, kind string) error {
	switch kind {
	case "Node":
		return into(o, &in.Nodes)
	case "Namespace":
		return into(o, &in.Namespaces)
	case "ResourceQuota":
		return into(o, &in.Quotas)
	case "PersistentVolumeClaim":
		return into(o, &in.Claims)
	case "PersistentVolume":
		return into(o, &in.Volumes)
	case "StorageClass":
		return into(o, &in.StorageClasses)
	case "Lease":
		return into(o, &in.Leases)
	}
	return nil
}

func into[T any](o map[string]any, list *[]T) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("%v %v: %w", o["kind"], name(o), err)
	}
	*list = append(*list, v)
	return nil
}

func name(o map[string]any) any {
	m, _ := o["metadata"].(map[string]any)
	return m["name"]
}

// takeEvent accepts both event APIs: "kubectl get events" prints core events, "events.events.k8s.io" the newer shape.
func takeEvent(in *model.Input, o map[string]any, api string) error {
	if api == eventsv1.SchemeGroupVersion.String() {
		var recent []eventsv1.Event
		if err := into(o, &recent); err != nil {
			return err
		}
		in.Events = append(in.Events, eventfact.Core(&recent[0]))
		return nil
	}
	return into(o, &in.Events)
}

// sourcesOfDump says what the dump tells about.
func sourcesOfDump(in *model.Input, seen map[string]bool) {
	note := func(name string, ok bool, missing string) {
		s := source.Source{Name: name, State: source.OK}
		if !ok {
			s.State, s.Message = source.Skipped, missing
		}
		in.Sources = append(in.Sources, s)
	}
	note(model.SourcePods, seen["Pod"] || noPodsWanted(in), "the dump contains no pods")
	note(model.SourceRevisions, seen["ReplicaSet"] || seen["ControllerRevision"], "the dump contains no ReplicaSets or ControllerRevisions")
	note(model.SourceEvents, seen["Event"], "the dump contains no events")
	note(model.SourceWorkload, true, "")
	for _, kinds := range []struct{ kind, name string }{{"Node", "nodes"}, {"Lease", "leases"}, {"StorageClass", "storageclasses"}} {
		if seen[kinds.kind] {
			note(kinds.name, true, "")
		}
	}
	if seen["Node"] {
		in.Fetched = append(in.Fetched, model.Need{Kind: model.NeedNodes})
	}
	for i := range in.Claims {
		in.Fetched = append(in.Fetched, model.Need{Kind: model.NeedClaim, Namespace: in.Claims[i].Namespace, Name: in.Claims[i].Name})
	}
}

func noPodsWanted(in *model.Input) bool {
	return !slices.ContainsFunc(in.Deployments, func(d appsv1.Deployment) bool { return plain.Or(d.Spec.Replicas, 1) > 0 }) &&
		len(in.StatefulSets)+len(in.DaemonSets)+len(in.Jobs) == 0
}

// newestTime is when the dump was made, as well as its own times tell: nothing in it can be younger.
func newestTime(in *model.Input) time.Time {
	var at time.Time
	see := func(t metav1.Time) {
		if t.After(at) {
			at = t.Time
		}
	}
	meta := func(m *metav1.ObjectMeta) {
		see(m.CreationTimestamp)
		for _, f := range m.ManagedFields {
			if f.Time != nil {
				see(*f.Time)
			}
		}
	}
	for i := range in.Deployments {
		meta(&in.Deployments[i].ObjectMeta)
		for _, c := range in.Deployments[i].Status.Conditions {
			see(c.LastUpdateTime)
		}
	}
	for i := range in.StatefulSets {
		meta(&in.StatefulSets[i].ObjectMeta)
	}
	for i := range in.DaemonSets {
		meta(&in.DaemonSets[i].ObjectMeta)
	}
	for i := range in.Pods {
		p := &in.Pods[i]
		meta(&p.ObjectMeta)
		for _, c := range p.Status.Conditions {
			see(c.LastTransitionTime)
		}
		for _, s := range podfact.Containers(p) {
			seeState(see, s.State)
			seeState(see, s.LastTerminationState)
		}
	}
	for i := range in.Events {
		see(metav1.NewTime(eventfact.Read(&in.Events[i]).Last))
	}
	for i := range in.Leases {
		see(metav1.NewTime(nodefact.Renewal(&in.Leases[i])))
	}
	return at
}

func seeState(see func(metav1.Time), s corev1.ContainerState) {
	if s.Running != nil {
		see(s.Running.StartedAt)
	}
	if s.Terminated != nil {
		see(s.Terminated.FinishedAt)
	}
}

// splitYAML separates the documents of a file.
func splitYAML(text string) []string {
	var parts []string
	for _, part := range strings.Split("\n"+text, "\n---") {
		if strings.TrimSpace(part) != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
