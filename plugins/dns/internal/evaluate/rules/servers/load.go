package servers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
)

// The codes of this file.
const (
	ForwardingLoop       finding.Code = "ForwardingLoop"
	CorefileInvalid      finding.Code = "CorefileInvalid"
	ZoneNotServed        finding.Code = "ZoneNotServed"
	CorefileReloadFailed finding.Code = "CorefileReloadFailed"
	CorefileNotReloaded  finding.Code = "CorefileNotReloaded"
)

// CrashRules report DNS servers that exit on their own.
var CrashRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: ForwardingLoop, Severity: finding.Critical, Title: "CoreDNS stops because of a forwarding loop",
			Meaning:  "The loop plugin received its own probe query and stopped the process.",
			Evidence: "A plugin/loop error in the last log lines of a replica that exited.",
			Next: "Forward to a real upstream server; on nodes with systemd-resolved, set resolvConf of the kubelet to " +
				"/run/systemd/resolve/resolv.conf.",
			Source: "https://coredns.io/plugins/loop/#troubleshooting",
		},
		Explains: []finding.Code{
			DNSPodsNotReady, ReplicaNotReady, ReplicaNotAnswering, ReplicaRestarted, UpstreamFailing, UpstreamSlow, ClusterNamesFailing,
			ForwardsToItself, HighServfailRate,
		},
		Check: CheckLoop,
	},
	{
		Entry: finding.Entry{
			Code: CorefileInvalid, Severity: finding.Critical, Title: "Corefile cannot be loaded",
			Meaning:  "CoreDNS cannot load the Corefile. Running replicas keep the old configuration; a replica that starts fails.",
			Evidence: "A problem in the parsed Corefile, or the parser error in the log of a replica.",
			Next:     "Correct the line named in the evidence.",
			Source:   "https://coredns.io/manual/configuration/",
		},
		Explains: []finding.Code{
			CorefileReloadFailed, DNSPodsNotReady, ReplicaNotReady, ReplicaNotAnswering, ReplicaRestarted, ClusterNamesFailing, ZoneNotServed,
		},
		Check: CheckCorefileInvalid,
	},
}

// ZoneRules report that CoreDNS does not serve the domain that pods search.
var ZoneRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: ZoneNotServed, Severity: finding.Critical, Title: "CoreDNS does not serve the cluster domain",
			Meaning: "No server block has the kubernetes plugin for the domain that pods search, or another block has a longer zone that " +
				"the names lie in: CoreDNS chooses the block with the longest matching zone.",
			Evidence: "The zones of the server blocks and of the kubernetes plugin in the Corefile, compared with clusterDomain of the " +
				"kubelets, the search list of the pod, and the answers.",
			Next:   "Correct the Corefile or clusterDomain.",
			Source: "https://coredns.io/plugins/kubernetes/",
		},
		Explains: []finding.Code{ClusterNamesFailing, ReplicaWrongAnswer, ReplicaStale},
		Check:    CheckZoneNotServed,
	},
}

// ReloadRules report a changed Corefile that running servers could not load, so that the next start fails.
var ReloadRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: CorefileReloadFailed, Severity: finding.Warning, Title: "Corefile reload failed",
			Meaning:  "A changed Corefile could not be loaded. Replicas stay Ready and serve the old configuration; the next restart fails.",
			Evidence: "A failed reload in the log of a replica, without a successful reload after it.",
			Next:     "Correct the Corefile.",
			Source:   "https://coredns.io/plugins/reload/",
		},
		Check: CheckReload,
	},
	{
		Entry: finding.Entry{
			Code: CorefileNotReloaded, Severity: finding.Warning, Title: "Replicas serve an older Corefile",
			Meaning: "The Corefile was changed after replicas started, and they do not read it again: it has no reload plugin, or is mounted " +
				"with subPath.",
			Evidence: "The time of the change in metadata.managedFields of the ConfigMap, and the start of the containers.",
			Next:     "Restart the DNS pods; add the reload plugin to the Corefile, or mount the whole volume.",
			Source:   "https://coredns.io/plugins/reload/",
		},
		CausedBy: []finding.Code{CorefileInvalid},
		Check:    CheckNotReloaded,
	},
}

