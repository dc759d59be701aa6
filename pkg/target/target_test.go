package target

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	nodes := Kinds{Words: map[string]string{"node": "Node", "nodes": "Node", "no": "Node"}, Default: "Node"}
	loads := Kinds{Words: map[string]string{"deploy": "Deployment", "deployment": "Deployment", "sts": "StatefulSet"}}
	tests := []struct {
		kinds Kinds
		args  string
		want  []Ref
		err   string
	}{
		{nodes, "w1 node/w2 w1", []Ref{{"Node", "w1"}, {"Node", "w2"}}, ""},
		{nodes, "nodes w1 w2", []Ref{{"Node", "w1"}, {"Node", "w2"}}, ""},
		{nodes, "node", []Ref{{"Node", "node"}}, ""},
		{nodes, "", nil, ""},
		{nodes, "pod/w1", nil, `"pod": unknown type; valid types: node`},
		{nodes, "http://w1:80", nil, `"http://w1:80" is a URL; expected an object name`},
		{nodes, "w1:80", nil, `"w1:80" is not an object name; valid names have lowercase letters, digits, '-' and '.'`},
		{nodes, "10.0.0.7 ip-10-0-0-7.ec2.internal", []Ref{{"Node", "10.0.0.7"}, {"Node", "ip-10-0-0-7.ec2.internal"}}, ""},
		{nodes, "node/", nil, `"node/": expected TYPE/NAME`},
		{nodes, "node/a/b", nil, `"node/a/b": expected TYPE/NAME`},
		{loads, "deploy web", []Ref{{"Deployment", "web"}}, ""},
		{loads, "DEPLOY/web sts/db", []Ref{{"Deployment", "web"}, {"StatefulSet", "db"}}, ""},
		{loads, "deploy", nil, `"deploy": missing name; use deploy/NAME or deploy NAME`},
		{loads, "web", nil, `"web": missing type; use TYPE/NAME with a type of deployment, statefulset`},
		{loads, "deploy web sts/db", nil, `"sts/db" after type "deploy"; use either TYPE NAME… or TYPE/NAME…`},
	}
	for _, tt := range tests {
		got, err := tt.kinds.Parse(strings.Fields(tt.args))
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: got %v, want %s", tt.args, err, tt.err)
			}
			continue
		}
		if d := cmp.Diff(tt.want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", tt.args, err, d)
		}
	}
}
