package evaluate

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Each threshold decides the finding of its fixture: at another value what was found is not, or what was not found is.
func TestEveryThresholdDecides(t *testing.T) {
	tests := []struct {
		file, node string
		code       finding.Code
		found      bool // with the file
	}{
		{"staleAfter: 3m", "fires", machine.ReadyConditionStale, false},
		{"statusStaleAfter: 30m", "fires", machine.NodeStatusStale, false},
		{"statusStaleAfter: 3m", "near-miss", machine.NodeStatusStale, true},
		{"clockAhead: 2h", "ahead", machine.ClockSkew, false},
		{"clockBehind: 2h", "fires", machine.ClockSkew, false},
		{"nodeJoin: 30s", "fires", machine.NodeJoining, false},
		{"notReadyPerHour: 100", "fires", machine.NodeReadinessFlapping, false},
		{"certificateWarningDays: 2\ncertificateCriticalDays: 1", "fires", machine.KubeletCertificateExpiring, false},
		{"certificateRequestWait: 1h", "fires", machine.KubeletCertificateNotIssued, false},
		{"memoryUsagePercent: 100", "fires", workload.HighMemoryUsage, false},
		{"memoryUsagePercent: 50", "near-miss", workload.HighMemoryUsage, true},
		{"requestsPercent: 90", "near-miss", workload.NewPodsKeptOff, true},
		{"evictionMarginPercent: 50", "near-miss", machine.EvictionNear, true},
		{"podStart: 10s", "near-miss", workload.PodNotStarting, true},
		{"podTermination: 24h", "fires", workload.PodStuckTerminating, false},
		{"podRestarts: 1000", "fires", workload.PodCrashLooping, false},
		{"cloudInitialization: 24h", "fires", workload.NodeNotInitialized, false},
		{"nodeRemoval: 24h", "fires", workload.NodeRemovalStuck, false},
	}
	tried := map[string]bool{}
	for _, tt := range tests {
		in := load(t, string(tt.code))
		if tt.node == "ahead" { // the same, the other way round
			tt.node = "fires"
			at := slices.IndexFunc(in.Leases, func(l coordinationv1.Lease) bool { return l.Name == tt.node })
			l := &in.Leases[at].Spec
			l.RenewTime.Time = in.Now.Add(in.Now.Sub(l.RenewTime.Time))
		}
		limits, err := ParseThresholds([]byte(tt.file))
		if err != nil {
			t.Fatal(err)
		}
		has := func(list report.List) bool {
			n := node(t, list, tt.node)
			return slices.Contains(codes(n), tt.code) ||
				slices.ContainsFunc(n.Consequences, func(c finding.Consequence) bool { return c.Code == tt.code })
		}
		if before := has(judge(in)); before == tt.found {
			t.Errorf("%s: the fixture shows %t by the defaults", tt.file, before)
		}
		list := Evaluate(in, in.Now, Options{Thresholds: limits})
		if has(list) != tt.found {
			t.Errorf("%s: %s %t: %v", tt.file, tt.code, !tt.found, codes(node(t, list, tt.node)))
		}
		for line := range strings.Lines(tt.file) {
			name, _, _ := strings.Cut(line, ":")
			tried[name] = true
			if !slices.ContainsFunc(list.Thresholds, func(c report.Threshold) bool { return c.Name == name }) {
				t.Errorf("%s: the report does not say so: %v", line, list.Thresholds)
			}
		}
	}
	if all := reflect.TypeFor[Thresholds]().NumField(); len(tried) != all {
		t.Errorf("%d of %d thresholds are tried", len(tried), all)
	}
}

// Between the two the days of a certificate decide how grave its end is.
func TestCertificateDaysDecideTheSeverity(t *testing.T) {
	in := load(t, string(machine.KubeletCertificateExpiring))
	for file, want := range map[string]finding.Severity{
		"certificateCriticalDays: 1": finding.Warning, "certificateCriticalDays: 30": finding.Critical,
	} {
		limits, err := ParseThresholds([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		found := node(t, Evaluate(in, in.Now, Options{Thresholds: limits}), "fires").Findings
		if len(found) != 1 || found[0].Severity != want {
			t.Errorf("%s: %+v", file, found)
		}
	}
}

// A loop that the operator does not want to know of is not told by another name.
func TestAToleratedCrashLoopIsQuiet(t *testing.T) {
	limits, err := ParseThresholds([]byte("podRestarts: 1000"))
	if err != nil {
		t.Fatal(err)
	}
	in := load(t, string(workload.PodCrashLooping))
	n := node(t, Evaluate(in, in.Now, Options{Thresholds: limits}), "fires")
	if len(n.Findings) > 0 || len(n.Pods.Problems) > 0 {
		t.Errorf("%v, %+v", codes(n), n.Pods.Problems)
	}
}

func TestTheReportNamesChangedThresholds(t *testing.T) {
	in := load(t, "healthy")
	if list := judge(in).Thresholds; list != nil {
		t.Errorf("by the defaults: %v", list)
	}
	list := Evaluate(in, in.Now, Options{StaleAfter: 90e9})
	if d := cmp.Diff([]report.Threshold{{Name: "staleAfter", Value: "1m30s", Default: "1m"}}, list.Thresholds); d != "" {
		t.Error(d)
	}
	if joined := Join([]Cluster{{Context: "a", List: list}, {Context: "b", List: list}}); len(joined.Thresholds) != 1 {
		t.Errorf("two clusters, %v", joined.Thresholds)
	}
}