// ZoneElsewhere reports a name under a domain that kubelets or the search list of the pod use as the cluster domain, and that
// the kubernetes plugin does not serve.
func ZoneElsewhere(w *facts.Snapshot, fqdn string) *finding.Finding {
	if !w.ConfRead || !w.Conf.Valid() {
		return nil
	}
	_, served := records.FromCorefile(w.Conf)
	for _, d := range clusterDomains(w) {
		if !corefile.InZone(fqdn, d.Value) || records.Serves(w.Conf, d.Value) {
			continue
		}
		if list := CheckZoneNotServed(w); len(list) > 0 {
			return &list[0]
		}
		if !served {
			return nil // another plugin or another server may have the names
		}
		f := w.Make(ZoneNotServed, finding.Critical, w.ConfRef,
			fmt.Sprintf("%s uses domain %s, but CoreDNS serves %s; short names do not resolve", d.From, strings.TrimSuffix(d.Value, "."),
				strings.TrimSuffix(w.Zone, ".")),
			[]finding.Evidence{
				facts.NewEvidence(d.From, "", "%s", d.Value),
				facts.NewEvidence("Corefile", fmt.Sprintf("line %d", w.Records.Line), "kubernetes %s", strings.Join(w.Records.Zones, " ")),
			},
			w.Read("Read the configuration of CoreDNS", "", "dns", "config"))
		return &f
	}
	return nil
}

// clusterDomains are the domains under which pods look for Services: those of the kubelets, and of the pod's own list.
func clusterDomains(w *facts.Snapshot) []resolver.Value {
	var list []resolver.Value
	for _, k := range w.Kubelets {
		if k.ClusterDomain != "" {
			list = append(list, resolver.Value{Value: corefile.Fqdn(k.ClusterDomain), From: "the kubelet"})
		}
	}
	if w.From != nil {
		for _, s := range w.ResolvConf().Searches {
			// as a kubelet writes it
			if domain, ok := strings.CutPrefix(s, "svc."); ok && slices.Contains(w.ResolvConf().Searches, w.From.Pod.Namespace+"."+s) {
				list = append(list, resolver.Value{
					Value: corefile.Fqdn(domain),
					From:  "the search list of pod " + w.From.Pod.Namespace + "/" + w.From.Pod.Name,
				})
			}
		}
	}
	return list
}

// CheckLoop reports a forwarding loop: the loop plugin stops the process when its own probe comes back, and the kubelet restarts
// the container indefinitely
// (https://coredns.io/plugins/loop/#troubleshooting).
func CheckLoop(w *facts.Snapshot) []finding.Finding {
	var evidence []finding.Evidence
	for _, pod := range w.Live() {
		if line, ok := w.LastFatal(pod, "Loop ("); ok {
			evidence = append(evidence, facts.NewEvidence("log of "+pod.Name, "", "%s", line))
		}
	}
	if len(evidence) == 0 {
		return nil
	}
	message := "CoreDNS forwards queries to itself; the loop plugin stops CoreDNS at every start"
	next := []finding.Next{w.Read("Check where queries for . are forwarded", "", "dns", "config")}
	for _, r := range w.Routes() {
		if r.Via == "forward" && slices.Contains(r.Zones, ".") {
			evidence = append(evidence, facts.NewEvidence("Corefile", fmt.Sprintf("line %d", r.Line), "forward %s", strings.Join(r.To, " ")))
			if slices.ContainsFunc(r.To, func(to string) bool { return strings.HasPrefix(to, "/") }) {
				message = "CoreDNS forwards queries to itself through the node's resolv.conf; the loop plugin stops CoreDNS at every start"
			}
		}
	}
	if w.ConfRef != nil {
		next = append(next, w.Change("Forward to a real upstream server", w.ConfRef.Namespace, "edit", "configmap", w.ConfRef.Name))
	}
	return []finding.Finding{w.Make(ForwardingLoop, finding.Critical, w.WorkloadRef(), message, evidence, next...)}
}

