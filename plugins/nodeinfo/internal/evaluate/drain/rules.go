package drain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/eviction"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// What keeps a drain from its end, and what it costs.
const (
	DrainNodeNotReporting finding.Code = "DrainNodeNotReporting"
	DrainPodsUnplaced     finding.Code = "DrainPodsUnplaced"
	DrainDeletesPods      finding.Code = "DrainDeletesPods"
	DrainLosesData        finding.Code = "DrainLosesData"
	DrainWaitsForPod      finding.Code = "DrainWaitsForPod"
	DrainUnwanted         finding.Code = "DrainUnwanted"
)

type rule = finding.Rule[Plan]

// book is the rules: what stops a drain comes before what it costs.
var book = finding.NewBook(
	drainNodeNotReporting, drainBlockedByPDB, drainWaitsForPod, drainPodsUnplaced, drainDeletesPods, drainLosesData, drainUnwanted,
)

// Catalog is every finding code of a drain, sorted.
func Catalog() []finding.Entry { return book.Catalog() }

// about is a finding about a pod, and further ones.
func about(message string, pods []*Pod, evidence []finding.Evidence, next ...finding.Next) finding.Finding {
	f := finding.Finding{Message: message, Evidence: evidence, Next: next}
	for i, p := range pods {
		ref := finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
		if i == 0 {
			f.Object = &ref
			continue
		}
		f.Covers = append(f.Covers, ref)
	}
	return f
}

func (p *Plan) look(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: p.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Read}
}

func name(p *Pod) string { return p.Namespace + "/" + p.Name }

// named lists the names of at most three pods and counts the others.
func named(pods []*Pod) string {
	var names []string
	for i, p := range pods {
		if i == 3 {
			return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", len(pods)-i)
		}
		names = append(names, name(p))
	}
	return strings.Join(names, ", ")
}

// most is of how many pods the evidence is listed.
const most = 10

// each makes evidence of pods, of at most ten.
func each(pods []*Pod, of func(*Pod) (path, value string)) []finding.Evidence {
	var list []finding.Evidence
	for i, p := range pods {
		if i == most {
			return append(list, finding.Evidence{Source: "Pods on the node", Value: fmt.Sprintf("%d more", len(pods)-i)})
		}
		path, value := of(p)
		list = append(list, finding.Evidence{Source: "Pod " + name(p), Path: path, Value: value})
	}
	return list
}

var drainNodeNotReporting = rule{
	Entry: finding.Entry{
		Code: DrainNodeNotReporting, Severity: finding.Critical, Title: "Drain waits for a kubelet that does not report",
		Meaning: "The node's condition Ready is Unknown: its kubelet does not report, so that nothing confirms that evicted pods have stopped. " +
			"They stay in Terminating, and kubectl drain waits for them.",
		Evidence: "Node condition Ready=Unknown, and pods on the node that would be evicted.",
		Next:     "Find out why the kubelet does not report. If the machine is gone, delete the Node or mark it out of service.",
		Source:   "https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/#non-graceful-node-shutdown",
	},
	Check: func(p *Plan) []finding.Finding {
		var list []finding.Finding
		for _, n := range p.Targets {
			ready := nodefact.ReadyCondition(n)
			goes := which(p.Pods, func(pod *Pod) bool { return pod.Spec.NodeName == n.Name && pod.Fate.Goes() })
			if ready == nil || ready.Status != corev1.ConditionUnknown || len(goes) == 0 {
				continue
			}
			f := finding.Finding{
				Message: fmt.Sprintf("the kubelet of %s does not report: evicted pods stay Terminating, and the drain does not end", n.Name),
				Object:  &finding.ObjectRef{Kind: "Node", Name: n.Name},
				Evidence: []finding.Evidence{{
					Source: "Node " + n.Name, Path: "status.conditions[Ready]", Time: facts.Time(ready.LastTransitionTime.Time),
					Value: strings.TrimSuffix("Unknown ("+ready.Reason+"): "+ready.Message, ": "),
				}},
				Next: []finding.Next{p.look("Find out why the kubelet does not report", "", "nodeinfo", n.Name)},
			}
			list = append(list, f)
		}
		return list
	},
}

