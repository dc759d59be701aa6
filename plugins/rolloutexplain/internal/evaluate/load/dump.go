// Package load reads dumps of a cluster and makes inputs that may be saved: whatever goes through a file. It judges nothing.
package load

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/dump"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// Dump reads a dump: what "kubectl get deploy,rs,pods,events,… -o yaml" prints, one or several documents, in YAML or JSON.
// A kind that the dump holds counts as read; a kind of which there is nothing counts as not read.
func Dump(data []byte) (*model.Input, error) {
	in := &model.Input{}
	seen := map[string]bool{}
	documents, err := dump.Read(data)
	if err != nil {
		return nil, err
	}
	for _, d := range documents {
		for _, o := range d.Objects {
			seen[o.Kind()] = true
			if err := take(in, o); err != nil {
				return nil, err
			}
		}
	}
	sourcesOfDump(in, seen)
	in.Collected = newestTime(in)
	return in, nil
}

// take sorts an object into the Input.
func take(in *model.Input, o dump.Object) error {
	switch o.Kind() {
	case "Deployment":
		return dump.Into(o, &in.Deployments)
	case "ReplicaSet":
		return dump.Into(o, &in.ReplicaSets)
	case "StatefulSet":
		return dump.Into(o, &in.StatefulSets)
	case "DaemonSet":
		return dump.Into(o, &in.DaemonSets)
	case "ControllerRevision":
		return dump.Into(o, &in.ControllerRevisions)
	case "Job":
		return dump.Into(o, &in.Jobs)
	case "Pod":
		return dump.Into(o, &in.Pods)
	case "Event":
		return dump.IntoEvents(o, &in.Events)
	case model.KindArgo:
		in.Rollouts = append(in.Rollouts, o)
		return nil
	}
	return takeLookup(in, o)
}

// takeLookup sorts what only some causes ask for.
func takeLookup(in *model.Input, o dump.Object) error {
	switch o.Kind() {
	case "Node":
		return dump.Into(o, &in.Nodes)
	case "Namespace":
		return dump.Into(o, &in.Namespaces)
	case "ResourceQuota":
		return dump.Into(o, &in.Quotas)
	case "PersistentVolumeClaim":
		return dump.Into(o, &in.Claims)
	case "PersistentVolume":
		return dump.Into(o, &in.Volumes)
	case "ResourceClaim":
		return dump.Into(o, &in.DeviceClaims)
	case "StorageClass":
		return dump.Into(o, &in.StorageClasses)
	case "Lease":
		return dump.Into(o, &in.Leases)
	}
	return nil
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

// newestTime is when the dump was made, as well as its own times tell.
func newestTime(in *model.Input) time.Time {
	var clock dump.Clock
	for i := range in.Deployments {
		clock.SeeServer(&in.Deployments[i].ObjectMeta)
		for _, c := range in.Deployments[i].Status.Conditions {
			clock.See(c.LastUpdateTime.Time)
		}
	}
	for i := range in.StatefulSets {
		clock.SeeServer(&in.StatefulSets[i].ObjectMeta)
	}
	for i := range in.DaemonSets {
		clock.SeeServer(&in.DaemonSets[i].ObjectMeta)
	}
	for i := range in.Pods {
		clock.SeePod(&in.Pods[i])
	}
	for i := range in.Events {
		clock.See(eventfact.Read(&in.Events[i]).Last)
	}
	for i := range in.Leases {
		clock.See(nodefact.Renewal(&in.Leases[i]))
	}
	return clock.Newest
}