func CheckCorefileInvalid(w *facts.Snapshot) []finding.Finding {
	var evidence []finding.Evidence
	if w.ConfRead {
		for _, p := range w.Conf.Problems {
			evidence = append(evidence, facts.NewEvidence("Corefile", fmt.Sprintf("line %d", p.Line), "%s", p.Message))
		}
	}
	crashed := false
	live := w.Live()
	for _, pod := range live {
		for _, mark := range []string{"Error during parsing", "Unknown directive", "plugin/", "Corefile"} {
			if line, ok := w.LastFatal(pod, mark); ok && parseFailure(line) {
				evidence = append(evidence, facts.NewEvidence("log of "+pod.Name, "", "%s", line))
				crashed = true
				break
			}
		}
	}
	if failed := reloadFailures(w); len(evidence) > 0 {
		for _, f := range failed {
			evidence = append(evidence, facts.NewEvidence("log of "+f.pod, "", "%s", f.line))
		}
	}
	if len(evidence) == 0 {
		return nil
	}
	severity, message := finding.Warning, "the Corefile cannot be loaded: the replicas still serve the old one; DNS fails at the next restart"
	if crashed || len(live) > 0 && !slices.ContainsFunc(live, podfact.Serves) {
		severity, message = finding.Critical, "the Corefile cannot be loaded, so CoreDNS does not start"
	}
	next := []finding.Next{w.Read("Read the configuration with its line numbers", "", "dns", "config")}
	if w.ConfRef != nil {
		next = append(next, w.Change("Correct the Corefile", w.ConfRef.Namespace, "edit", "configmap", w.ConfRef.Name))
	}
	return []finding.Finding{w.Make(CorefileInvalid, severity, w.ConfRef, message, evidence, next...)}
}

func parseFailure(line string) bool {
	for _, mark := range []string{
		"Error during parsing", "Unknown directive", "- Error during", "is already defined", "not a valid domain",
		"Wrong argument", "unknown property", "unclosed",
	} {
		if strings.Contains(line, mark) {
			return true
		}
	}
	return strings.HasPrefix(line, "/") && strings.Contains(line, ":")
}

func CheckZoneNotServed(w *facts.Snapshot) []finding.Finding {
	if !w.ConfRead || !w.Conf.Valid() {
		return nil
	}
	if _, ok := records.FromCorefile(w.Conf); ok {
		if f := ZoneTaken(w); f != nil {
			return []finding.Finding{*f}
		}
		return zoneDiffers(w)
	}
	if w.Provider() != "CoreDNS" {
		return nil
	}
	return []finding.Finding{w.Make(ZoneNotServed, finding.Critical, w.ConfRef,
		"no server block has the kubernetes plugin for a forward zone: no cluster name resolves",
		[]finding.Evidence{facts.NewEvidence("Corefile", "", "%d server blocks, none with the kubernetes plugin", len(w.Conf.Blocks))},
		w.Read("Read the configuration of CoreDNS", "", "dns", "config"), w.Change("Add the kubernetes plugin for the cluster "+
			"domain", w.ConfRef.Namespace, "edit", "configmap",
			w.ConfRef.Name))}
}

// ZoneTaken reports another server block with a longer zone that the cluster's names lie in, so that CoreDNS chooses it
// (https://coredns.io/manual/configuration/#server-blocks). What the servers answer decides: the block may lead to the names, or
// not be loaded yet.
func ZoneTaken(w *facts.Snapshot) *finding.Finding {
	block, taken := records.TakenBy(w.Conf)
	if !taken {
		return nil
	}
	for _, p := range w.Probes {
		if bad, ok := ask.ControlFailure(w, p); ok && bad == nil {
			return nil
		}
	}
	zone := strings.TrimSuffix(w.Zone, ".")
	evidence := []finding.Evidence{
		facts.NewEvidence("Corefile", fmt.Sprintf("line %d", block.Line), "%s: no kubernetes plugin", zonesOf(block)),
		facts.NewEvidence("Corefile", fmt.Sprintf("line %d", w.Records.Line), "kubernetes %s", strings.Join(w.Records.Zones, " ")),
	}
	for _, p := range w.Probes {
		if bad, ok := ask.ControlFailure(w, p); ok && bad != nil {
			evidence = append(evidence, *bad)
		}
	}
	next := []finding.Next{w.Read("Read the server blocks", "", "dns", "config")}
	if w.ConfRef != nil {
		next = append(next, w.Change("Give the block a zone that the cluster domain does not lie in", w.ConfRef.Namespace, "edit", "configmap",
			w.ConfRef.Name))
	}
	f := w.Make(ZoneNotServed, finding.Critical, w.ConfRef,
		fmt.Sprintf("server block %s in line %d of the Corefile takes %s from the kubernetes plugin in line %d: the longest matching zone wins",
			zonesOf(block), block.Line, zone, w.Records.Line), evidence, next...)
	return &f
}

// zonesOf gives the keys of a server block as they are written.
func zonesOf(b corefile.Block) string {
	var list []string
	for _, z := range b.Zones {
		list = append(list, strings.TrimSuffix(z.Name, ".")+":"+z.Port)
	}
	return strings.Join(list, " ")
}

