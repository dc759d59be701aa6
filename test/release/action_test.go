package release

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const actionFile = "../../.github/actions/kubectl-runbooks/action.yml"

type action struct {
	Inputs map[string]struct {
		Default  string `json:"default"`
		Required bool   `json:"required"`
	} `json:"inputs"`
	Runs struct {
		Steps []struct {
			Name  string            `json:"name"`
			Shell string            `json:"shell"`
			Env   map[string]string `json:"env"`
			Run   string            `json:"run"`
		} `json:"steps"`
	} `json:"runs"`
}

// runner stands in for a runner of GitHub's: it runs the steps of the action as they are written, one after another.
type runner struct {
	t       *testing.T
	dir     string
	path    string
	inputs  map[string]string
	replace map[string]string // variables of steps
}

func (r *runner) file(name string) string {
	data, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	return string(data)
}

// run gives what the steps said, and the exit code of the first that failed.
func (r *runner) run() (said string, code int) {
	r.t.Helper()
	text, err := os.ReadFile(actionFile)
	if err != nil {
		r.t.Fatal(err)
	}
	var a action
	if err := yaml.UnmarshalStrict(text, &a); err != nil && len(a.Runs.Steps) != 2 {
		r.t.Fatal(err)
	}
	system := map[string]string{"linux": "Linux", "darwin": "macOS"}[runtime.GOOS]
	arch := map[string]string{"amd64": "X64", "arm64": "ARM64"}[runtime.GOARCH]
	for _, step := range a.Runs.Steps {
		if step.Name == "Install" && r.inputs["version"] == "" {
			continue
		}
		c := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run)
		path := strings.TrimSpace(r.file("path"))
		c.Env = []string{
			"PATH=" + strings.Trim(path+":"+r.path, ":"), "HOME=" + r.dir, "RUNNER_TEMP=" + r.dir, "RUNNER_OS=" + system, "RUNNER_ARCH=" + arch,
			"GITHUB_PATH=" + r.dir + "/path", "GITHUB_STEP_SUMMARY=" + r.dir + "/summary", "GITHUB_OUTPUT=" + r.dir + "/output",
		}
		for key, value := range step.Env {
			for name, input := range a.Inputs {
				given, ok := r.inputs[name]
				if !ok {
					given = input.Default
				}
				value = strings.ReplaceAll(value, "${{ inputs."+name+" }}", given)
			}
			if strings.Contains(value, "${{") {
				r.t.Errorf("%s: %s is not replaced", step.Name, value)
			}
			if other, ok := r.replace[key]; ok {
				value = other
			}
			c.Env = append(c.Env, key+"="+value)
		}
		out, err := c.CombinedOutput()
		said += string(out)
		if err != nil {
			return said, c.ProcessState.ExitCode()
		}
	}
	return said, 0
}

