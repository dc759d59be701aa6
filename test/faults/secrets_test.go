package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/faults/broken"
)

// planter answers like the real API server, in JSON, with a secret in every place that it knows.
type planter struct {
	*proxy
	form   form
	number int
	warns  bool // which the log repeats

	mu   sync.Mutex
	kept map[string][]byte
}

func (p *planter) text(place string) string {
	for i := range places {
		if places[i].name == place {
			return p.form.with(mark(i, p.number))
		}
	}
	panic(place)
}

func (p *planter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", p.started.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	if p.warns {
		w.Header().Set("Set-Cookie", "session="+mark(0, p.number))
		w.Header().Set("Warning", fmt.Sprintf("299 - %q", strings.ReplaceAll(p.text("warning of the API server"), "\n", " ")))
	}
	switch name := broken.SourceOf(r); {
	case strings.Contains(name, "pods/log"):
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "starting\n%s\nended\n", p.text("log line"))
	case strings.HasPrefix(name, "connect "):
		broken.Refuse(500, "InternalError", strings.ReplaceAll(p.text("failure of a connection to a pod"), `\`, ``))(w, r, 1)
	case strings.Contains(name, "/proxy"):
		broken.Refuse(500, "InternalError", p.text("failure of a kubelet"))(w, r, 1)
	default:
		p.object(w, r)
	}
}

func (p *planter) object(w http.ResponseWriter, r *http.Request) {
	r.Header.Set("Accept", "application/json")
	a, err := p.Answer(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	key := r.URL.RequestURI()
	p.mu.Lock()
	defer p.mu.Unlock()
	body := p.kept[key]
	if body == nil {
		body = p.spoil(a.Body)
		p.kept[key] = body
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(body)
}

func (p *planter) spoil(body []byte) []byte {
	var o tree
	if json.Unmarshal(body, &o) != nil {
		return body
	}
	kind, _ := o["kind"].(string)
	kind, list := strings.CutSuffix(kind, "List")
	if list && kind == "ValidatingWebhookConfiguration" {
		add(o, "items", tree{"metadata": tree{"name": "hook"}, "webhooks": []any{tree{
			"name": "hook.test", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": []any{"v1"},
			"rules": []any{tree{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "resources": []any{"pods"}, "operations": []any{"CREATE"}}},
		}}})
	}
	for _, item := range each(o, "items") {
		planted(kind, item, p.form, p.number)
	}
	if !list {
		planted(kind, o, p.form, p.number)
	}
	if body, err := json.Marshal(o); err == nil {
		return body
	}
	return body
}

// reading is a command with the formats that it has.
type reading struct {
	command
	formats []string
	saves   bool
}

func readings() []reading {
	all := []string{"", "wide", "json", "yaml", "markdown", "junit", "prometheus"}
	var out []reading
	for _, args := range []string{"", "w1", "w3 --kubelet"} {
		out = append(out, reading{command{"kubectl nodeinfo", nodeinfo.New, args, cli.ExitError}, append(all, "name"), true})
	}
	out = append(out,
		reading{command{"kubectl nodeinfo", nodeinfo.New, "--drain w1", cli.ExitError}, []string{"", "json", "yaml"}, true},
		reading{command{"kubectl nodeinfo", nodeinfo.New, "--paths --kubelet", cli.ExitError}, []string{"", "json", "yaml", "markdown", "junit", "prometheus"}, true})
	for _, args := range []string{"status", "check", "verify -A", "pod web-5d4f-0", "explain web --from web-5d4f-0", "resolve web.default", "config", "upstream", "top", "logs", "names service/web"} {
		out = append(out, reading{command{"kubectl dns", dns.New, args, cli.ExitError}, all, true})
	}
	for _, args := range []string{"deployment/broken", "deployment/web", "deployment/broken --diff", "deployment/web --history", "-A"} {
		out = append(out, reading{command{"kubectl rollout-explain", rolloutexplain.New, args, cli.ExitError}, append(all, "name"), true})
	}
	return append(out,
		reading{command{"kubectl nodeshell", nodeshell.New, "w1 --dry-run", 125}, []string{"", "json", "yaml"}, false},
		reading{command{"kubectl nodeshell", nodeshell.New, "cleanup", 125}, []string{""}, false})
}

var marked = regexp.MustCompile(`(?i)` + markStart + `([a-j])([a-j])([a-j])([a-j])`)

// leaked names what a text gives away.
func leaked(text string) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range marked.FindAllStringSubmatchIndex(text, -1) {
		digits := strings.ToLower(text[m[2]:m[9]])
		if seen[digits] {
			continue
		}
		seen[digits] = true
		number := func(s string) int { return int(s[0]-'a')*10 + int(s[1]-'a') }
		where := text[max(0, m[0]-60):min(len(text), m[1]+20)]
		out = append(out, fmt.Sprintf("%s, as %s: %q", places[number(digits[:2])].name, forms[number(digits[2:])].name, where))
	}
	return out
}

// Every form is looked for in what every command prints and saves: in one of its formats, another for each form. With SECRETS=all
// in the environment, in all.
func TestNoPlantedSecretIsShown(t *testing.T) {
	p := newProxy(realServer(t))
	t.Run("printed and saved", func(t *testing.T) {
		for number, f := range forms {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				kubeconfig := testkit.Kubeconfig(t, plantedServer(t, &planter{proxy: p, form: f, number: number}), "administrator")
				hidden := 0
				for _, r := range readings() {
					for i, format := range r.formats {
						if os.Getenv("SECRETS") == "all" || (i+number)%len(r.formats) == 0 {
							hidden += r.shown(t, format, "--kubeconfig", kubeconfig)
						}
					}
				}
				if hidden < 200 {
					t.Errorf("only %d secrets were met", hidden)
				}
			})
		}
	})
	t.Run("logged", func(t *testing.T) { logsNothing(t, p) })
}

// A dump may hold what was never to be read: Secrets, and what pulls images.
func TestNoSecretOfADumpIsShown(t *testing.T) {
	for number, f := range forms {
		secret := tree{"apiVersion": "v1", "kind": "Secret", "metadata": tree{"name": "shop", "namespace": "default"}, "type": "kubernetes.io/dockerconfigjson"}
		secret["data"] = tree{"password": mark(0, number), "text": f.with(mark(1, number))}
		secret["stringData"] = secret["data"]
		pod := tree{"metadata": tree{"labels": tree{"app": "web"}}, "spec": tree{
			"imagePullSecrets": []any{tree{"name": "shop"}}, "containers": []any{tree{"name": "web", "image": "web:1"}},
		}}
		deployment := tree{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": tree{"name": "web", "namespace": "default"}, "spec": tree{
			"selector": tree{"matchLabels": tree{"app": "web"}}, "template": pod,
		}}
		planted("Deployment", deployment, f, number)
		data, err := json.Marshal(tree{"apiVersion": "v1", "kind": "List", "items": []any{secret, deployment}})
		file := filepath.Join(t.TempDir(), "dump.json")
		if err == nil {
			err = os.WriteFile(file, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"", "wide", "json", "yaml", "markdown", "junit", "prometheus"} {
			r := reading{command{"kubectl rollout-explain", rolloutexplain.New, "deployment/web --diff", cli.ExitError}, nil, true}
			r.shown(t, format, "-f", file)
		}
	}
}

// A login program is given its secrets by its environment and its arguments. What it writes itself goes to the terminal.
func TestNoSecretOfAKubeconfigIsShown(t *testing.T) {
	m := mark(0, 0)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1,
command: sh, args: ["-c", "echo login failed >&2; exit 1", "sh", "--password", ` + m + `], interactiveMode: Never, env: [{name: LOGIN_SECRET, value: ` + m + `}]}}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range loggedCommands {
		out := playing(t, c.plugin, c.args, file, 9)
		if !strings.Contains(out, "login failed") {
			t.Errorf("%s: the login program is not heard: %s", c.plugin, out)
		}
		for _, leak := range leaked(out) {
			t.Errorf("%s: %s", c.plugin, leak)
		}
	}
}

func plantedServer(t *testing.T, p *planter) string {
	p.kept = map[string][]byte{}
	server := httptest.NewServer(p)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// The log is the process's, so that this test binary plays the plugins.
func TestMain(m *testing.M) {
	plugins := map[string]func(*cli.Env) *cobra.Command{
		"nodeinfo": nodeinfo.New, "nodeshell": nodeshell.New, "dns": dns.New, "rollout-explain": rolloutexplain.New,
	}
	if plugin := plugins[os.Getenv("FAULTS_PLAY")]; plugin != nil {
		os.Exit(cli.Main(plugin))
	}
	os.Exit(m.Run())
}

// loggedCommands are run at each level of -v, each of which logs other things, under each form.
var loggedCommands = []struct{ plugin, args string }{
	{"nodeinfo", "w1 --kubelet"}, {"dns", "status"}, {"rollout-explain", "deployment/broken"}, {"rollout-explain", "-A"}, {"nodeshell", "cleanup"},
}

func logsNothing(t *testing.T, p *proxy) {
	for number, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			address := plantedServer(t, &planter{proxy: p, form: f, number: number, warns: true})
			token := mark(0, number)
			kubeconfig := testkit.Kubeconfig(t, strings.Replace(address, "://", "://admin:"+token+"7@", 1), token)
			for i, c := range loggedCommands {
				level := (number + 2*i) % 10
				out := playing(t, c.plugin, c.args, kubeconfig, level)
				if level > 7 && !strings.Contains(out, "not logged") {
					t.Errorf("%s -v=%d logs no body: %.2000s", c.plugin, level, out)
				}
				for _, leak := range leaked(out) {
					t.Errorf("%s %s -v=%d: %s", c.plugin, c.args, level, leak)
				}
			}
		})
	}
}

// shown runs a command, requires that nothing is given away by what it prints and saves, and counts what is hidden.
func (r reading) shown(t *testing.T, format string, from ...string) (hidden int) {
	t.Helper()
	args := slices.Concat(from, strings.Fields(r.args))
	if format != "" {
		args = append(args, "-o", format)
	}
	saved := filepath.Join(t.TempDir(), "saved")
	if r.saves {
		args = append(args, "--save-input", saved)
	}
	env := testkit.NewEnv(r.program, time.Now())
	env.Now = time.Now
	if code := env.Run(t, r.plugin, args...); code != 0 {
		t.Errorf("%s %s -o %s: exit %d: %s", r.program, r.args, format, code, env.Stderr.String())
	}
	data, err := os.ReadFile(saved)
	if r.saves && err != nil {
		t.Error(err)
	}
	for where, text := range map[string]string{"standard output": env.Stdout.String(), "standard error": env.Stderr.String(), "--save-input": string(data)} {
		hidden += strings.Count(text, mask.Hidden) + strings.Count(text, "masked-")
		for _, leak := range leaked(text) {
			t.Errorf("%s %s -o %s, %s: %s", r.program, r.args, format, where, leak)
		}
	}
	return hidden
}

// playing runs a plugin in a process of its own and gives all that it writes.
func playing(t *testing.T, plugin, args, kubeconfig string, level int) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], append(strings.Fields(args), "--kubeconfig", kubeconfig, fmt.Sprintf("-v=%d", level))...)
	// With the race detector a program sleeps for a second at its exit, else.
	command.Env = append(os.Environ(), "FAULTS_PLAY="+plugin, "GORACE=atexit_sleep_ms=0")
	out, err := command.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended { //nolint:errorlint // as os/exec gives it
		t.Fatal(err)
	}
	return string(out)
}
