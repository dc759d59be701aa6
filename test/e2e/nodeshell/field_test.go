package nodeshell

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// A client that is stopped for longer than its lease loses the helper, and says so when it goes on; a short pause costs nothing.
func TestAStoppedClientSaysWhyItsSessionIsOver(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	for name, tt := range map[string]struct {
		pause, sleep string
		code         string
		says         string
	}{
		"longer than the lease": {"45", "765438", "125", "this process was paused for"},
		"shorter":               {"8", "20", "4", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := c.Namespace(t)
			line := harness.AwaitFile + `kubectl nodeshell w1 -n "$NS" -- sh -c 'echo up; sleep '$SLEEP'; exit 4' >"$OUT" & pid=$!; await up "$OUT"; kill -STOP $pid; sleep "$PAUSE"; kill -CONT $pid; wait $pid; echo $?`
			r := c.Sh(t, line, harness.Env("NS="+ns, "PAUSE="+tt.pause, "SLEEP="+tt.sleep, "OUT="+filepath.Join(t.TempDir(), "out")))
			if strings.TrimSpace(r.Stdout) != tt.code || !strings.Contains(r.Stderr, tt.says) || tt.says == "" && r.Stderr != "" {
				t.Errorf("code %q: %s", r.Stdout, r.Stderr)
			}
			nothingLeft(t, c, ns)
		})
	}
}

// The lease goes over pods/attach: a policy that denies it is named, and no code of a kill is taken for the command's.
func TestAPolicyThatDeniesTheLeaseIsNamed(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	denies := func(ns, resource string) string {
		return fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CONNECT], resources: [%[2]s]}]
  validations: [{expression: "false", message: "no streams on Fridays"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny]}
`, ns, resource)
	}
	for resource, denied := range map[string]bool{"pods/attach": true, "pods/portforward": false} {
		t.Run(resource, func(t *testing.T) {
			t.Parallel()
			ns := c.Namespace(t)
			c.Apply(t, denies(ns, resource))
			t.Cleanup(func() {
				c.Kubectl(t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", ns, "--ignore-not-found")
			})
			if !denied {
				time.Sleep(10 * time.Second) // a policy is compiled a moment after it was made
				if r := run(t, c, "w1", "-n", ns, "--", "sh", "-c", "exit 4"); r.Code != 4 || r.Stderr != "" {
					t.Errorf("code %d: %s", r.Code, r.Stderr)
				}
				return
			}
			harness.Eventually(t, time.Minute, func() (string, bool) {
				r := run(t, c, "w1", "-n", ns, "--", "sh", "-c", "sleep 3; exit 4")
				return fmt.Sprintf("code %d: %s", r.Code, r.Stderr), r.Code == 125 && strings.Contains(r.Stderr, "the stream that keeps it alive is refused") && strings.Contains(r.Stderr, "no streams on Fridays")
			})
			nothingLeft(t, c, ns)
		})
	}
}

// A capture whose pod is replaced tells it in text, JSON and exit code, and keeps what it has; the other target goes on.
func TestAPodThatIsReplacedDuringACapture(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	pods(t, c, ns)
	line := harness.AwaitFile + `kubectl nodeshell capture web client -n "$NS" -w "$DIR/all.pcapng" --duration 40s FORMAT >"$DIR/out" 2>"$DIR/err" & pid=$!; await . "$DIR/all.pcapng"; sleep 4
