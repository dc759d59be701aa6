package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	noSchedule = corev1.TaintEffectNoSchedule
	noExecute  = corev1.TaintEffectNoExecute
	prefer     = corev1.TaintEffectPreferNoSchedule
)

// node gives a node called "a" with the label zone=one.
func node(cordoned bool, taints ...corev1.Taint) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{"zone": "one"}},
		Spec:       corev1.NodeSpec{Unschedulable: cordoned, Taints: taints},
	}
}

func tolerating(list ...corev1.Toleration) corev1.PodSpec { return corev1.PodSpec{Tolerations: list} }

func requiring(terms ...corev1.NodeSelectorTerm) corev1.PodSpec {
	return corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms},
	}}}
}

func term(operator corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: operator, Values: values}}}
}

// What the scheduler and the DaemonSet controller say to a pod of the same spec.
func TestNodesRefusePodsByUpstreamsRules(t *testing.T) {
	pressure := func(e corev1.TaintEffect) corev1.Taint {
		return corev1.Taint{Key: corev1.TaintNodeMemoryPressure, Effect: e}
	}
	network := corev1.Taint{Key: corev1.TaintNodeNetworkUnavailable, Effect: noSchedule}
	cordon := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: noSchedule}
	gpus := func(value string) corev1.Taint { return corev1.Taint{Key: "gpus", Value: value, Effect: noSchedule} }
	than := func(operator corev1.TolerationOperator, value string) corev1.PodSpec {
		return tolerating(corev1.Toleration{Key: "gpus", Operator: operator, Value: value})
	}
	for _, tt := range []struct {
		name              string
		spec              corev1.PodSpec
		node              *corev1.Node
		scheduler, daemon Reason
	}{
		{"nothing in the way", corev1.PodSpec{}, node(false), "", ""},
		{"a preference is no refusal", corev1.PodSpec{}, node(false, corev1.Taint{Key: "x", Effect: prefer}), "", ""},
		{"a taint", corev1.PodSpec{}, node(false, corev1.Taint{Key: "x", Effect: noSchedule}), Untolerated, Untolerated},
		{"evicting ones keep pods off, too", corev1.PodSpec{}, node(false, corev1.Taint{Key: "x", Effect: noExecute}), Untolerated, Untolerated},
		{"the empty key tolerates all", tolerating(corev1.Toleration{Operator: corev1.TolerationOpExists}), node(true, cordon, pressure(noExecute)), "", ""},
		{"no operator is Equal", tolerating(corev1.Toleration{Key: "gpus", Value: "8"}), node(false, gpus("8")), "", ""},
		{"another value", tolerating(corev1.Toleration{Key: "gpus", Value: "4"}), node(false, gpus("8")), Untolerated, Untolerated},
		{"another effect", tolerating(corev1.Toleration{Key: "gpus", Operator: corev1.TolerationOpExists, Effect: noExecute}), node(false, gpus("8")), Untolerated, Untolerated},
		{"more than", than(corev1.TolerationOpGt, "4"), node(false, gpus("8")), "", ""},
		{"more than, and it is equal", than(corev1.TolerationOpGt, "8"), node(false, gpus("8")), Untolerated, Untolerated},
		{"less than", than(corev1.TolerationOpLt, "9"), node(false, gpus("8")), "", ""},
		{"less than, and no number", than(corev1.TolerationOpLt, "9"), node(false, gpus("many")), Untolerated, Untolerated},
		{"an operator of tomorrow", than("In", "8"), node(false, gpus("8")), Untolerated, Untolerated},
		{"a cordon", corev1.PodSpec{}, node(true, cordon), Unschedulable, ""},
		{"a cordon whose taint is still to come", corev1.PodSpec{}, node(true), Unschedulable, ""},
		{"a cordon is tolerated by its taint", tolerating(corev1.Toleration{Key: cordon.Key, Operator: corev1.TolerationOpExists}), node(true), "", ""},
		{"pressure", corev1.PodSpec{}, node(false, pressure(noSchedule)), Untolerated, ""},
		{"pressure that evicts: nobody's default tolerates it", corev1.PodSpec{}, node(false, pressure(noExecute)), Untolerated, Untolerated},
		{"not ready", corev1.PodSpec{}, node(false, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: noExecute}), Untolerated, ""},
		{"not ready, the effect of before", corev1.PodSpec{}, node(false, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: noSchedule}), Untolerated, Untolerated},
		{"no network", corev1.PodSpec{}, node(false, network), Untolerated, Untolerated},
		{"no network, and the pod needs none", corev1.PodSpec{HostNetwork: true}, node(false, network), Untolerated, ""},
		{"another node", corev1.PodSpec{NodeName: "b"}, node(false), "", OtherNode},
		{"this node", corev1.PodSpec{NodeName: "a"}, node(false), "", ""},
		{"another label, before every taint", corev1.PodSpec{NodeSelector: map[string]string{"zone": "two"}}, node(true, gpus("8")), Unwanted, Unwanted},
		{"its label", corev1.PodSpec{NodeSelector: map[string]string{"zone": "one"}}, node(false), "", ""},
		{"an affinity that cannot be read matches no node", requiring(term("Near", "one")), node(false), Unwanted, Unwanted},
		{"and takes nothing from those beside it", requiring(term("Near", "one"), term(corev1.NodeSelectorOpIn, "one")), node(false), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if why, fits := Fits(&tt.spec, tt.node); why.Reason != tt.scheduler || fits != (tt.scheduler == "") {
				t.Errorf("the scheduler: %q, want %q", why.Reason, tt.scheduler)
			}
			if why, fits := DaemonFits(&tt.spec, tt.node); why.Reason != tt.daemon || fits != (tt.daemon == "") {
				t.Errorf("the DaemonSet controller: %q, want %q", why.Reason, tt.daemon)
			}
		})
	}
}

