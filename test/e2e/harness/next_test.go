package harness

import (
	"strings"
	"testing"
)

func TestACommandThatShowsNothingOfItsPurposeIsFound(t *testing.T) {
	pod := "Name:             api-x\nNamespace:        shop\nEvents:           <none>\n"
	for _, tt := range []struct{ command, output, want string }{
		{"kubectl describe pod api-x -n shop", pod, ""},
		{"kubectl describe pod api-x -n shop", "Name:   api-xy\nEvents:  <none>\n", "does not show api-x"},
		{"kubectl describe pod api-x -n shop", "Name:   api-x\n", "shows no events"},
		{"kubectl describe deployment/api -n shop", "Name:   api\nEvents:  <none>\n", ""},
		{"kubectl describe quota two -n shop", "Name:       two\nResource  Used  Hard\n", ""},
		{"kubectl describe limitrange -n shop", "", "shows nothing"},
		{"kubectl get pvc data -n shop", "NAME   STATUS\ndata   Pending\n", ""},
		{"kubectl get pvc data -n shop", "NAME   STATUS\nother  Bound\n", "does not show data"},
		{"kubectl get pod api-x -o 'jsonpath={.spec.volumes}' -n shop", "[{}]", ""},
		{"kubectl get pod api-x -o 'jsonpath={.spec.nothing}' -n shop", "", "shows nothing"},
		{"kubectl get runtimeclasses", "No resources found\n", ""},
		{"kubectl get events --field-selector involvedObject.name=coredns -n kube-system", "No resources found in kube-system namespace.\n", "shows no events"},
		{"kubectl get events --field-selector involvedObject.name=coredns -n kube-system", "LAST SEEN   TYPE\n5s          Normal\n", ""},
		{"kubectl get clusterrolebindings -o wide | grep kube-system/coredns", "", "shows nothing"},
		{"kubectl logs api-x -c api -n shop", "", ""},
		{"kubectl logs api-x -c api -n shop", "unable to retrieve container logs for containerd://1", "shows no log"},
		{"kubectl nodeinfo w1", "Healthy: node/w1: ready\n", ""},
		{"kubectl nodeinfo w1 --context=prod", "Healthy: node/w2: ready\n", "no verdict about"},
		{"kubectl nodeinfo", "NAME   STATUS\nw1     Healthy\n", ""},
		{"kubectl nodeinfo", "no nodes\n", "no table"},
		{"kubectl dns check", "Healthy: cluster DNS: no problem found\n", ""},
		{"kubectl dns pod web -n shop", "Healthy: pod/web: ndots:5\n", ""},
		{"kubectl dns pod web -n shop", "Healthy: pod/other: ndots:5\n", "no verdict about"},
		{"kubectl dns upstream", "some text\n", "no verdict about"},
		{"kubectl rollout-explain deployment/api -n shop", "Stuck: deployment/api: a\n", ""},
		{"kubectl rollout-explain deployment/api -n shop", "Stuck: deployment/web: a\n", "no verdict about"},
		{"kubectl nodeshell w1 -- dmesg", "line\n", ""},
		{"kubectl top pods -A", "", "shows nothing"},
	} {
		got := Shows(tt.command, tt.output)
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s\n%s%q, want %q", tt.command, tt.output, got, tt.want)
		}
	}
}

func TestAMarkerIsRequired(t *testing.T) {
	markers := []Marker{{Command: "describe pvc", Shows: `storageclass.* "nope" not found`}}
	for output, want := range map[string]int{`storageclass.storage.k8s.io "nope" not found`: 0, "Events: <none>": 1} {
		if got := Unmarked("kubectl describe pvc data -n shop", output, markers); len(got) != want {
			t.Errorf("%s: %v", output, got)
		}
	}
	if got := Unmarked("kubectl describe pod data", "", markers); got != nil {
		t.Errorf("another command: %v", got)
	}
}

func TestAFlagThatGetsLostIsFound(t *testing.T) {
	for _, tt := range []struct {
		command string
		asked   []string
		want    string
	}{
		{"kubectl get pods -n shop", []string{"check", "-n", "shop"}, ""},
		{"kubectl get pods --as=jane", []string{"check", "--as", "jane"}, ""},
		{"kubectl get pods", []string{"check", "--as", "jane"}, "--as"},
		{"kubectl get pods --as=joe", []string{"check", "--as=jane"}, "--as"},
		{"kubectl get pods '--context=my prod'", []string{"--context", "my prod"}, ""},
		{"kubectl get pods --insecure-skip-tls-verify=true", []string{"--insecure-skip-tls-verify"}, ""},
		{"kubectl get pods", []string{"--insecure-skip-tls-verify"}, "--insecure-skip-tls-verify"},
		{"kubectl nodeshell w1 -- kubectl get pods --as=jane", []string{"--as=jane"}, "--as"},
		{"kubectl nodeshell w1 --as=jane -- ls", []string{"--as=jane", "--", "--context=x"}, ""},
		{"systemctl status kubelet", []string{"--as=jane"}, ""},
	} {
		if got := NotCarried(tt.command, tt.asked); got != tt.want {
			t.Errorf("%s asked with %v: %q, want %q", tt.command, tt.asked, got, tt.want)
		}
	}
}
