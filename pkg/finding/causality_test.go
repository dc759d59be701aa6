package finding

import (
	"fmt"
	"strings"
	"testing"
)

func TestArrangeGivesRolesAndOrder(t *testing.T) {
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
