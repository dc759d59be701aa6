package autoscaler

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func text(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func parsed(t *testing.T, name string) *Status {
	t.Helper()
	s, err := Parse(text(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The forms are upstream's: the text is laid out as Azure and others document it, by GetReadableString of 1.29; the YAML has the fields
// and the time format of the tests of 1.30 (clusterstate/api, clusterstate/utils).
func TestBothFormsSayTheSame(t *testing.T) {
	old, current := parsed(t, "text.txt"), parsed(t, "status.yaml")
	if got, want := current.Groups[1].ScaleUp.Error, "QUOTA_EXCEEDED: Instance creation failed due to quota"; got != want {
		t.Errorf("the error is %q, want %q", got, want)
	}
	current.Groups[1].ScaleUp.Error = "" // the text has none
	if d := cmp.Diff(old, current); d != "" {
		t.Error(d)
	}
	at := func(clock string) time.Time { return moment("2026-11-20 " + clock + " +0000") }
	n := func(n int) *int { return &n }
	want := &Status{
		Time: at("11:59:52.661669494"), State: "Running", Health: Aspect{Status: "Healthy", Since: at("00:38:36.41372897")},
		ScaleUp:   Aspect{Status: "InProgress", Since: at("11:58:36.41372897")},
		ScaleDown: Aspect{Status: "CandidatesPresent", Since: at("00:38:36.41372897")}, Candidates: n(2),
	}
	got := *old
	got.Groups = nil
	if d := cmp.Diff(want, &got); d != "" {
		t.Error(d)
	}
	if g := old.InBackoff(); len(g) != 1 || g[0].Name != "aks-spotgpu-41529630-vmss" || g[0].ScaleUp.Since != at("11:55:36.41372897") || g[0].AtMinimum() {
		t.Errorf("in backoff: %+v", g)
	}
	if g := &old.Groups[0]; !g.AtMinimum() || *g.Max != 5 || *g.Ready != 3 {
		t.Errorf("%+v is at its minimum", g)
	}
}

func TestWhatIsNoStatusIsNotReadAsOne(t *testing.T) {
	for _, text := range []string{"", "  \n", "some prose", "foo: bar", "nodeGroups: 3", "clusterWide: {health: {status: [1]}}", "\x00", "- a\n- b"} {
		if s, err := Parse(text); err == nil {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
	s, err := Parse("Cluster-autoscaler status at 2026-11-20 11:59:52.66 +0000 UTC:\nInitializing")
	if err != nil || s.State != Initializing || s.Health.Status != "" || s.Updated().IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := Parse("autoscalerStatus: Initializing\ntime: yesterday"); err != nil || s.State != Initializing || !s.Updated().IsZero() {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestMoments(t *testing.T) {
	want := time.Date(2026, 11, 20, 11, 0, 0, 5e8, time.UTC)
	for _, text := range []string{
		"2026-11-20T11:00:00.5Z", "2026-11-20 11:00:00.5 +0000 UTC", "2026-11-20 13:00:00.5 +0200 CEST m=+43.66", "2026-11-20 14:00:00.5 +0300 +03",
	} {
		if got := moment(text); !got.Equal(want) {
			t.Errorf("%q is %s", text, got)
		}
	}
	for _, text := range []string{"", "soon", "2026-11-20", "a b c"} {
		if got := moment(text); !got.IsZero() {
			t.Errorf("%q is %s", text, got)
		}
	}
}

// The time at which the API server stored the status stands over the one in the text, which is by another clock.
func TestTheTimeOfTheAPIServerCounts(t *testing.T) {
	stored := time.Date(2026, 11, 20, 12, 10, 0, 0, time.UTC)
	object := &corev1.ConfigMap{Data: map[string]string{"status": text(t, "status.yaml")}}
	s, err := Read(object)
	if err != nil || s.Updated() != s.Time {
		t.Fatalf("%s, %v", s.Updated(), err)
	}
	object.ManagedFields = []metav1.ManagedFieldsEntry{
		{Time: &metav1.Time{Time: stored}, FieldsV1: metav1.NewFieldsV1(`{"f:data":{".":{},"f:status":{}}}`)},
		{Time: &metav1.Time{Time: stored.Add(time.Hour)}, FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{}}}`)},
	}
	if s, err = Read(object); err != nil || s.Updated() != stored {
		t.Errorf("%s, %v", s.Updated(), err)
	}
	object.Data = nil
	if _, err := Read(object); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Error(err)
	}
}

func TestAnAutoscalerHasStoppedWhenItSaysNothing(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		at            time.Time
		stopped, left bool
	}{
		{now.Add(-9 * time.Minute), false, false},
		{now.Add(time.Hour), false, false}, // its clock is ahead
		{now.Add(-11 * time.Minute), true, false},
		{now.Add(-25 * time.Hour), true, true},
		{time.Time{}, false, false},
	} {
		stopped, left := (&Status{Time: tt.at}).Stopped(now)
		if stopped != tt.stopped || left != tt.left {
			t.Errorf("%s: %v, %v", tt.at, stopped, left)
		}
	}
}

func TestTheGroupOfANode(t *testing.T) {
	eks := "eks-web-8ac5b7b2-2f5c-4d43-9b1e-0d8c3f8a1b2c"
	s := &Status{Groups: []Group{
		{Name: eks}, {Name: "eks-web-2-8ac5b7b2-2f5c-4d43-9b1e-0d8c3f8a1b2d"}, {Name: "aks-nodepool1-41529630-vmss"}, {Name: "7e8f"}, {Name: ""},
	}}
	for _, tt := range []struct {
		name, key, value, provider, want string
	}{
		{"EKS", eksLabel, "web", "aws:///eu-west-1a/i-0abc", eks},
		{"EKS, another whose name begins the same", eksLabel, "web-2", "aws:///eu-west-1a/i-0abc", s.Groups[1].Name},
		{"EKS, unmanaged", "", "", "aws:///eu-west-1a/i-0abc", ""},
		{"EKS, no such group", eksLabel, "we", "aws:///eu-west-1a/i-0abc", ""},
		{"Azure", "", "", "azure:///subscriptions/1/resourceGroups/mc/providers/Microsoft.Compute/virtualMachineScaleSets/AKS-nodepool1-41529630-vmss/virtualMachines/0", s.Groups[2].Name},
		{"Azure, another", "", "", "azure:///subscriptions/1/virtualMachineScaleSets/aks-nodepool1-41529630-vmss2/virtualMachines/0", ""},
		{"DigitalOcean", "doks.digitalocean.com/node-pool-id", "7e8f", "digitalocean://1", "7e8f"},
		{"a label of the same value", "team", "7e8f", "", ""},
	} {
		n := &corev1.Node{Spec: corev1.NodeSpec{ProviderID: tt.provider}, ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{tt.key: tt.value}}}
		got := ""
		if g := s.GroupOf(n); g != nil {
			got = g.Name
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	twice := &Status{Groups: []Group{{Name: "7e8f"}, {Name: "7e8f"}}}
	if g := twice.GroupOf(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"doks.digitalocean.com/node-pool-id": "7e8f"}}}); g != nil {
		t.Errorf("of two, one is chosen: %+v", g)
	}
}

// Whatever stands in the ConfigMap is read or not, and can be saved and read again.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"text.txt", "status.yaml"} {
		f.Add(text(f, name))
	}
	f.Add(textHead + ":\nName:\nHealth: Healthy (ready=99999999999999999999 minSize=-1\nScaleUp:\nLastTransitionTime: +0000\n")
	f.Add("autoscalerStatus: Running\nnodeGroups: [{}, {name: \"\\e[31m\"}]\ntime: 9999-12-31 23:59:59 +9999 UTC\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if (s == nil) == (err == nil) {
			t.Fatalf("%v, %v", s, err)
		}
		if s == nil {
			return
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var again Status
		if err := json.Unmarshal(data, &again); err != nil {
			t.Fatal(err)
		}
		for i := range s.Groups {
			s.GroupOf(&corev1.Node{})
			s.Groups[i].AtMinimum()
		}
	})
}
