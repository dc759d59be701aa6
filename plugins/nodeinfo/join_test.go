package nodeinfo

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

func TestJoinTakesNothingThatItDoesNotHeed(t *testing.T) {
	for args, want := range map[string]string{
		"--join --drain w1":               "--join cannot be combined with --drain\n",
		"--join --remove w1":              "--join cannot be combined with --remove\n",
		"--join --paths":                  "--join cannot be combined with --paths\n",
		"--join -l a=b":                   "--join cannot be combined with -l\n",
		"--join -w":                       "--join cannot be combined with -w\n",
		"--join --kubelet":                "--join cannot be combined with --kubelet\n",
		"--join -o wide":                  "--join cannot be combined with -o wide\n",
		"--join -o name":                  "--join cannot be combined with -o name\n",
		"--join w1 --section=pods":        "--join cannot be combined with --section\n",
		"--join w1 --thresholds f":        "--join cannot be combined with --thresholds\n",
		"--join w1 --wait-for=healthy":    "--wait-for cannot be combined with -w, --drain, --remove, --paths, --join,",
		"--join pod/w1":                   "",
		"--join --save-input=x -f DUMP w": "-f cannot be combined with --save-input\n",
	} {
		if _, code, stderr := parse(t, strings.Fields(args)...); code != cli.ExitError || !strings.Contains(stderr, want) ||
			strings.Count(strings.ReplaceAll(stderr, "See 'kubectl nodeinfo --help'.\n", ""), "\n") != 1 {
			t.Errorf("%s: exit %d: %s", args, code, stderr)
		}
	}
	if o, code, stderr := parse(t, "--join", "node/w1", "w2", "-o", "markdown"); code != 0 || !o.Join || len(o.Names) != 2 {
		t.Errorf("%+v, exit %d: %s", o, code, stderr)
	}
}

// joinServer is a cluster of the nodes good and bad, of which what tells how far they have come can be read.
func joinServer(t *testing.T) *testkit.Server {
	t.Helper()
	s := server(t)
	s.Answer("/api/v1/pods", corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}})
	s.Answer("/apis/apps/v1/daemonsets", map[string]any{"kind": "DaemonSetList", "apiVersion": "apps/v1"})
	s.Answer("/apis/certificates.k8s.io/v1/certificatesigningrequests", map[string]any{"kind": "CertificateSigningRequestList", "apiVersion": "certificates.k8s.io/v1"})
	return s
}

// What is missing is told of a name that no machine has, too, and the exit code says that there is no such node.
func TestExitCodesOfAJoin(t *testing.T) {
	s := joinServer(t)
	for args, want := range map[string]int{
		"": 0, "good": 0, "bad": 0, "bad --fail-on=critical": cli.ExitThreshold, "good --fail-on=warning": 0, "good nope": cli.ExitError,
		"nope": cli.ExitError, "good --require-complete": cli.ExitIncomplete, "--require-complete -o markdown": cli.ExitIncomplete, "bad -o junit": 0,
		"bad -o prometheus": 0, "bad -o json": 0, "-o yaml": 0, "bad -o custom-columns=V:.verdict": 0,
	} {
		stdout, stderr, code := runOn(t, s, append([]string{"--join"}, strings.Fields(args)...)...)
		if code != want || stdout == "" {
			t.Errorf("%q: exit %d, want %d: %s%s", args, code, want, stdout, stderr)
		}
	}
	stdout, stderr, code := runOn(t, s, "--join", "nope")
	if code != cli.ExitError || stderr != "error: node \"nope\" not found\n" ||
		!strings.HasPrefix(stdout, "Incomplete: node/nope: there is no Node nope, and no machine of that name has requested a client certificate\n") ||
		!strings.Contains(stdout, "kubeadm token create --print-join-command") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	s.Refuse("/apis/certificates.k8s.io/v1/certificatesigningrequests", http.StatusForbidden)
	stdout, _, code = runOn(t, s, "--join", "nope")
	if code != cli.ExitError || !strings.HasPrefix(stdout, "Unknown: node/nope: ") ||
		!strings.Contains(stdout, "certificate requests: needs list certificatesigningrequests.certificates.k8s.io") {
		t.Errorf("exit %d: %s", code, stdout)
	}
	s.Refuse("/api/v1/nodes", http.StatusForbidden)
	if stdout, stderr, code := runOn(t, s, "--join"); code != cli.ExitError || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

func TestASavedJoinIsReportedWithoutACluster(t *testing.T) {
	s := joinServer(t)
	file := filepath.Join(t.TempDir(), "input.json")
	live, _, _ := runOn(t, s, "--join", "bad", "--save-input", file)
	asked := len(s.Requests())
	again, stderr, code := runOn(t, s, "--join", "bad", "--from-input", file)
	if strip := regexp.MustCompile(` --kubeconfig=\S+`).ReplaceAllString(live, ""); code != 0 || len(s.Requests()) != asked || strip != again {
		t.Errorf("exit %d: %s\nlive %s\nagain %s", code, stderr, live, again)
	}
	for args, want := range map[string]string{
		"bad":          "was saved with --join: pass --join",
		"--paths bad":  "not saved with --paths",
		"--join good":  "saved for other nodes: bad",
		"--drain good": "not saved with --drain",
	} {
		if _, stderr, code := runOn(t, s, append(strings.Fields(args), "--from-input", file)...); code != cli.ExitError || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", args, code, stderr)
		}
	}
}

func TestADumpTellsHowFarANodeHasCome(t *testing.T) {
	for args, want := range map[string]string{
		"-f DUMP --join w2":            "Incomplete: node/w2: ",
		"-f DUMP --join":               "Incomplete: node/w2: ",
		"-f DUMP --join w1":            "Unknown: node/w1: ",
		"-f DUMP --join w2 -o json":    "{",
		"-f DUMP --join -o prometheus": "#",
	} {
		out, stderr, code := runDump(t, dumped, args)
		if code != 0 || !strings.HasPrefix(out, want) {
			t.Errorf("%s: exit %d: %s%s", args, code, stderr, out)
		}
	}
	out, stderr, code := runDump(t, dumped, "-f DUMP --join w7")
	if code != cli.ExitError || !strings.HasPrefix(out, "Unknown: node/w7: ") || !strings.HasSuffix(stderr, "error: node \"w7\" not found\n") {
		t.Errorf("exit %d: %s%s", code, stderr, out)
	}
}