// kubectl makes a folder with a kubectl that hands over to the plugins on the PATH, as kubectl does.
func handingOver(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/usr/bin/env bash\nname=${1//-/_}; shift; exec \"kubectl-$name\" \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(script), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return dir + ":" + os.Getenv("PATH")
}

// The action installs a release whose checksum fits, writes the report to the summary, says how it ended, and fails by what was found.
func TestTheActionInstallsAndReports(t *testing.T) {
	b := built(t)
	version := manifests(t, b.manifests)["dns"].Spec.Version
	server := httptest.NewServer(http.StripPrefix("/"+version, http.FileServer(http.Dir(b.dist))))
	t.Cleanup(server.Close)
	broken, err := filepath.Abs("../../plugins/dns/testdata/pod-without-dns/input.json")
	if err != nil {
		t.Fatal(err)
	}
	path := handingOver(t)
	act := func(t *testing.T, command, failOn string) *runner {
		return &runner{
			t: t, dir: t.TempDir(), path: path, replace: map[string]string{"RELEASES": server.URL},
			inputs: map[string]string{"command": command, "version": version, "fail-on": failOn},
		}
	}
	t.Run("fails", func(t *testing.T) {
		r := act(t, "dns check --from-input "+broken, "critical")
		said, code := r.run()
		if code != 3 || !strings.Contains(r.file("output"), "verdict=Unhealthy\nexit-code=3\nreport="+r.dir) {
			t.Errorf("exit %d, %s\n%s", code, r.file("output"), said)
		}
		if summary := r.file("summary"); !strings.HasPrefix(summary, "**Unhealthy**") || !strings.Contains(summary, "DNSUnavailableFromPod") {
			t.Errorf("summary: %s", summary)
		}
	})
	t.Run("passes", func(t *testing.T) {
		r := act(t, "dns check --from-input "+broken, "never")
		if said, code := r.run(); code != 0 || !strings.Contains(r.file("output"), "exit-code=0\n") {
			t.Errorf("exit %d, %s\n%s", code, r.file("output"), said)
		}
	})
	t.Run("no shell reads the command", func(t *testing.T) {
		r := act(t, "dns check $(touch "+t.TempDir()+"/x) ; false", "never")
		if said, code := r.run(); code != 1 || !strings.Contains(r.file("output"), "verdict=\nexit-code=1\n") {
			t.Errorf("exit %d, %s\n%s", code, r.file("output"), said)
		}
	})
	t.Run("an archive that was changed", func(t *testing.T) {
		changed := httptest.NewServer(http.StripPrefix("/"+version, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if strings.HasSuffix(q.URL.Path, ".tar.gz") {
				_, _ = w.Write([]byte("something else"))
				return
			}
			http.ServeFile(w, q, filepath.Join(b.dist, "checksums.txt"))
		})))
		t.Cleanup(changed.Close)
		r := act(t, "dns check --from-input "+broken, "never")
		r.replace["RELEASES"] = changed.URL
		if said, code := r.run(); code == 0 || !strings.Contains(said, "FAILED") || r.file("path") != "" {
			t.Errorf("exit %d, %s", code, said)
		}
	})
}

// Each key of the k9s file calls a plugin with flags that it has.
func TestKeysOfK9sCallWhatThereIs(t *testing.T) {
	b := built(t)
	dir := t.TempDir()
	for _, name := range plugins(t) {
		m := manifests(t, b.manifests)[name]
		server := serve(t, b.dist, m)
		if _, err := Install(t.Context(), server.Client(), at(t, m, server), here, dir); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("../../docs/k9s-plugins.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// https://github.com/derailed/k9s/blob/v0.50.0/internal/config/json/schemas/plugins.json
	var file struct {
		Plugins map[string]struct {
			ShortCut    string   `json:"shortCut"`
			Description string   `json:"description"`
			Scopes      []string `json:"scopes"`
			Command     string   `json:"command"`
			Background  bool     `json:"background"`
			Confirm     bool     `json:"confirm"`
			Args        []string `json:"args"`
		} `json:"plugins"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	stub := t.TempDir()
	script := "#!/usr/bin/env bash\nname=${1//-/_}; shift; echo \"kubectl-$name $*\" >&2; exec \"kubectl-$name\" \"$@\" --help\n"
	if err := os.WriteFile(filepath.Join(stub, "kubectl"), []byte(script), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	keys := map[string]bool{}
	values := strings.NewReplacer("$RESOURCE_NAME", "deployments", "$NAMESPACE", "shop", "$NAME", "web", "$CONTEXT", "prod")
	for name, p := range file.Plugins {
		if keys[p.ShortCut] || p.ShortCut == "" || p.Description == "" || len(p.Scopes) == 0 {
			t.Errorf("%s: %+v", name, p)
		}
		keys[p.ShortCut] = true
		args := make([]string, 0, len(p.Args))
		for _, arg := range p.Args {
			if strings.HasPrefix(arg, "$") { // k9s replaces whole words and parts of words alike; only whole ones are safe in a shell
				arg = values.Replace(arg)
			}
			args = append(args, arg)
		}
		c := exec.Command("env", append([]string{p.Command}, args...)...) //nolint:gosec // what the file says; env looks it up in the PATH below
		c.Env = append(os.Environ(), "PATH="+stub+":"+dir+"/bin:"+os.Getenv("PATH"))
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Usage:") || !strings.Contains(string(out), "--context prod") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if len(file.Plugins) < 5 {
		t.Errorf("%d keys", len(file.Plugins))
	}
}
