package evaluate

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// answerAs gives every question of an Input the answers that servers give to the cluster of another.
func answerAs(in, cluster Input, questions []records.Question) Input {
	w := facts.New(cluster, noon, Options{})
	for i := range in.Probes {
		in.Probes[i].Answers = nil
		for _, q := range questions {
			in.Probes[i].Answers = append(in.Probes[i].Answers, answer(w, in.Probes[i].Pod, q))
		}
	}
	return in
}

// A Service that was deleted between the list and the question has no record, and no server is wrong about it.
func TestWhatChangedBetweenListAndQuestionIsReadAgain(t *testing.T) {
	deleted := func() Input {
		in := healthy()
		in.Services, in.Slices = in.Services[:2], in.Slices[:1]
		return in
	}
	first := answerAs(healthy(), deleted(), ControlQuestions(healthy(), noon, 10))
	first.Probes[0].Metrics = responses(990, 10)
	first.Sources.Sort()
	if got := Status(first, noon, Options{}, "DNSCheck"); got.Verdict != report.Unhealthy {
		t.Fatalf("without a second look: %s: %s", got.Verdict, got.Summary)
	}
	again := Mismatched(first)
	if len(again) == 0 {
		t.Fatal("nothing is asked again")
	}
	second := answerAs(deleted(), deleted(), again)
	second.Sources = source.List{{Name: "services", State: source.OK}, {Name: "endpointslices", State: source.OK}}
	second.Logs, second.From, second.Access = nil, nil, nil
	in := Replace(first, second)
	if left := Mismatched(in); len(left) > 0 {
		t.Errorf("still differing: %v", left)
	}
	if got := Status(in, noon, Options{}, "DNSCheck"); got.Verdict != report.Healthy {
		t.Errorf("%s: %s", got.Verdict, got.Summary)
	}
	if d := cmp.Diff(first.Sources, in.Sources); d != "" || len(in.Logs) != len(first.Logs) || in.From != first.From || len(in.Access) != len(first.Access) {
		t.Errorf("what is read once is lost: %s", d)
	}
	if len(in.Probes[0].Metrics) == 0 || len(in.Probes[0].Answers) != len(first.Probes[0].Answers) {
		t.Errorf("of a server is left: %d metrics, %d of %d answers", len(in.Probes[0].Metrics), len(in.Probes[0].Answers), len(first.Probes[0].Answers))
	}
}

// A server that differs from the API twice is wrong.
func TestWhatStillDiffersCounts(t *testing.T) {
	first := answered(healthy())
	for i, a := range first.Probes[1].Answers {
		if a.Name == "api.shop.svc.cluster.local." {
			first.Probes[1].Answers[i].Rcode, first.Probes[1].Answers[i].Records = "NXDOMAIN", nil
		}
	}
	second := healthy()
	for _, q := range Mismatched(first) {
		second.Probes[1].Answers = append(second.Probes[1].Answers, report.Answer{Viewpoint: "port-forward:coredns-b", Name: q.Name, Type: q.Type, Transport: "TCP", Rcode: "NXDOMAIN"})
	}
	if got := Status(Replace(first, second), noon, Options{}, "DNSCheck"); got.Verdict == report.Healthy {
		t.Errorf("%s: %s", got.Verdict, got.Summary)
	}
}
