package finding

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestArrangeGivesRolesAndOrder(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		list []Relation
		want string
	}{
		{"nothing", nil, ""},
		{"the gravest is the root, the others contribute", []Relation{{Code: "A", Rank: 1}, {Code: "B"}, {Code: "C", Rank: 1}}, "rootCause B, contributing A, contributing C"},
		{"of equal rank the deeper", []Relation{{Code: "A", Depth: 2}, {Code: "B", Depth: 1}, {Code: "C", Rank: 1}}, "rootCause B, contributing A, contributing C"},
		{"of equal depth as it stood", []Relation{{Code: "B"}, {Code: "A"}}, "rootCause B, contributing A"},
		{"a cause in the list", []Relation{{Code: "A", Causes: []Code{"X", "B"}}, {Code: "B", Rank: 5}}, "rootCause B, consequence A by B"},
		{"what is explained explains", []Relation{{Code: "A", Causes: []Code{"B"}}, {Code: "B", Causes: []Code{"C"}}, {Code: "C"}}, "rootCause C, consequence A by B, consequence B by C"},
		{"a mute one explains nothing", []Relation{{Code: "A", Causes: []Code{"B"}}, {Code: "B", Mute: true, Rank: 1}}, "rootCause A, contributing B"},
		{"nothing explains itself", []Relation{{Code: "A", Causes: []Code{"A"}}}, "rootCause A"},
		{"what follows is no root, its cause seen or not", []Relation{{Code: "A", Stance: Follows}}, "consequence A"},
		{"what follows of a known cause names it", []Relation{{Code: "A", Stance: Follows, Causes: []Code{"B"}}, {Code: "B"}}, "rootCause B, consequence A by B"},
		{"what only adds is never the root", []Relation{{Code: "A", Stance: Adds}}, "contributing A"},
		{"roots come before what adds, whatever its rank", []Relation{{Code: "A", Stance: Adds}, {Code: "B", Rank: 4}, {Code: "C", Rank: 5}}, "rootCause B, contributing C, contributing A"},
		{"what adds and is explained follows", []Relation{{Code: "A", Stance: Adds, Causes: []Code{"B"}}, {Code: "B"}}, "rootCause B, consequence A by B"},
		{"an older one is no consequence", []Relation{{Code: "A", Began: at.Add(-time.Hour), Causes: []Code{"B"}}, {Code: "B", Began: at}}, "rootCause A, contributing B"},
		{"what is recorded a little later may be the cause", []Relation{{Code: "A", Began: at.Add(-Unrecorded), Causes: []Code{"B"}}, {Code: "B", Began: at}}, "rootCause B, consequence A by B"},
		{"a farther cause that is old enough", []Relation{{Code: "A", Began: at.Add(-time.Hour), Causes: []Code{"B", "C"}}, {Code: "B", Began: at}, {Code: "C"}}, "rootCause B, contributing C, consequence A by C"},
		{"one of two of a code is old enough", []Relation{{Code: "A", Began: at, Causes: []Code{"B"}}, {Code: "B", Began: at.Add(time.Hour)}, {Code: "B", Began: at}}, "rootCause B, contributing B, consequence A by B"},
		{"a begin that is not known tells nothing", []Relation{{Code: "A", Causes: []Code{"B"}}, {Code: "B", Began: at}}, "rootCause B, consequence A by B"},
		{"what stands beside is last, even with a cause", []Relation{{Code: "A", Stance: Beside, Causes: []Code{"B"}}, {Code: "C", Stance: Follows, Rank: 3}, {Code: "B", Rank: 5}}, "rootCause B, consequence C, unrelated A"},
	} {
		var words []string
		for _, p := range Arrange(tt.list) {
			word := fmt.Sprintf("%s %s", p.Role, tt.list[p.At].Code)
			if p.By != "" {
				word += " by " + string(p.By)
			}
			words = append(words, word)
		}
		if got := strings.Join(words, ", "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestACauseExplainsOnlyWhatItIsAbout(t *testing.T) {
	node := func(names ...string) []ObjectRef {
		var list []ObjectRef
		for _, n := range names {
			list = append(list, ObjectRef{Kind: "Node", Name: n})
		}
		return list
	}
	lease := ObjectRef{Kind: "Lease", Namespace: "kube-system", Name: "kube-scheduler"}
	dead, cut := []Code{"Dead"}, []Code{"Dead", "Cut"}
	for _, tt := range []struct {
		name string
		list []Relation
		want string // of the first, by where its cause stands
	}{
		{"about the same object", []Relation{{Code: "A", Causes: dead, At: node("w1")}, {Code: "Dead", About: node("w1")}}, "consequence 1"},
		{"about another", []Relation{{Code: "A", Causes: dead, At: node("w2")}, {Code: "Dead", About: node("w1")}}, "contributing -1"},
		{"about none", []Relation{{Code: "A", Causes: dead}, {Code: "Dead", About: node("w1")}}, "contributing -1"},
		{"of two of a code the one about the object", []Relation{{Code: "A", Causes: dead, At: node("w2")}, {Code: "Dead", About: node("w1")}, {Code: "Dead", About: node("w2")}}, "consequence 2"},
		{"one of two objects is not enough", []Relation{{Code: "A", Causes: dead, At: node("w1", "w2")}, {Code: "Dead", About: node("w1")}}, "contributing -1"},
		{"both are", []Relation{{Code: "A", Causes: dead, At: node("w1", "w2")}, {Code: "Dead", About: node("w1")}, {Code: "Dead", About: node("w2")}}, "consequence 1"},
		{"each by its own code", []Relation{{Code: "A", Causes: cut, At: node("w1", "w2")}, {Code: "Cut", About: node("w2")}, {Code: "Dead", About: node("w1")}}, "consequence 2"},
		{"one of them too young", []Relation{{Code: "A", Causes: dead, At: node("w1", "w2"), Began: time.Unix(0, 0)}, {Code: "Dead", About: node("w1")}, {Code: "Dead", About: node("w2"), Began: time.Unix(3600, 0)}}, "contributing -1"},
		{"objects of another kind do not count", []Relation{{Code: "A", Causes: dead, At: append(node("w1"), lease)}, {Code: "Dead", About: []ObjectRef{lease}}}, "consequence 1"},
		{"a cause about everything", []Relation{{Code: "A", Causes: dead, At: node("w1")}, {Code: "Dead"}}, "consequence 1"},
	} {
		for _, p := range Arrange(tt.list) {
			if p.At != 0 {
				continue
			}
			if got := fmt.Sprintf("%s %d", p.Role, p.Of); got != tt.want && (p.Of >= 0 || !strings.HasSuffix(tt.want, "-1")) {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
	}
}
