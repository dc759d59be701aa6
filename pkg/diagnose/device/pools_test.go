package device

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func slicesOf(t *testing.T, text string) []Slice {
	t.Helper()
	var list []Slice
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAPoolIsItsNewestGeneration(t *testing.T) {
	pools := Pools(slicesOf(t, `[
		{"metadata":{"name":"a"},"spec":{"driver":"d","nodeName":"w1","pool":{"name":"w1","generation":2,"resourceSliceCount":2},
			"devices":[{"name":"0","taints":[{"key":"k","effect":"NoSchedule"}]},{"name":"1","taints":[{"key":"k","effect":"None"}]}]}},
		{"metadata":{"name":"b"},"spec":{"driver":"d","nodeName":"w1","pool":{"name":"w1","generation":1,"resourceSliceCount":1},"devices":[{"name":"2"}]}},
		{"metadata":{"name":"c"},"spec":{"driver":"d","nodeSelector":{"nodeSelectorTerms":[]},"pool":{"name":"elsewhere","generation":1,"resourceSliceCount":1}}},
		{"metadata":{"name":"e"},"spec":{"driver":"d","allNodes":true,"pool":{"name":"net","generation":1,"resourceSliceCount":1},
			"devices":[{"name":"0","basic":{"taints":[{"key":"k","value":"v","effect":"NoExecute"}]}}]}}]`), nil, nil)
	if len(pools) != 2 {
		t.Fatalf("%+v", pools)
	}
	net, own := pools[0], pools[1]
	if own.Name != "w1" || own.Generation != 2 || own.Slices != 1 || own.Expected != 2 || own.Stale != 1 || own.Devices != 2 || own.Tainted != 1 ||
		own.Shared || !own.Incomplete() {
		t.Errorf("%+v", own)
	}
	if !net.Shared || net.Tainted != 1 || net.Incomplete() {
		t.Errorf("%+v", net)
	}
}

// By ToleratesTaint of k8s.io/dynamic-resource-allocation.
func TestTolerationsOfDeviceTaints(t *testing.T) {
	taint := Taint{Key: "k", Value: "v", Effect: NoExecute}
	for _, c := range []struct {
		toleration Toleration
		want       bool
	}{
		{Toleration{Operator: "Exists"}, true},
		{Toleration{Key: "k", Operator: "Exists", Effect: NoExecute}, true},
		{Toleration{Key: "k", Value: "v"}, true},
		{Toleration{Key: "k", Operator: "Equal", Value: "v"}, true},
		{Toleration{Key: "k", Operator: "Equal"}, false},
		{Toleration{Key: "other", Operator: "Exists"}, false},
		{Toleration{Key: "k", Operator: "Exists", Effect: NoSchedule}, false},
		{Toleration{Key: "k", Operator: "Unheard", Value: "v"}, false},
	} {
		if got := c.toleration.Tolerates(taint); got != c.want {
			t.Errorf("%+v: %t", c.toleration, got)
		}
	}
}

func TestWhatAPodLacksOfAClaim(t *testing.T) {
	one := "one"
	claiming := func(entry corev1.PodResourceClaim, statuses ...corev1.PodResourceClaimStatus) *corev1.Pod {
		p := pod("p")
		p.UID = "u"
		entry.Name = "gpu"
		p.Spec.ResourceClaims, p.Status.ResourceClaimStatuses = []corev1.PodResourceClaim{entry}, statuses
		return p
	}
	direct, template := corev1.PodResourceClaim{ResourceClaimName: &one}, corev1.PodResourceClaim{ResourceClaimTemplateName: &one}
	extended := pod("p")
	extended.UID = "u"
	extended.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{ResourceClaimName: "one"}
	reserved := func(kind, uid string) string {
		return `{"metadata":{"namespace":"shop","name":"one"},"status":{"allocation":{"devices":{}},"reservedFor":[{"resource":"` + kind + `","uid":"` + uid + `"}]}}`
	}
	for name, c := range map[string]struct {
		pod   *corev1.Pod
		claim string
		want  []Wait
	}{
		"mine":                      {claiming(direct), reserved("pods", "u"), []Wait{Ready}},
		"of a group":                {claiming(direct), reserved("podgroups", "g"), []Wait{Ready}},
		"another's":                 {claiming(direct), reserved("pods", "x"), []Wait{NotReserved}},
		"not allocated":             {claiming(direct), `{"metadata":{"namespace":"shop","name":"one"},"status":{}}`, []Wait{NotAllocated}},
		"of another namespace":      {claiming(direct), `{"metadata":{"namespace":"x","name":"one"}}`, []Wait{Missing}},
		"of a template":             {claiming(template, corev1.PodResourceClaimStatus{Name: "gpu", ResourceClaimName: &one}), reserved("pods", "u"), []Wait{Ready}},
		"of a template, not made":   {claiming(template), reserved("pods", "u"), []Wait{NotCreated}},
		"of a template, not needed": {claiming(template, corev1.PodResourceClaimStatus{Name: "gpu"}), reserved("pods", "u"), nil},
		"by a way not known here":   {claiming(corev1.PodResourceClaim{}), reserved("pods", "u"), nil},
		"for extended resources":    {extended, reserved("pods", "u"), []Wait{Ready}},
	} {
		var claim Claim
		if err := json.Unmarshal([]byte(c.claim), &claim); err != nil {
			t.Fatal(err)
		}
		var got []Wait
		for _, n := range Needs([]*corev1.Pod{c.pod}, []Claim{claim}) {
			got = append(got, n.Lacks)
		}
		if len(got) != len(c.want) || len(got) == 1 && got[0] != c.want[0] {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
