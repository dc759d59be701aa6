package finding

import (
	"fmt"
	"strings"
	"testing"
)

func TestOnlyWhatAFindingAccountsForIsExplained(t *testing.T) {
	pod, node, other := ObjectRef{Kind: "Pod", Namespace: "shop", Name: "web"}, ObjectRef{Kind: "Node", Name: "w1"}, ObjectRef{Kind: "Pod", Namespace: "shop", Name: "api"}
	mount := Contrary{Kind: "Event FailedMount", Object: pod, Beside: []ObjectRef{node}, Evidence: Evidence{Source: "Event", Path: "FailedMount", Value: "not found"}}
	coded := mount
	coded.By = []Code{"VolumeLost"}
	for _, tt := range []struct {
		name      string
		fact      Contrary
		findings  []Finding
		follows   []Consequence
		explained bool
	}{
		{"nothing was found", mount, nil, nil, false},
		{"a finding about the object", mount, []Finding{{Code: "A", Severity: Warning, Object: &pod}}, nil, true},
		{"about what stands beside it", mount, []Finding{{Code: "A", Severity: Critical, Object: &node}}, nil, true},
		{"about many, it among them", mount, []Finding{{Code: "A", Severity: Warning, Object: &other, Covers: []ObjectRef{pod}}}, nil, true},
		{"about another object", mount, []Finding{{Code: "A", Severity: Warning, Object: &other}}, nil, false},
		{"about none", mount, []Finding{{Code: "A", Severity: Warning}}, nil, false},
		{"information about it", mount, []Finding{{Code: "A", Severity: Info, Object: &pod}}, nil, false},
		{"information that has it as evidence", mount, []Finding{{Code: "A", Severity: Info, Evidence: []Evidence{{Source: "Event", Value: "not found"}}}}, nil, true},
		{"a consequence about it", mount, nil, []Consequence{{Code: "A", Object: &pod}}, true},
		{"another code, where it names codes", coded, []Finding{{Code: "A", Severity: Warning, Object: &pod}}, nil, false},
		{"its code, at another object", coded, []Finding{{Code: "VolumeLost", Severity: Warning, Object: &other}}, nil, true},
		{"its code as a consequence", coded, nil, []Consequence{{Code: "VolumeLost"}}, true},
		{"evidence without a value", Contrary{Kind: "Pod Failed", Object: pod}, []Finding{{Code: "A", Severity: Warning, Evidence: []Evidence{{Source: "Pod"}}}}, nil, false},
	} {
		var l Ledger
		l.Note(tt.fact)
		l.Note(tt.fact)
		left := l.Unexplained(tt.findings, tt.follows)
		if (len(left) == 0) != tt.explained || len(left) > 1 {
			t.Errorf("%s: left %v", tt.name, left)
		}
	}
}

func TestAHarmlessKindIsNotNoted(t *testing.T) {
	l := Ledger{Harmless: map[string]string{"Condition PodResizePending": "the old resources stay in force"}}
	l.Note(Contrary{Kind: "Condition PodResizePending", Evidence: Evidence{Value: "Deferred"}})
	if left := l.Unexplained(nil, nil); left != nil {
		t.Error(left)
	}
}

func TestWhatIsUnexplainedIsTold(t *testing.T) {
	node := ObjectRef{Kind: "Node", Name: "w1"}
	if _, found := Unexplained(nil, node); found {
		t.Error("nothing is left, and it is found")
	}
	var l Ledger
	for i := range 12 {
		l.Note(Contrary{Kind: "Pod Failed", Object: ObjectRef{Kind: "Pod", Namespace: "shop", Name: fmt.Sprintf("p%02d", 11-i)}, Evidence: Evidence{Source: "Pod", Value: "Evicted"}})
	}
	f, found := Unexplained(l.Unexplained(nil, nil), node, Next{Command: "kubectl get pods"})
	if !found || f.Message != "no check explains Pod Failed of Pod/shop/p00: Evicted (and 11 more)" || f.Severity != Warning || len(f.Next) != 1 {
		t.Errorf("%+v", f)
	}
	if len(f.Evidence) != 11 || f.Evidence[10].Value != "2 more" || !strings.HasSuffix(f.Evidence[9].Source, "shop/p09") {
		t.Errorf("%+v", f.Evidence)
	}
	l = Ledger{}
	l.Note(Contrary{Kind: "Condition FrequentKubeletRestart", Object: node, Evidence: Evidence{Source: "Node", Path: "x", Value: "True"}})
	if f, _ = Unexplained(l.Unexplained(nil, nil), node); f.Message != "no check explains Condition FrequentKubeletRestart: True" {
		t.Error(f.Message)
	}
	if e := UnexplainedEntry(); f.Code != e.Code || f.Title != e.Title {
		t.Errorf("%+v", f)
	}
}
