package evaluate

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
)

// Where a probe's command fails at a name, the log of the container has nothing of it.
func TestAProbeThatCannotResolveANameLeadsToDNS(t *testing.T) {
	exec := func(command ...string) corev1.ProbeHandler {
		return corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: command}}
	}
	http := corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Host: "db"}}
	const check, explain, log = "dns check --from api-2-x", "dns explain db --from api-2-x", "logs api-2-x"
	for name, c := range map[string]struct {
		probe corev1.ProbeHandler
		says  string // the event
		first string // the first next command that only reads
	}{
		"no server answers":      {exec("nslookup", "db"), "Readiness probe failed: ;; connection timed out; no servers could be reached", check},
		"the probe has no time":  {exec("sh", "-c", "getent hosts db"), `Readiness probe errored and resulted in unknown state: command "sh -c getent hosts db" timed out`, check},
		"it says nothing":        {exec("getent", "hosts", "db"), "Readiness probe failed: ", check},
		"the name is denied":     {exec("/app", "ready"), "Readiness probe failed: dial tcp: lookup db on 10.96.0.10:53: no such host", explain},
		"the database refuses":   {exec("pg_isready", "-h", "db"), "Readiness probe failed: db:5432 - no response", log},
		"a slow command":         {exec("/app", "ready"), `Readiness probe errored: command "/app ready" timed out`, log},
		"the kubelet's own name": {http, `Readiness probe failed: Get "http://db:80/": dial tcp: lookup db: no such host`, log},
	} {
		b := with(func(b *builder) {
			b.status(notReadyYet(50 * time.Second))
			b.c().ReadinessProbe = probe(2, 3)
			b.c().ReadinessProbe.ProbeHandler = c.probe
			b.podEvent("Unhealthy", c.says, 20)
		})()
		f := findingOf(Evaluate(b.in, now, model.Options{}), pods.ReadinessProbeFailing)
		if f == nil {
			t.Fatalf("%s: no finding", name)
		}
		if got := firstRead(f.Next); !strings.Contains(got, c.first) {
			t.Errorf("%s: want %q first: %q", name, c.first, got)
		}
		// A rollback changes nothing while no server answers.
		if dns := f.Next[0].Risk == finding.Read; dns != (c.first == check) {
			t.Errorf("%s: the first step is %q", name, f.Next[0].Command)
		}
	}
}

func TestALogThatTellsOfANameLeadsToDNS(t *testing.T) {
	for line, want := range map[string]string{
		"dial tcp: lookup db on 10.96.0.10:53: server misbehaving": "kubectl dns check",
		"dial tcp: lookup dbb on 10.96.0.10:53: no such host":      "kubectl dns check",
		"dial tcp 10.0.0.7:5432: connection refused":               "kubectl logs api-2-x",
	} {
		b := deploymentCase()
		b.status(crashed(1, 4, "Error"))
		need := model.Need{Kind: model.NeedLog, Namespace: "shop", Name: "api-2-x", UID: "pod-api-2-x", Container: "api"}
		b.fetch(need)
		b.in.Logs = []model.PodLog{{UID: need.UID, Container: "api", Lines: []string{line}}}
		f := Evaluate(b.in, now, model.Options{LogLines: 5}).Items[0].Findings[0]
		if got := firstRead(f.Next); !strings.HasPrefix(got, want) {
			t.Errorf("%s: want %q first: %q", line, want, got)
		}
		if dns := f.Next[0].Risk == finding.Read; dns != strings.Contains(line, "misbehaving") {
			t.Errorf("%s: the first step is %q", line, f.Next[0].Command)
		}
	}
}

func firstRead(list []finding.Next) string {
	for _, n := range list {
		if n.Risk == finding.Read {
			return n.Command
		}
	}
	return ""
}
