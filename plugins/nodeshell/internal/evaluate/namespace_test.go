package evaluate

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// Who refuses is said by the first words: a webhook may put any others into its own.
func TestRefusalsAreSortedByWhoRefuses(t *testing.T) {
	const pod = `pods "nodeshell-1-0" is forbidden: `
	for text, want := range map[string]finding.Code{
		pod + `violates PodSecurity "baseline:latest": privileged`:                                                           PodSecurityViolated,
		`admission webhook "v.example.com" denied the request: the pod violates PodSecurity "restricted:latest": privileged`: AdmissionDenied,
		`admission webhook "v.example.com" does not support dry run`:                                                         AdmissionDenied,
		`Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: EOF`:                       AdmissionDenied,
		pod + `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: exceeded quota of patience`:                    AdmissionDenied,
		`policy 'p' with binding 'b' denied request: no such key`:                                                            AdmissionDenied,
		pod + `failed quota: q: must specify limits.cpu for: shell`:                                                          QuotaOrLimitRangeViolated,
		pod + `minimum cpu usage per Pod is 1. No request is specified`:                                                      QuotaOrLimitRangeViolated,
		`pods is forbidden: User "jane" cannot create resource "pods" in API group "" in the namespace "default"`:            PodCreationForbidden,
		`namespaces "default" not found`:                                                                                     PodRejected,
	} {
		if got := denial(Try{Namespace: "default", Denied: text}, nil, report.Plan{}, Options{}); got.Code != want {
			t.Errorf("%s\n got %s, want %s", text, got.Code, want)
		}
	}
}

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
			if got := rerunCommand(test.o, "a", test.o.CallNamespace, "--critical"); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}
