package collect

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// pack gives the same input with its pods packed, as a list of the API server would bring them.
func pack(t testing.TB, in model.Input) *model.Input {
	t.Helper()
	pods := slices.Clone(in.Pods)
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	s := &packed{}
	s.Restart()
	for i := range pods {
		data, err := pods[i].Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Add(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	in.Pods, in.Packed = nil, s
	return &in
}

func TestPackedPodsAreJudgedLikeThoseAtHand(t *testing.T) {
	files, err := filepath.Glob("../../testdata/*/input.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d fixtures: %v", len(files), err)
	}
	pods := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var in model.Input
		if err := json.Unmarshal(data, &in); err != nil {
			t.Fatal(err)
		}
		in.Targets = nil
		pods += len(in.Pods)
		for i := range in.Pods {
			slimPod(&in.Pods[i])
		}
		want, got := evaluate.Evaluate(&in, in.Collected, model.Options{}), evaluate.Evaluate(pack(t, in), in.Collected, model.Options{})
		a, errA := json.Marshal(want)
		b, errB := json.Marshal(got)
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s: packed\n%s\nat hand\n%s", file, b, a)
		}
	}
	if pods < 50 {
		t.Errorf("only %d pods", pods)
	}
}

// fleet has that many Deployments of ten pods.
func fleet(deployments int) model.Input {
	yes, at := true, metav1.NewTime(time.Unix(1e9, 0))
	in := model.Input{Collected: time.Unix(1e9+1e6, 0)}
	for i := range deployments {
		d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: fmt.Sprintf("d%04d", i), UID: types.UID(fmt.Sprint("d", i)), CreationTimestamp: at}}
		rs := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
			Namespace: "n", Name: d.Name + "-1", UID: types.UID(fmt.Sprint("r", i)), CreationTimestamp: at,
			OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: d.Name, UID: d.UID, Controller: &yes}},
		}}
		for k := range 10 {
			in.Pods = append(in.Pods, corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: "n", Name: fmt.Sprint(rs.Name, "-", k), UID: types.UID(fmt.Sprint("p", i, "-", k)), CreationTimestamp: at,
					OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: rs.Name, UID: rs.UID, Controller: &yes}},
				},
				Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
			})
		}
		in.Deployments, in.ReplicaSets = append(in.Deployments, d), append(in.ReplicaSets, rs)
	}
	return in
}

// Each further Deployment takes as much as the ones before, and all packed pods together little.
func TestManyWorkloadsTakeTheirNumber(t *testing.T) {
	per := func(n int) (allocated, kept int) {
		in := pack(t, fleet(n))
		for _, blocks := range in.Packed.(*packed).byOwner {
			for _, b := range blocks {
				kept += len(b)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		list := evaluate.Evaluate(in, in.Collected, model.Options{Wide: true})
		runtime.ReadMemStats(&after)
		if len(list.Items) != n {
			t.Fatalf("%d of %d", len(list.Items), n)
		}
		return int(after.TotalAlloc-before.TotalAlloc) / n, kept / n
	}
	per(10)
	small, _ := per(50)
	middle, _ := per(100)
	large, kept := per(200)
	if low, high := min(small, middle, large), max(small, middle, large); high > low*13/10 {
		t.Errorf("bytes allocated for each: %d of 50, %d of 100, %d of 200", small, middle, large)
	}
	if kept > 1000 {
		t.Errorf("the pods of a Deployment are kept in %d bytes", kept)
	}
}