// zoneDiffers: kubelets give pods a search list under their own clusterDomain.
func zoneDiffers(w *facts.Snapshot) []finding.Finding {
	for _, k := range w.Kubelets {
		domain := strings.Trim(k.ClusterDomain, ".")
		if domain == "" || records.Serves(w.Conf, domain) {
			continue
		}
		where := "the kubelets"
		if k.Node != "" {
			where = "the kubelet of node " + k.Node
		}
		return []finding.Finding{w.Make(ZoneNotServed, finding.Critical, w.ConfRef,
			fmt.Sprintf("pods get domain %s from %s, but CoreDNS serves %s; short names do not resolve", domain, where,
				strings.TrimSuffix(w.Zone, ".")),
			[]finding.Evidence{
				facts.NewEvidence("kubelet configuration", "clusterDomain", "%s", domain),
				facts.NewEvidence("Corefile", fmt.Sprintf("line %d", w.Records.Line), "kubernetes %s", strings.Join(w.Records.Zones, " ")),
			},
			w.Read("Read the configuration of CoreDNS", "", "dns", "config"), w.Change("Correct the zone, if the Corefile is wrong",
				w.ConfRef.Namespace, "edit", "configmap", w.ConfRef.Name))}
	}
	return nil
}

type reloadFailure struct{ pod, line string }

// reloadFailures looks for a failed reload that no successful one or start followed. The counter of failures never
// resets and the hash in the metrics is already that of the broken file, so the order of the log alone tells.
func reloadFailures(w *facts.Snapshot) []reloadFailure {
	var out []reloadFailure
	live := w.Live()
	for _, l := range w.Logs {
		if l.Previous || !slices.ContainsFunc(live, func(p *corev1.Pod) bool { return p.Name == l.Pod }) {
			continue
		}
		failed := ""
		for line := range strings.Lines(l.Text) {
			switch {
			case strings.Contains(line, "Restart failed:"), strings.Contains(line, "reload failed"), strings.Contains(line, "Corefile changed but"):
				if failed == "" || strings.Contains(line, "Restart failed") {
					failed = facts.LogText(line)
				}
			case strings.Contains(line, "Reloading complete"):
				failed = ""
			}
		}
		if failed != "" {
			out = append(out, reloadFailure{l.Pod, failed})
		}
	}
	return out
}

// CheckNotReloaded reports that the Corefile that is read here is not the one by which the servers answer.
func CheckNotReloaded(w *facts.Snapshot) []finding.Finding {
	u := w.Unloaded()
	if u == nil {
		return nil
	}
	evidence := []finding.Evidence{
		facts.NewEvidence("ConfigMap "+w.ConfRef.Name, "metadata.managedFields", "changed %s ago", age(w, u.Changed)),
	}
	for _, pod := range u.Pods {
		evidence = append(evidence, facts.NewEvidence("Pod "+pod.Name, "status.containerStatuses", "runs since before that"))
	}
	next := []finding.Next{w.Read("Read the configuration that the next start loads", "", "dns", "config")}
	if w.Workload != nil && w.Conf.Valid() {
		next = append(next, w.Change("Restart the DNS pods, one after the other", w.Workload.Ref.Namespace, "rollout", "restart",
			strings.ToLower(w.Workload.Ref.Kind), w.Workload.Ref.Name))
	}
	return []finding.Finding{w.Make(CorefileNotReloaded, finding.Warning, w.ConfRef,
		fmt.Sprintf("%d of %d replicas serve the Corefile of before its last change, %s ago; %s", len(u.Pods), len(w.Live()),
			age(w, u.Changed), u.Why), evidence, next...)}
}

func age(w *facts.Snapshot, at time.Time) string { return facts.AgeWords(w.Now.Sub(at).Seconds()) }

func CheckReload(w *facts.Snapshot) []finding.Finding {
	failures := reloadFailures(w)
	if len(failures) == 0 {
		return nil
	}
	var evidence []finding.Evidence
	for _, f := range failures {
		evidence = append(evidence, facts.NewEvidence("log of "+f.pod, "", "%s", f.line))
	}
	next := []finding.Next{w.Read("Read the configuration with its line numbers", "", "dns", "config")}
	if w.ConfRef != nil {
		next = append(next, w.Change("Correct the Corefile; CoreDNS loads the change within two minutes", w.ConfRef.Namespace, "edit",
			"configmap", w.ConfRef.Name))
	}
	return []finding.Finding{w.Make(CorefileReloadFailed, finding.Warning, w.ConfRef,
		fmt.Sprintf("%d of %d replicas could not load the changed Corefile: they serve the old one; DNS fails at the next "+
			"restart", len(failures), len(w.Live())), evidence, next...)}
}