var drainWaitsForPod = rule{
	Entry: finding.Entry{
		Code: DrainWaitsForPod, Severity: finding.Warning, Title: "Drain waits for a pod that does not end",
		Meaning: "A pod was deleted before the drain and has exceeded its grace period by more than a minute. kubectl drain waits until the " +
			"Pod object is gone. Info for pods with a finalizer, which stay until its controller removes it.",
		Evidence: "Pod metadata.deletionTimestamp and metadata.finalizers, without the finalizer of Jobs.",
		Next:     "Find what holds the pod: a finalizer, a volume, or the container runtime.",
	},
	Check: checkWaits,
}

// jobTracking is a finalizer that the Job controller removes from each pod that ends.
// https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup
const jobTracking = "batch.kubernetes.io/job-tracking"

func (p *Pod) finalizers() []string {
	return slices.DeleteFunc(slices.Clone(p.Finalizers), func(f string) bool { return f == jobTracking })
}

func checkWaits(p *Plan) []finding.Finding {
	var list []finding.Finding
	for _, pod := range p.Pods {
		held := pod.finalizers()
		stuck := pod.DeletionTimestamp != nil && p.Now.Sub(pod.DeletionTimestamp.Time) >= facts.Terminating
		if !pod.Fate.Goes() || !stuck && len(held) == 0 {
			continue
		}
		var evidence []finding.Evidence
		message := "pod " + name(pod) + " has the finalizer " + strings.Join(held, ", ") + ": it stays until that is removed"
		if stuck {
			message = fmt.Sprintf("pod %s has not ended since its grace period ended %s ago: the drain waits for it", name(pod),
				output.Age(p.Now.Sub(pod.DeletionTimestamp.Time)))
			evidence = append(evidence, finding.Evidence{
				Source: "Pod " + name(pod), Path: "metadata.deletionTimestamp", Value: pod.DeletionTimestamp.UTC().Format("2006-01-02T15:04:05Z"),
				Time: facts.Time(pod.DeletionTimestamp.Time),
			})
		}
		if len(held) > 0 {
			evidence = append(evidence, finding.Evidence{Source: "Pod " + name(pod), Path: "metadata.finalizers", Value: strings.Join(held, ", ")})
		}
		f := about(message, []*Pod{pod}, evidence,
			p.look("Check the containers, conditions and events of the pod", pod.Namespace, "describe", "pod", pod.Name))
		if !stuck {
			f.Severity = finding.Info
		}
		list = append(list, f)
	}
	return list
}

var drainPodsUnplaced = rule{
	Entry: finding.Entry{
		Code: DrainPodsUnplaced, Severity: finding.Warning, Title: "Other nodes have no room for pods of the drain",
		Meaning: "The other nodes do not take some of the pods that move, by the scheduler's filters for cordon, node selector and affinity, " +
			"taints, volumes, host ports and requests, with the pods placed one after another. They would stay Pending.",
		Evidence: "The nearest miss of each pod: the node that lacks least, and what it lacks.",
		Next:     "Add or free capacity, or uncordon a node, before the drain.",
	},
	Check: checkUnplaced,
}

func checkUnplaced(p *Plan) []finding.Finding {
	pods := p.unplaced()
	if len(pods) == 0 || !p.Read(facts.SourcePods) {
		return nil
	}
	message := fmt.Sprintf("%s (%s)", output.Plural(len(pods), "pod fits on no other node", "pods fit on no other node"), named(pods))
	if len(p.Rooms) == 0 {
		message += ": there is none"
	} else if near := pods[0].Refusals; len(near) > 0 {
		message += ": nearest is " + near[0].Node + ", " + near[0].Reason
	}
	evidence := each(pods, func(pod *Pod) (string, string) {
		texts := make([]string, 0, 3)
		for i, r := range pod.Refusals {
			if i == 3 {
				texts = append(texts, output.Plural(len(pod.Refusals)-i, "further node"))
				break
			}
			texts = append(texts, r.Node+": "+r.Reason)
		}
		return "", strings.Join(texts, " | ")
	})
	if len(p.Rooms) == 0 {
		evidence = nil
	}
	return []finding.Finding{about(message, pods, evidence,
		p.look("Compare requests and allocatable resources of all nodes", "", "nodeinfo", "-o", "wide"))}
}

