package evaluate

import (
	"fmt"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// large is a cluster with so many Services more, each with an endpoint, about all of which two servers were asked. Every tenth
// answer is another one.
func large(services int) Input {
	in := healthy()
	for i := range services {
		name := fmt.Sprintf("s%04d", i)
		in.Services = append(in.Services, service("shop", name, fmt.Sprintf("10.97.%d.%d", i/250, i%250),
			map[string]string{"app": name}, corev1.ServicePort{Name: "http", Port: 80, Protocol: "TCP"}))
		in.Slices = append(in.Slices, slice("shop", name, endpointAt(fmt.Sprintf("10.244.%d.%d", 3+i/250, i%250), true)))
	}
	w := facts.New(in, noon, Options{})
	questions := VerifyQuestions(in, Scope{})
	for i := range in.Probes {
		for k, q := range questions {
			a := answer(w, in.Probes[i].Pod, q)
			if k%10 == 9 {
				a.Rcode, a.Records = "NXDOMAIN", nil
			}
			in.Probes[i].Answers = append(in.Probes[i].Answers, a)
		}
	}
	return in
}

// Each further Service takes as much as the ones before, in all that verify does with them.
func TestManyServicesTakeTheirNumber(t *testing.T) {
	allocated := func(n int) int {
		in := large(n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		asked := len(VerifyQuestions(in, Scope{}))
		v := Verify(in, noon, Options{}, Scope{})
		runtime.ReadMemStats(&after)
		if len(v.Items) < asked/20 || v.Objects != n+3 {
			t.Fatalf("%d differences in %d answers about %d Services", len(v.Items), asked, v.Objects)
		}
		return int(after.TotalAlloc - before.TotalAlloc)
	}
	allocated(10)
	per := func(from, to int) int { return (allocated(to) - allocated(from)) / (to - from) }
	small, large := per(250, 500), per(1000, 2000)
	if low, high := min(small, large), max(small, large); high > low*13/10 {
		t.Errorf("bytes allocated for each Service more: %d from 250 to 500, %d from 1000 to 2000", small, large)
	}
}
