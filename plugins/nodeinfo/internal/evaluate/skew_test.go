package evaluate

import (
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
)

// A scheduler is measured by the API server of its node; where the versions cannot be read off the images, nothing is said.
func TestControlPlaneVersionsAreComparedWhereTheyAreKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		apiServer, scheduler, answering string
		want                            string
	}{
		"equal":                                   {"kube-apiserver:v1.36.3", "kube-scheduler:v1.36.3", "v1.36.3", ""},
		"a node upgraded before the others":       {"kube-apiserver:v1.37.0", "kube-scheduler:v1.37.0", "v1.36.3", ""},
		"its API server upgraded first":           {"kube-apiserver:v1.37.0", "kube-scheduler:v1.36.3", "v1.36.3", ""},
		"the scheduler upgraded first":            {"kube-apiserver:v1.36.3", "kube-scheduler:v1.37.0", "v1.37.0", "kube-scheduler v1.37.0 is newer"},
		"a minor version left out":                {"kube-apiserver:v1.36.3", "kube-scheduler:v1.34.1", "v1.36.3", "2 minor versions older"},
		"API servers two minor versions apart":    {"kube-apiserver:v1.34.1", "kube-scheduler:v1.34.1", "v1.36.3", "kube-apiserver v1.34.1 is 2 minor versions older"},
		"an API server two newer than the other":  {"kube-apiserver:v1.38.0", "kube-scheduler:v1.38.0", "v1.36.3", "kube-apiserver v1.38.0 is 2 minor versions newer"},
		"a scheduler pinned by digest":            {"kube-apiserver:v1.36.3", "kube-scheduler@sha256:0123", "v1.36.3", ""},
		"an API server pinned by digest":          {"kube-apiserver@sha256:0123", "kube-scheduler:v1.37.0", "v1.36.3", ""},
		"an image with a version of its own":      {"kube-apiserver:v1.36.3", "our-scheduler:v1.2.0", "v1.36.3", ""},
		"tag and digest, behind a registry port":  {"reg:5000/kube-apiserver:v1.36.3@sha256:01", "reg:5000/kube-scheduler:v1.37.0@sha256:01", "v1.36.3", "is newer"},
		"an answering API server of no version":   {"kube-apiserver:v1.30.0", "kube-scheduler:v1.30.0", "", ""},
		"images of a distribution with one build": {"hardened-kubernetes:v1.36.1-rke2r1", "hardened-kubernetes:v1.36.1-rke2r1", "v1.36.1+rke2r1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, string(machine.ControlPlaneVersionSkew))
			in.ServerVersion = tt.answering
			for i := range in.Pods {
				switch in.Pods[i].Name {
				case "kube-apiserver-fires":
					in.Pods[i].Spec.Containers[0].Image = tt.apiServer
				case "kube-scheduler-fires":
					in.Pods[i].Spec.Containers[0].Image = tt.scheduler
				}
			}
			got := said(node(t, judge(in), "fires"), machine.ControlPlaneVersionSkew)
			if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
