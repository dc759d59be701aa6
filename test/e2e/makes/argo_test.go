package makes

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	rollout "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// rolloutCase is a Rollout that the real controller brought to Healthy, a change of it, and what the plugin must say then.
type rolloutCase struct {
	name     string
	strategy string
	change   string // JSON patch; empty: a new image
	abort    bool   // as `kubectl argo rollouts abort` does, once the canary waits

	verdict rollout.Verdict
	code    finding.Code // of the root; empty: none
	says    []string     // in the summary, or in what happens next
	folded  finding.Code // what the root explains
	exit    int          // of --wait
	marker  []harness.Marker
}

const analyses = `
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: smoke}
spec:
  metrics:
  - name: smoke-test
    provider: {job: {spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: t, image: "busybox:1.36", imagePullPolicy: Never, command: ["false"]}]}}}}}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success}
spec:
  metrics:
  - name: success-rate
    interval: 1s
    count: 5
    consecutiveErrorLimit: 1
    successCondition: result[0] >= 0.95
    provider: {prometheus: {address: "http://127.0.0.1:9", query: up}}
`

func rolloutCases() []rolloutCase {
	canary := func(step string) string {
		return "{canary: {steps: [{setWeight: 50}, " + step + ", {setWeight: 100}]}}"
	}
	notReady := `[{"op":"add","path":"/spec/template/spec/containers/0/args","value":["--ready-after=-1s"]},` +
		`{"op":"add","path":"/spec/template/spec/containers/0/readinessProbe","value":{"httpGet":{"path":"/ready","port":8080},"periodSeconds":1}}]`
	return []rolloutCase{
		{
			name: "canary", strategy: canary("{pause: {}}"),
			verdict: rollout.OnHold, code: "ArgoPaused", says: []string{"until it is promoted", "canary step 2 of 3: pause until the rollout is promoted"}, exit: 6,
		},
		{
			name: "resumes", strategy: canary("{pause: {duration: 20s}}"),
			verdict: rollout.Progressing, code: "ArgoPaused", says: []string{"for 20s, and continues in"}, exit: 0,
		},
		{
			name: "job", strategy: canary("{analysis: {templates: [{templateName: smoke}]}}"),
			verdict: rollout.Failed, code: "ArgoAborted", says: []string{`metric "smoke-test" is Failed (failed 1, limit 0)`}, exit: 3,
			marker: []harness.Marker{{Command: "describe analysisruns", Shows: `Job - Name: +\S+smoke-test`}},
		},
		{
			name: "prometheus", strategy: canary("{analysis: {templates: [{templateName: success}]}}"),
			verdict: rollout.Failed, code: "ArgoAborted", says: []string{`metric "success-rate" is Error (consecutiveErrors 2, limit 1)`, "connection refused"}, exit: 3,
			marker: []harness.Marker{{Command: "describe analysisruns", Shows: "connection refused"}},
		},
		{
			name: "aborted", strategy: canary("{pause: {}}"), abort: true,
			verdict: rollout.Failed, code: "ArgoAborted", says: []string{"was aborted and runs the stable version"}, exit: 3,
		},
		{
			name: "preview", strategy: "{blueGreen: {activeService: preview-live, previewService: preview-next, autoPromotionEnabled: false}}", change: notReady,
			verdict: rollout.Failed, code: "ReadinessProbeFailing", folded: "ArgoDegraded", exit: 3,
			says: []string{"readiness probe", "Service preview-live selects the old version until all new pods are available and the rollout is promoted"},
		},
		{
			name: "ready", strategy: "{blueGreen: {activeService: ready-live, autoPromotionEnabled: false}}",
			verdict: rollout.OnHold, code: "ArgoPaused", says: []string{"BlueGreenPause", "until it is promoted"}, exit: 6,
		},
		{
			name: "invalid", strategy: canary("{pause: {}}"), change: `[{"op":"replace","path":"/spec/strategy/canary/steps/1/pause","value":{"duration":"soon"}}]`,
			verdict: rollout.Failed, code: "ArgoInvalidSpec", says: []string{"rejects the spec", "steps[1].pause.duration"}, exit: 3,
		},
	}
}

func (r rolloutCase) manifest() string {
	text := fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[1]s}
