package servers

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// The codes of this file.
const (
	ProbePluginMissing finding.Code = "ProbePluginMissing"
)

// ProbeRules report probes of the DNS pods that no plugin of the Corefile answers.
var ProbeRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: ProbePluginMissing, Severity: finding.Critical, Title: "Corefile lacks the plugin that a probe queries",
			Meaning: "A probe of the DNS pods queries the plugin ready or health at a port where the Corefile has no such plugin. CoreDNS " +
				"answers DNS, but the pods do not become Ready, or the kubelet restarts them.",
			Evidence: "The probes of the DNS pods, and the plugins ready and health in the Corefile with their ports.",
			Next:     "Add the plugin to the Corefile.",
			Source:   "https://coredns.io/plugins/ready/",
		},
		Explains: []finding.Code{DNSPodsNotReady, ReplicaNotReady, ReplicaNotAnswering, ReplicaRestarted},
		Check:    checkProbes,
	},
}

// probed are the paths of probes with the plugin that answers them, and its port
// (https://coredns.io/plugins/ready/, https://coredns.io/plugins/health/).
var probed = map[string]struct {
	plugin string
	port   int
}{"/ready": {"ready", 8181}, "/health": {"health", 8080}}

// checkProbes speaks only where pods suffer: a Corefile that changed may not be loaded yet.
func checkProbes(w *facts.Snapshot) []finding.Finding {
	live := w.Live()
	if !w.ConfRead || !w.Conf.Valid() || len(live) == 0 {
		return nil
	}
	down := 0
	for _, pod := range live {
		if !podfact.Serves(pod) && !w.Starting(pod) {
			down++
		}
	}
	if down == 0 {
		return nil
	}
	var list []finding.Finding
	for _, c := range live[0].Spec.Containers {
		for _, p := range []struct {
			word  string
			probe *corev1.Probe
		}{{"readiness", c.ReadinessProbe}, {"liveness", c.LivenessProbe}} {
			if f := unserved(w, c, p.word, p.probe, down); f != nil {
				list = append(list, *f)
			}
		}
	}
	return list
}

// unserved judges one probe.
func unserved(w *facts.Snapshot, c corev1.Container, word string, probe *corev1.Probe, down int) *finding.Finding {
	if probe == nil || probe.HTTPGet == nil {
		return nil
	}
	by, ok := probed[probe.HTTPGet.Path]
	port := portOf(c, probe.HTTPGet.Port)
	if !ok || port == 0 {
		return nil
	}
	where := fmt.Sprintf("no %s in %d server %s", by.plugin, len(w.Conf.Blocks), facts.Plural(len(w.Conf.Blocks), "block"))
	lacks := "lacks the plugin " + by.plugin
	for _, b := range w.Conf.Blocks {
		for _, d := range b.Find(by.plugin) {
			at := pluginPort(d, by.port)
			if at == port || at == 0 {
				return nil
			}
			where = fmt.Sprintf("line %d: %s", d.Line, strings.Join(append([]string{d.Name}, d.Args...), " "))
			lacks = fmt.Sprintf("has the plugin %s at port %d", by.plugin, at)
		}
	}
	live := w.Live()
	severity := finding.Warning
	if down == len(live) {
		severity = finding.Critical
	}
	next := []finding.Next{w.Read("Read the configuration of CoreDNS", "", "dns", "config")}
	if w.ConfRef != nil {
		next = append(next, w.Change(fmt.Sprintf("Add the line %q to a server block", lineFor(by.plugin, port, by.port)), w.ConfRef.Namespace,
			"edit", "configmap", w.ConfRef.Name))
	}
	f := w.Make(ProbePluginMissing, severity, w.ConfRef,
		fmt.Sprintf("the Corefile %s, which the %s probe of the DNS pods queries at port %d: %d of %d pods are not Ready", lacks, word, port,
			down, len(live)),
		[]finding.Evidence{
			facts.NewEvidence("Corefile", "", "%s", where),
			facts.NewEvidence("Pod "+live[0].Name, "spec.containers["+c.Name+"]."+word+"Probe.httpGet", "path %s, port %d",
				probe.HTTPGet.Path, port),
		}, next...)
	return &f
}

// lineFor is the line that answers a probe.
func lineFor(plugin string, port, usual int) string {
	if port == usual {
		return plugin
	}
	return fmt.Sprintf("%s :%d", plugin, port)
}

// portOf gives the number of a probe's port; 0: it is a name that the container does not declare.
func portOf(c corev1.Container, port intstr.IntOrString) int {
	if port.Type == intstr.Int {
		return port.IntValue()
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return int(p.ContainerPort)
		}
	}
	return 0
}

// pluginPort is where a plugin listens: its first argument, or its usual port; 0: that cannot be read.
func pluginPort(d corefile.Directive, usual int) int {
	if len(d.Args) == 0 {
		return usual
	}
	port, err := strconv.Atoi(d.Args[0][strings.LastIndex(d.Args[0], ":")+1:])
	if err != nil {
		return 0
	}
	return port
}
