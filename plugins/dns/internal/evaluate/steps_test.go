package evaluate

import (
	"sync"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
)

// reportsOfEveryFault are all the reports that a user can ask for about each fault, as the commands name them.
var reportsOfEveryFault = sync.OnceValue(func() []testkit.Report {
	var list []testkit.Report
	scope := Scope{Namespace: "shop", Kind: "Service", Name: "api"}
	o := Options{Slow: time.Second, Kubectl: testkit.AsUser()}
	for _, f := range faults() {
		in := build(f.before, f.after)
		add := func(command string, findings []finding.Finding) {
			list = append(list, testkit.Report{Fixture: string(f.code), Command: "kubectl dns " + command, Findings: findings})
		}
		add("check", Status(in, noon, o, "DNSCheck").Findings)
		add("status", Status(in, noon, o, "DNSStatus").Findings)
		add("config", ConfigReport(in, noon, o).Findings)
		add("pod web -n shop", Pod(in, noon, o).Findings)
		for _, name := range []string{"api.shop", "apii.shop", "www.example.com"} {
			add("explain "+name+" --from web -n shop", Explain(in, noon, o, name, resolver.All()).Findings)
			add("resolve "+name, Resolve(in, noon, o, Qualify(in, name), []string{"A"}, "").Findings)
		}
		add("names svc/api -n shop", Names(in, noon, o, scope, "default").Findings)
		add("verify svc/api -n shop", Verify(in, noon, o, scope).Findings)
		add("verify -A", Verify(in, noon, o, Scope{}).Findings)
		add("logs", MergeLogs(in, noon, o, false).Findings)
		add("logs --errors", MergeLogs(in, noon, o, true).Findings)
		add("top", Top(in, noon, o).Findings)
		add("upstream", Upstreams(in, noon, o).Findings)
	}
	return list
})

func TestNextStepsLeadSomewhereNew(t *testing.T) {
	testkit.CheckSteps(t, reportsOfEveryFault())
}

func TestFindingsHaveOneForm(t *testing.T) {
	testkit.CheckWords(t, Catalog(), nil, reportsOfEveryFault())
}

func TestNextStepsKeepTheUser(t *testing.T) {
	testkit.CheckCarried(t, reportsOfEveryFault())
}

func TestChangesAreExecuted(t *testing.T) {
	testkit.CheckChanges(t, "../../../../test/e2e/dns", testkit.Changes{
		Executed: map[finding.Code]string{"DNSScaledToZero": "TestServers", "DNSServiceWithoutDNSPods": "TestServers", "DNSServiceNodeLocal": "TestServers", "CorefileNotReloaded": "TestReportedServers", "ReplicaStale": "TestServers"},
		Reasons: map[finding.Code]string{
			"AllReplicasOnOneNode": "the fault of the end-to-end test is a node selector, which a restart leaves",
			"SingleReplica":        "the command is that of DNSScaledToZero, and one replica is no fault that a test waits for",
		},
	}, reportsOfEveryFault())
}