spec:
  replicas: 2
  progressDeadlineSeconds: 15
  strategy: %[2]s
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: "testapp:1"}]}
`, r.name, r.strategy)
	for _, service := range []string{"live", "next"} {
		if strings.Contains(r.strategy, r.name+"-"+service) {
			text += fmt.Sprintf("---\napiVersion: v1\nkind: Service\nmetadata: {name: %[1]s-%[2]s}\nspec: {selector: {app: %[1]s}, ports: [{port: 80}]}\n", r.name, service)
		}
	}
	return text
}

func TestRolloutsOfTheRealArgo(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	// Names that go while the next test asks for them would be its faults.
	t.Cleanup(func() { c.MustKubectl(t, "delete", "services", "--all", "-n", ns) })
	c.Apply(t, analyses, "-n", ns)
	cases := rolloutCases()
	for _, r := range cases {
		c.Apply(t, r.manifest(), "-n", ns)
	}
	for _, r := range cases {
		c.MustKubectl(t, "wait", "rollout/"+r.name, "--for=jsonpath={.status.phase}=Healthy", "--timeout=120s", "-n", ns)
		said := explain(t, c, ns, "rollout/"+r.name)
		if said.Verdict != rollout.Complete || len(said.Findings) > 0 || len(said.NextAction) > 0 {
			t.Errorf("%s is healthy, and the report says %s: %s %v", r.name, said.Verdict, said.Summary, said.NextAction)
		}
		c.Settle(t, string(rollout.Complete), said.Summary, "rollout-explain", "rollout/"+r.name)
	}
	for _, r := range cases {
		t.Run(r.name, func(t *testing.T) { r.check(t, c, ns) })
	}
}

func (r rolloutCase) check(t *testing.T, c *harness.Cluster, ns string) {
	patch := r.change
	if patch == "" {
		patch = `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"testapp:2"}]`
	}
	c.MustKubectl(t, "patch", "rollout", r.name, "-n", ns, "--type=json", "-p", patch)
	if r.abort {
		c.MustKubectl(t, "wait", "rollout/"+r.name, "--for=jsonpath={.status.phase}=Paused", "--timeout=60s", "-n", ns)
		c.MustKubectl(t, "patch", "rollout", r.name, "-n", ns, "--subresource=status", "--type=merge", "-p", `{"status":{"abort":true}}`)
	}
	var said rollout.Rollout
	harness.Eventually(t, 60*time.Second, func() (string, bool) {
		said = explain(t, c, ns, "rollout/"+r.name)
		text := said.Summary + "\n" + strings.Join(said.NextAction, "\n")
		missing := slices.DeleteFunc(slices.Clone(r.says), func(words string) bool { return strings.Contains(text, words) })
		root := finding.Code("")
		if len(said.Findings) > 0 && said.Findings[0].Role == rollout.RootCause {
			root = said.Findings[0].Code
		}
		folded := r.folded == "" || slices.ContainsFunc(said.Findings, func(f rollout.Finding) bool { return f.Code == r.folded && f.Role == rollout.Consequence })
		return fmt.Sprintf("%s, %s: %s; does not say %q", said.Verdict, root, text, missing),
			said.Verdict == r.verdict && root == r.code && len(missing) == 0 && folded
	})
	for _, change := range changesOf(said) {
		if !strings.Contains(change, "image") && !strings.Contains(change, "args") && !strings.Contains(change, "readinessProbe") {
			t.Errorf("not a change that was made: %s", change)
		}
	}
	var findings []finding.Finding
	for _, f := range said.Findings {
		findings = append(findings, f.Finding)
		if strings.Contains(f.Message, "not as its template") {
			t.Errorf("nobody changed the pods: %s", f.Message)
		}
	}
	follow(t, c, findings, r.marker...)
	waited := c.Run(t, 3*time.Minute, nil, "kubectl", "rollout-explain", "rollout/"+r.name, "-n", ns, "--wait", "--timeout=120s")
	if waited.Code != r.exit {
		t.Errorf("--wait: exit %d, want %d\n%s%s", waited.Code, r.exit, waited.Stdout, waited.Stderr)
	}
	c.Settle(t, fmt.Sprintf("%s, %s; --wait exits with %d", r.verdict, r.code, r.exit), said.Summary, "rollout-explain", "rollout/"+r.name)
}

func explain(t *testing.T, c *harness.Cluster, ns, name string) rollout.Rollout {
	t.Helper()
	var said rollout.Rollout
	read(t, c, &said, "rollout-explain", name, "-n", ns, "-o", "json")
	return said
}

func changesOf(r rollout.Rollout) []string {
	if r.Changes == nil {
		return nil
	}
	var paths []string
	for _, c := range r.Changes.Changes {
		paths = append(paths, c.Path)
	}
	return paths
}