func TestTheTaintThatRefusesIsNamed(t *testing.T) {
	n := node(false, corev1.Taint{Key: "soft", Effect: prefer}, corev1.Taint{Key: "mine", Effect: noSchedule}, corev1.Taint{Key: "yours", Effect: noExecute})
	spec := tolerating(corev1.Toleration{Key: "mine", Operator: corev1.TolerationOpExists})
	if why, _ := Fits(&spec, n); why.Taint.Key != "yours" {
		t.Errorf("got %+v", why)
	}
}

// The tolerations of the controller must not be written into the list of the template.
func TestDaemonFitsLeavesTheTemplateAlone(t *testing.T) {
	list := make([]corev1.Toleration, 1, 20)
	list[0] = corev1.Toleration{Key: "x", Operator: corev1.TolerationOpExists}
	spec := corev1.PodSpec{Tolerations: list, HostNetwork: true}
	DaemonFits(&spec, node(false))
	if got := list[:2][1]; got != (corev1.Toleration{}) {
		t.Errorf("wrote %+v", got)
	}
}

func TestADaemonPodIsForTheNodeThatItsAffinityNames(t *testing.T) {
	field := func(key string, values ...string) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}}}},
		}}}
	}
	for name, tt := range map[string]struct {
		spec corev1.PodSpec
		want string
	}{
		"bound":         {corev1.PodSpec{NodeName: "w1", Affinity: field("metadata.name", "w2")}, "w1"},
		"not bound":     {corev1.PodSpec{Affinity: field("metadata.name", "w2")}, "w2"},
		"several nodes": {corev1.PodSpec{Affinity: field("metadata.name", "w2", "w3")}, ""},
		"another field": {corev1.PodSpec{Affinity: field("metadata.uid", "w2")}, ""},
		"no affinity":   {corev1.PodSpec{}, ""},
	} {
		if got := DaemonNode(&tt.spec); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
