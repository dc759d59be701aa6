package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

func published(t *testing.T, golden string, h report.Header, r any, plain string) testkit.Published {
	t.Helper()
	return testkit.ReadPublished(t, golden, func(format string) string {
		return text(t, func(b *strings.Builder) error {
			return publish.Print(b, output.FormatKind(format), render.Published(h, r, plain), publish.Options{FailOn: finding.ThresholdNever})
		})
	})
}

// The reports on all faults can be read by what reads these formats; a few are goldens.
func TestReportsOfEveryFaultForOtherTools(t *testing.T) {
	goldens := []finding.Code{"DNSScaledToZero", "ReplicaStale", "CorefileInvalid"}
	for _, f := range faults() {
		golden := ""
		if slices.Contains(goldens, f.code) {
			golden = string(f.code)
		}
		s := judge(build(f.before, f.after))
		p := published(t, golden, s.Header, s, text(t, func(b *strings.Builder) error { return render.Check(b, s, render.Options{}) }))
		found := false
		for key, n := range p.Values {
			found = found || strings.HasPrefix(key, "findings dns DNSCheck ") && strings.Contains(key, " "+string(f.code)+" ") && n > 0
		}
		if !found {
			t.Errorf("%s is not in %v", f.code, p.Values)
		}
	}
	healthy := judge(build(nil, nil))
	published(t, "healthy", healthy.Header, healthy, text(t, func(b *strings.Builder) error { return render.Check(b, healthy, render.Options{}) }))
}

// What a report is about stands in its labels.
func TestSubjectsOfTheOtherCommands(t *testing.T) {
	in := answered(healthy())
	o := Options{Slow: time.Second}
	scope := Scope{Namespace: "shop", Kind: "Service", Name: "api"}
	pod, names := Pod(in, noon, o), Names(in, noon, o, scope, "default")
	walk, check := Explain(in, noon, o, "api.shop", resolver.All()), Verify(verified(in), noon, o, scope)
	for _, tt := range []struct {
		h    report.Header
		r    any
		want string
	}{
		{pod.Header, pod, "DNSPodResolver " + pod.Namespace + " " + pod.Name},
		{names.Header, names, "DNSNames  " + names.Object},
		{walk.Header, walk, "DNSExplanation  api.shop"},
		{check.Header, check, "DNSVerification  " + check.Scope},
	} {
		p := published(t, "", tt.h, tt.r, "")
		if p.Values["verdict dns "+tt.want+" "+string(tt.h.Verdict)] != 1 {
			t.Errorf("no verdict on %s in %v", tt.want, p.Values)
		}
	}
}