var drainDeletesPods = rule{
	Entry: finding.Entry{
		Code: DrainDeletesPods, Severity: finding.Warning, Title: "Drain deletes pods that nothing creates again",
		Meaning: "Pods without a controller, or whose DaemonSet does not exist any more, are deleted for good. kubectl drain refuses the node " +
			"without --force.",
		Evidence: "Pods without a controller in metadata.ownerReferences, or with a DaemonSet there that does not exist.",
		Next:     "Save the manifest of each pod, to create it again elsewhere.",
	},
	Check: func(p *Plan) []finding.Finding {
		pods := p.with(eviction.Bare, eviction.Orphan)
		if len(pods) == 0 {
			return nil
		}
		evidence := each(pods, func(pod *Pod) (string, string) {
			if pod.Fate == eviction.Orphan {
				return "metadata.ownerReferences", "DaemonSet " + metav1.GetControllerOf(pod.Pod).Name + " does not exist"
			}
			return "metadata.ownerReferences", "no controller"
		})
		message := output.Plural(len(pods), "pod is", "pods are") + " deleted for good, as no controller creates " +
			map[bool]string{true: "it", false: "them"}[len(pods) == 1] + " again: " + named(pods)
		return []finding.Finding{about(message, pods, evidence,
			p.look("Save the manifest of the pod, to create it again elsewhere", pods[0].Namespace, "get", "pod", pods[0].Name, "-o", "yaml"))}
	},
}

var drainLosesData = rule{
	Entry: finding.Entry{
		Code: DrainLosesData, Severity: finding.Info, Title: "Drain deletes the data of emptyDir volumes",
		Meaning: "The data of an emptyDir volume, on disk or in memory, ends with its pod; the pod's replacement begins with an empty one. " +
			"kubectl drain refuses the node without --delete-emptydir-data.",
		Evidence: "Pods with a volume of type emptyDir that the drain evicts.",
		Next:     "Copy what is needed out of the volume first.",
	},
	Check: func(p *Plan) []finding.Finding {
		pods := which(p.Pods, func(pod *Pod) bool { return pod.Flags.DeleteEmptyDir })
		if len(pods) == 0 {
			return nil
		}
		return []finding.Finding{about("the emptyDir data of "+output.Plural(len(pods), "pod")+" is deleted: "+named(pods), pods,
			each(pods, func(pod *Pod) (string, string) {
				return "spec.volumes", "emptyDir " + strings.Join(eviction.EmptyDirs(pod.Pod), ", ")
			}))}
	},
}

var drainUnwanted = rule{
	Entry: finding.Entry{
		Code: DrainUnwanted, Severity: finding.Info, Title: "Pods are marked as not to be evicted",
		Meaning: "Pods have an annotation that tells Cluster Autoscaler or Karpenter not to remove them. kubectl drain does not heed it: it " +
			"evicts them.",
		Evidence: "Pod annotations cluster-autoscaler.kubernetes.io/safe-to-evict=false and karpenter.sh/do-not-disrupt, which is true or a " +
			"duration since the start of the pod that is not over.",
		Next:   "Ask the owner of the pods whether they may be stopped now.",
		Source: "https://karpenter.sh/docs/concepts/disruption/#pod-level-controls",
	},
	Check: func(p *Plan) []finding.Finding {
		pods := which(p.Pods, func(pod *Pod) bool {
			return unwantedBy(pod, p.Now) != "" && pod.Fate.Goes() && pod.Fate != eviction.Finished && pod.Fate != eviction.EndsByNow
		})
		if len(pods) == 0 {
			return nil
		}
		return []finding.Finding{about(output.Plural(len(pods), "pod is", "pods are")+
			" marked as not to be evicted, which kubectl drain does not heed: "+
			named(pods), pods, each(pods, func(pod *Pod) (string, string) { return "metadata.annotations", unwantedBy(pod, p.Now) }))}
	},
}

// unwantedBy is the annotation by which a pod asks not to be moved, as it reads; empty: it does not.
func unwantedBy(p *Pod, now time.Time) string {
	switch {
	case p.Annotations[autoscaler.SafeToEvict] == "false":
		return autoscaler.SafeToEvict + "=false"
	case autoscaler.Protected(p.Pod, now):
		return autoscaler.DoNotDisrupt + "=" + p.Annotations[autoscaler.DoNotDisrupt]
	}
	return ""
}

// Annotations are those of a pod that bear on a drain.
func Annotations() []string {
	return []string{corev1.MirrorPodAnnotationKey, autoscaler.SafeToEvict, autoscaler.DoNotDisrupt}
}