kubectl delete pod web -n "$NS" --wait >/dev/null; kubectl apply -f - -n "$NS" <<<"$WEB" >/dev/null; wait $pid; echo $?; cat "$DIR/out" "$DIR/err" >&2`
	for name, format := range map[string]string{"text": "", "json": "-o json"} {
		c.Apply(t, web, "-n", ns)
		c.MustKubectl(t, "wait", "-n", ns, "--for=condition=Ready", "pod/web", "pod/client", "--timeout=90s")
		dir := t.TempDir()
		r := c.Sh(t, strings.Replace(line, "FORMAT", format, 1), harness.Env("NS="+ns, "DIR="+dir, "WEB="+web))
		if strings.TrimSpace(r.Stdout) != "125" || !strings.Contains(r.Stderr, "pod "+ns+"/web was deleted during the capture") && !strings.Contains(r.Stderr, "pod "+ns+"/web was replaced during the capture") {
			t.Errorf("%s: code %q\n%s", name, r.Stdout, r.Stderr)
		}
		if name == "json" {
			first := strings.Index(r.Stderr, "{")
			var doc struct {
				Items []struct {
					Pod, Error string
					Complete   bool
					Findings   []struct{ Code string }
				}
			}
			if err := json.NewDecoder(strings.NewReader(r.Stderr[max(first, 0):])).Decode(&doc); err != nil || len(doc.Items) != 2 {
				t.Fatalf("no JSON: %v\n%s", err, r.Stderr)
			}
			for _, i := range doc.Items {
				gone := i.Pod == "web"
				if i.Complete == gone || (i.Error != "") != gone || gone && (len(i.Findings) == 0 || i.Findings[0].Code != "CaptureTargetGone") {
					t.Errorf("%+v", i)
				}
			}
		}
		if file := c.Sh(t, "tcpdump -nn -r "+dir+"/all.pcapng >/dev/null"); file.Code != 0 {
			t.Errorf("%s: the file is not whole: %s", name, file.Stderr)
		}
	}
}

// timeout sends its signal to the process and its group, so that two arrive at once: neither the counters nor the file are lost.
// A second Ctrl-C, some time later, ends what does not end.
func TestAnInterruptedCaptureIsWhole(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	pods(t, c, ns)
	for name, line := range map[string]string{
		"Ctrl-C":         `kubectl nodeshell capture client -n "$NS" -w "$FILE" 2>"$FILE.err" & pid=$!; await . "$FILE"; sleep 2; kill -INT $pid; wait $pid; echo $?`,
		"timeout -s INT": `timeout --preserve-status -s INT 25 kubectl nodeshell capture client -n "$NS" -w "$FILE" 2>"$FILE.err"; echo $?`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "client.pcap")
			r := c.Sh(t, harness.AwaitFile+"set -m; "+line+`; cat "$FILE.err" >&2`, harness.Env("NS="+ns, "FILE="+file))
			if strings.TrimSpace(r.Stdout) != "0" || !strings.Contains(r.Stderr, "captured ") || !strings.Contains(r.Stderr, "dropped 0") {
				t.Errorf("code %q: %s", r.Stdout, r.Stderr)
			}
			if whole := c.Sh(t, "tcpdump -nn -r "+file+" >/dev/null"); whole.Code != 0 {
				t.Errorf("the file is not whole: %s", whole.Stderr)
			}
		})
	}
}

// Input that the command does not read holds up neither its end nor its code.
func TestUnreadInputEndsWithTheCommandsCode(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	input := bytes.Repeat([]byte("0123456789abcde\n"), 50<<16) // 50 MB
	for _, tt := range []struct {
		args   []string
		stdout string
		code   int
	}{
		{[]string{"head", "-1"}, "0123456789abcde\n", 0},
		{[]string{"sh", "-c", "head -1 >/dev/null; exit 7"}, "", 7},
		{[]string{"false"}, "", 1},
		{[]string{"wc", "-l"}, "3276800\n", 0}, // what reads all has all
	} {
		args := append([]string{"nodeshell", "w1", "--stdin", "--"}, tt.args...)
		r := c.Run(t, 2*time.Minute, []harness.Option{harness.Stdin(bytes.NewReader(input))}, "kubectl", args...)
		if r.Code != tt.code || r.Stdout != tt.stdout {
			t.Errorf("%v: code %d, %q, %s", tt.args, r.Code, r.Stdout, r.Stderr)
		}
	}
}

// A call that cannot be meant as it stands gets one line with the call that can; and that one, pasted, is understood.
func TestAWrongCallGetsTheRightOne(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	pods(t, c, ns)
	for _, tt := range []struct{ line, right string }{
		{"kubectl nodeshell w1 uname -a", "kubectl nodeshell w1 -- uname …"},
		{"kubectl nodeshell w1 df -h", "kubectl nodeshell w1 -- df …"},
		{"kubectl nodeshell w1 uname", "kubectl nodeshell w1 -- uname"},
		{"kubectl nodeshell web -n " + ns + " -- hostname", "kubectl nodeshell pod/web -n " + ns + " -- hostname"},
		{"kubectl nodeshell capture web port 80 -n " + ns, "kubectl nodeshell capture web -n " + ns + " -- port 80"},
		{"kubectl nodeshell capture web -n " + ns + " -- -nn -c 5 port 80", "kubectl nodeshell capture web --count=5 -n " + ns + " -- port 80"},
	} {
		r := c.Sh(t, tt.line)
		first, _, _ := strings.Cut(r.Stderr, "\n")
		if r.Code != 125 || !strings.HasPrefix(first, "error: ") || !strings.HasSuffix(first, ": "+tt.right) || r.Stdout != "" {
			t.Errorf("%s: code %d, %q\n%s\nwant %s", tt.line, r.Code, r.Stdout, r.Stderr, tt.right)
		}
		if strings.HasPrefix(tt.right, "kubectl nodeshell") && !strings.Contains(tt.right, "…") && !strings.Contains(tt.right, "capture") {
			if r := c.Sh(t, tt.right); r.Code != 0 {
				t.Errorf("%s: code %d: %s", tt.right, r.Code, r.Stderr)
			}
		}
	}
	if r := run(t, c, "w1", "--", "uname", "-a"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "Linux w1 ") {
		t.Errorf("the right call: code %d, %q %s", r.Code, r.Stdout, r.Stderr)
	}
}

// kubectl proxy rejects streams unless it is told otherwise.
func TestAProxyThatRefusesStreams(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	line := harness.AwaitFile + `kubectl proxy --port=0 $FLAGS >"$OUT" & pid=$!; trap 'kill $pid' EXIT; await Starting "$OUT"; kubectl nodeshell w1 --kubeconfig /dev/null --server "http://$(grep -o '127.0.0.1:[0-9]*' "$OUT")" -- hostname; code=$?; echo $code`
	for flags, want := range map[string]string{"": "125\n", "--reject-paths=^$": "w1\n0\n"} {
		r := c.Sh(t, line, harness.Env("FLAGS="+flags, "OUT="+filepath.Join(t.TempDir(), "out")))
		if r.Stdout != want || strings.Contains(r.Stderr, "--reject-paths") != (flags == "") {
			t.Errorf("%s: %q %s", flags, r.Stdout, r.Stderr)
		}
	}
	nothingLeft(t, c, "")
}

// Bytes that are no text stand in a field that names their encoding.
func TestOutputThatIsNoTextIsEncoded(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	for octal, want := range map[string][2]string{`\377\376\000x`: {"", "//4AeA=="}, `gr\303\274n`: {"grün", ""}} {
		r := run(t, c, "w1", "-o", "json", "--", "printf", octal)
		var doc struct {
			Items []struct{ Stdout, StdoutBase64 string }
		}
		if err := json.Unmarshal([]byte(r.Stdout), &doc); err != nil || len(doc.Items) != 1 || doc.Items[0].Stdout != want[0] || doc.Items[0].StdoutBase64 != want[1] {
			t.Errorf("%s: %v %+v\n%s", octal, err, doc, r.Stdout)
		}
	}
}

// An API server that is killed in the middle of a session: the first line is true, the delete is tried again until it works.
func TestAnAPIServerThatIsKilledDuringASession(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	out := filepath.Join(t.TempDir(), "out")
	line := harness.AwaitFile + `kubectl nodeshell w1 -n "$NS" -- sh -c 'echo up; sleep 765437' >"$OUT" 2>"$OUT.err" & pid=$!; await up "$OUT"; echo up >"$OUT.up"; wait $pid; echo $?; cat "$OUT.err" >&2`
	done := make(chan harness.Result, 1)
	go func() {
		done <- c.Run(t, 3*time.Minute, []harness.Option{harness.Env("NS="+ns, "OUT="+out)}, "bash", "-c", line)
	}()
	harness.Eventually(t, time.Minute, func() (string, bool) {
		return "the session has not begun", c.Sh(t, "test -s "+out+".up").Code == 0
	})
	heal := c.Fault(t, "stop-apiserver")
	time.Sleep(3 * time.Second)
	heal()
	r := <-done
	first, _, _ := strings.Cut(r.Stderr, "\n")
	if strings.TrimSpace(r.Stdout) != "125" || !strings.HasPrefix(first, "error: ") && !strings.Contains(first, "API server") {
		t.Errorf("code %q: %s", r.Stdout, r.Stderr)
	}
	t.Logf("%s", r.Stderr)
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		rest := c.Kubectl(t, "get", "jobs,pods", "-n", ns, "--no-headers", "--ignore-not-found")
		return rest.Stdout + rest.Stderr, rest.Code == 0 && strings.TrimSpace(rest.Stdout) == ""
	})
	processGone(t, c, "w1", "sleep 765437", time.Minute)
}
