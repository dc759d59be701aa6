package evaluate

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// The next command is the call itself, with what was missing: pasted, it does what was meant in the first place.
func TestNextCommandRepeatsTheCall(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"a shell", Options{}, "kubectl nodeshell a --critical --context=prod"},
		{"a command, in a namespace", Options{Call: []string{"a"}, CallRest: []string{"--", "df", "-h", "/a b"}, CallNamespace: "ops"}, "kubectl nodeshell a --critical -n ops --context=prod -- df -h '/a b'"},
		{"a pod's network", Options{Call: []string{"pod/web", "--netns"}, CallRest: []string{"--eval", "ss | head"}, CallNamespace: "shop"}, "kubectl nodeshell pod/web --netns --critical --eval 'ss | head' -n shop --context=prod"},
		{"a capture", Options{Call: []string{"capture", "web", "-w", "x"}, CallRest: []string{"--", "port 80"}}, "kubectl nodeshell capture web -w x --critical --context=prod -- 'port 80'"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.o.Program, test.o.Kubectl = "nodeshell", finding.Kubectl{Flags: []string{"--context=prod"}}
			if got := again(test.o, "a", test.o.CallNamespace, "--critical"); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}
