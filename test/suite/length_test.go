package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// longestVerdict is how many columns a verdict line may have: what a terminal shows in one row on most screens.
const longestVerdict = 120

// verdictLine is the first line of a report: a verdict, the object, the cause.
var verdictLine = regexp.MustCompile(`^(?:Healthy|Degraded|Unhealthy|Unknown|Complete|Progressing|OnHold|Stuck|Failed|Superseded): `)

// longByTheirCause are goldens whose line is longer, because the cause cannot be told without what makes it so: the words of
// the API server or of a policy, amounts of a quota, or the settings of a probe.
var longByTheirCause = map[string]bool{
	"dns/internal/evaluate/testdata/DNSServiceTargetPortMismatch/check.txt": true,
	"dns/internal/evaluate/testdata/DNSServiceUnreachableFromPod/check.txt": true,
	"dns/internal/evaluate/testdata/KubeletClusterDNSMismatch/check.txt":    true,
	"dns/internal/evaluate/testdata/PodResolvConfMismatch/check.txt":        true,
	"dns/internal/evaluate/testdata/ProbePluginMissing/check.txt":           true,
	"dns/internal/evaluate/testdata/ReplicaStale/check.txt":                 true,
	"dns/internal/evaluate/testdata/ResolverLimitsExceeded/check.txt":       true,
	"dns/internal/evaluate/testdata/UpstreamFailing/check.txt":              true,
	"dns/internal/evaluate/testdata/UpstreamNotResponding/upstream.txt":     true,
	"dns/internal/evaluate/testdata/UpstreamSlow/check.txt":                 true,
	"dns/internal/evaluate/testdata/UpstreamTCPFailing/check.txt":           true,
	"dns/internal/evaluate/testdata/commands/explain.txt":                   true,
	"rolloutexplain/testdata/admission-policy/text.golden":                  true,
	"rolloutexplain/testdata/argo-bluegreen-not-ready/text.golden":          true,
	"rolloutexplain/testdata/claim-no-provisioner/text.golden":              true,
	"rolloutexplain/testdata/claim-unbound/text.golden":                     true,
	"rolloutexplain/testdata/configmap-lost-while-running/text.golden":      true,
	"rolloutexplain/testdata/deadline-current/text.golden":                  true,
	"rolloutexplain/testdata/exec-format-script/text.golden":                true,
	"rolloutexplain/testdata/hostport-surge-selector/text.golden":           true,
	"rolloutexplain/testdata/job-failed-index/text.golden":                  true,
	"rolloutexplain/testdata/limitrange-default-limit/text.golden":          true,
	"rolloutexplain/testdata/minready-countdown/text.golden":                true,
	"rolloutexplain/testdata/pod-security/text.golden":                      true,
	"rolloutexplain/testdata/probe-host/text.golden":                        true,
	"rolloutexplain/testdata/quota-pods-surge/text.golden":                  true,
	"rolloutexplain/testdata/readiness-gate/text.golden":                    true,
	"rolloutexplain/testdata/replicasets-mutated/text.golden":               true,
	"rolloutexplain/testdata/room-of-terminating/text.golden":               true,
	"rolloutexplain/testdata/rs-create-quota/text.golden":                   true,
	"rolloutexplain/testdata/rwop-surge/text.golden":                        true,
	"rolloutexplain/testdata/scale-down-waits/text.golden":                  true,
	"rolloutexplain/testdata/sched-cpu-never/text.golden":                   true,
	"rolloutexplain/testdata/spread-tainted-domain/text.golden":             true,
	"rolloutexplain/testdata/stale-replicafailure/text.golden":              true,
	"rolloutexplain/testdata/startup-window/text.golden":                    true,
	"rolloutexplain/testdata/webhook-unreachable/text.golden":               true,
}

// tooLong complains of a verdict line that is too long, and of an exception that is none.
func tooLong(line string, excepted bool) string {
	columns := utf8.RuneCountInString(line)
	switch {
	case columns > longestVerdict && !excepted:
		return fmt.Sprintf("%d columns, more than %d: %s", columns, longestVerdict, line)
	case columns <= longestVerdict && excepted:
		return "it fits by now and is no exception any more"
	}
	return ""
}

func TestVerdictLinesFitATerminal(t *testing.T) {
	plugins := filepath.Join(root(t), "plugins")
	seen, excepted := 0, 0
	err := filepath.WalkDir(plugins, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "testdata") || filepath.Ext(path) != ".txt" && filepath.Ext(path) != ".golden" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if !verdictLine.MatchString(line) {
			return nil
		}
		seen++
		name, err := filepath.Rel(plugins, path)
		exception := longByTheirCause[filepath.ToSlash(name)]
		if exception {
			excepted++
		}
		if complaint := tooLong(line, exception); complaint != "" {
			t.Errorf("%s: %s", name, complaint)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if excepted != len(longByTheirCause) {
		t.Errorf("%d exceptions, of which %d have a golden", len(longByTheirCause), excepted)
	}
	if seen < 100 {
		t.Errorf("%d verdict lines: the goldens are elsewhere", seen)
	}
}

func TestALongVerdictLineIsFound(t *testing.T) {
	long := strings.Repeat("ä", longestVerdict+1)
	for line, excepted := range map[string]bool{long: false, long[2:]: true} {
		if tooLong(line, excepted) == "" {
			t.Errorf("%d columns, excepted %t: no complaint", utf8.RuneCountInString(line), excepted)
		}
	}
	if c := tooLong(long, true) + tooLong(long[2:], false); c != "" {
		t.Error(c)
	}
}
