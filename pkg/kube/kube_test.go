package kube_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

func connect(t *testing.T, kubeconfig string, args ...string) *kube.Cluster {
	t.Helper()
	flags := kube.NewFlags("test-agent", time.Now)
	if err := flags.FlagSet().Parse(append([]string{"--kubeconfig", kubeconfig}, args...)); err != nil {
		t.Fatal(err)
	}
	cluster, err := flags.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

func listNodes(t *testing.T, cluster *kube.Cluster) error {
	t.Helper()
	client, err := cluster.Typed()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	return err
}

func TestErrorsAreOneLineThatSaysWhatToDo(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	stranger := httptest.NewUnstartedServer(nil)
	stranger.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	refusing := testkit.NewServer(t)
	refusing.Refuse("/api/v1/nodes", http.StatusUnauthorized)
	forbidding := testkit.NewServer(t)
	forbidding.Refuse("/api/v1/nodes", http.StatusForbidden)

	tests := []struct{ name, address, want string }{
		{"nothing listens", closed.URL, "the API server at " + closed.URL + " refuses connections; check whether the API server is running and whether address and port are correct"},
		{"nothing answers", "http://" + silent.Addr().String(), "the API server at http://" + silent.Addr().String() + " did not respond in time"},
		{"no such host", "http://no-such-host.invalid:6443", `the API server at http://no-such-host.invalid:6443 cannot be resolved: no address for "no-such-host.invalid"`},
		{"unknown authority", stranger.URL, "the API server at " + stranger.URL + " presents a certificate that the certificate authority of the kubeconfig did not sign; check the server address and certificate-authority-data"},
		{"expired token", refusing.URL, "the API server rejects the credentials (401 Unauthorized); log in again, or renew the token or certificate in the kubeconfig"},
		{"forbidden", forbidding.URL, "not allowed: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := kube.Explain(listNodes(t, connect(t, testkit.Kubeconfig(t, tt.address, "token"))))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if again := kube.Explain(err); again.Error() != err.Error() {
				t.Errorf("explaining twice changes the text: %v", again)
			}
		})
	}
}

func TestNoConfigurationIsSaidSo(t *testing.T) {
	flags := kube.NewFlags("test-agent", time.Now)
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent"))
	t.Setenv("HOME", t.TempDir())
	_, err := flags.Cluster()
	if err == nil || err.Error() != "no cluster is configured: set KUBECONFIG, or pass --kubeconfig or --server" {
		t.Error(err)
	}
}

func TestABrokenKubeconfigIsOneLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte("a: [b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := kube.NewFlags("test-agent", time.Now)
	if err := flags.FlagSet().Parse([]string{"--kubeconfig", path}); err != nil {
		t.Fatal(err)
	}
	if _, err := flags.Cluster(); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}

func TestSourceOf(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	tests := []struct {
		name string
		err  error
		want source.State
		gap  string // holds this
	}{
		{"read", nil, source.OK, ""},
		{"forbidden", apierrors.NewForbidden(pods, "", errors.New("no")), source.Forbidden, "not checked: needs list pods"},
		{"not logged in", apierrors.NewUnauthorized("expired"), source.Forbidden, "log in again"},
		{"absent", apierrors.NewNotFound(pods, "x"), source.Absent, "pods not found"},
		{"aggregated API down", apierrors.NewServiceUnavailable("down"), source.Unreachable, "down"},
		{"slow", context.DeadlineExceeded, source.Unreachable, "did not respond in time"},
		{"unknown", errors.New("odd"), source.Unreachable, "odd"},
	}
	for _, tt := range tests {
		got := kube.SourceOf("pods", "list", "pods", tt.err)
		if got.State != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got.State, tt.want)
		}
		if !strings.Contains(got.Gap(), tt.gap) {
			t.Errorf("%s: %s", tt.name, got.Gap())
		}
	}
}

// The laptop is an hour behind; ages must not be.
func TestClockFollowsTheServer(t *testing.T) {
	server := testkit.NewServer(t)
	server.Answer("/api/v1/nodes", map[string]any{"kind": "NodeList", "apiVersion": "v1"})
	behind := func() time.Time { return time.Now().Add(-time.Hour) }
	flags := kube.NewFlags("test-agent", behind)
	if err := flags.FlagSet().Parse([]string{"--kubeconfig", server.Kubeconfig(t)}); err != nil {
		t.Fatal(err)
	}
	cluster, err := flags.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	if _, known := cluster.Clock.Offset(); known {
		t.Error("the clock claims to know before any answer")
	}
	if err := listNodes(t, cluster); err != nil {
		t.Fatal(err)
	}
	if off := time.Since(cluster.Clock.Now()).Abs(); off > 2*time.Second {
		t.Errorf("the clock is %s off", off)
	}
}

func TestNextCommandsRepeatTheConnectionAndNoSecret(t *testing.T) {
	kubeconfig := testkit.Kubeconfig(t, "http://127.0.0.1:1", "token")
	cluster := connect(t, kubeconfig, "--context", "test", "--token", "secret", "--as", "a b")
	want := []string{"--kubeconfig=" + kubeconfig, "--context=test", "--as=a b"}
	if d := cmp.Diff(want, cluster.Kubectl.Flags); d != "" {
		t.Error(d)
	}
	cluster = connect(t, kubeconfig, "--as=a", "--as-group=g,h", "--as-group=i", "--as-uid=7", "--tls-server-name=api", "--insecure-skip-tls-verify", "--request-timeout=5s", "--proxy-url=http://u:pw@proxy:3128")
	want = []string{"--kubeconfig=" + kubeconfig, "--as=a", "--as-uid=7", "--as-group=g,h", "--as-group=i", "--insecure-skip-tls-verify=true", "--tls-server-name=api"}
	if d := cmp.Diff(want, cluster.Kubectl.Flags); d != "" {
		t.Error(d)
	}
}

func TestRequestsCarryTheAgentAndAreNotThrottled(t *testing.T) {
	cluster := connect(t, testkit.Kubeconfig(t, "http://127.0.0.1:1", "token"))
	if cluster.Config.UserAgent != "test-agent" || cluster.Config.QPS != -1 {
		t.Errorf("got %q, %v", cluster.Config.UserAgent, cluster.Config.QPS)
	}
}

func TestContextsByNameAndPattern(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := `apiVersion: v1
kind: Config
current-context: prod-b
clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}, {name: b, cluster: {server: "http://127.0.0.1:2"}}]
contexts:
- {name: prod-b, context: {cluster: b, user: u, namespace: team}}
- {name: prod-a, context: {cluster: a, user: u}}
- {name: dev, context: {cluster: a, user: u}}
users: [{name: u, user: {}}]
`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args string
		want []string // context, host, namespace
		err  string
	}{
		{"", []string{" http://127.0.0.1:2 team"}, ""},
		{"--context prod-*", []string{"prod-a http://127.0.0.1:1 default", "prod-b http://127.0.0.1:2 team"}, ""},
		{"--context dev --context prod-b --context dev", []string{"dev http://127.0.0.1:1 default", "prod-b http://127.0.0.1:2 team"}, ""},
		{"--context stage", nil, `--context "stage": not found in the kubeconfig; existing contexts: dev, prod-a, prod-b`},
	}
	for _, tt := range tests {
		flags := kube.NewFlags("test-agent", time.Now)
		if err := flags.FlagSet().Parse(append(strings.Fields(tt.args), "--kubeconfig", kubeconfig)); err != nil {
			t.Fatal(err)
		}
		clusters, err := flags.Clusters()
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%s: got %v, want %s", tt.args, err, tt.err)
			}
			continue
		}
		var got []string
		for _, c := range clusters {
			got = append(got, c.Context+" "+c.Config.Host+" "+c.Namespace)
		}
		if d := cmp.Diff(tt.want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", tt.args, err, d)
		}
		if _, err := flags.Cluster(); (err != nil) != (len(tt.want) > 1) {
			t.Errorf("%s: one cluster: %v", tt.args, err)
		}
	}
}

func TestAWatchThatALoginPageAnswersSaysSo(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html></html>")
	}))
	t.Cleanup(page.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: page.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Pods("x").Watch(t.Context(), metav1.ListOptions{})
	if got := kube.Explain(err); got == nil || got.Error() != `the answer is "text/html", which no API server sends; is a proxy or a login page in between?` {
		t.Error(got)
	}
}

// An API server passes on what its own connection to a kubelet ran into: a sentence of Go, with an address that nobody asked.
func TestAKubeletThatTheAPIServerCannotReachIsNamed(t *testing.T) {
	for said, want := range map[string]string{
		`Get "https://10.64.0.12:10250/containerLogs/kube-system/coredns-x/coredns?tailLines=300": dial tcp 10.64.0.12:10250: connect: no route to host`: "the API server cannot reach the kubelet at 10.64.0.12:10250: no route to host",
		`Get "https://w1:10250/containerLogs/shop/a/b": remote error: tls: internal error`:                                                               "the API server cannot reach the kubelet at w1:10250: remote error: tls: internal error",
		"error dialing backend: dial tcp [fd00::2]:10250: connect: connection refused":                                                                   "the API server cannot reach the kubelet at [fd00::2]:10250: connection refused",
		"error dialing backend: EOF":           "error dialing backend: EOF",
		`Get "https://10.0.0.9:443/apis": EOF`: `Get "https://10.0.0.9:443/apis": EOF`,
	} {
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: 500, Message: said}}
		if got := kube.Explain(err).Error(); got != want {
			t.Errorf("%s\n  got %s\n want %s", said, got, want)
		}
	}
	// A request to forward a port that becomes no stream leaves the words alone.
	stream := errors.New("unable to upgrade streaming request: error dialing backend: dial tcp 10.64.0.12:10250: connect: connection refused")
	if got, want := kube.Explain(stream).Error(), "the API server cannot reach the kubelet at 10.64.0.12:10250: connection refused"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An API server that has started without etcd's quorum refuses as one that is overloaded does, and waiting does not help.
func TestARefusalForWantOfEtcdIsNotCalledOverload(t *testing.T) {
	for said, want := range map[string]string{
		"storage is (re)initializing":               "the API server has not read this from etcd (storage is (re)initializing); see why: kubectl get --raw '/readyz?verbose'",
		"storage is (re)initializing: etcd is down": "the API server has not read this from etcd (storage is (re)initializing: etcd is down); see why: kubectl get --raw '/readyz?verbose'",
		"too many requests, please try again later": "the API server is overloaded (429 Too Many Requests); try again later",
	} {
		if got := kube.Explain(apierrors.NewTooManyRequests(said, 1)).Error(); got != want {
			t.Errorf("%s\n  got %s\n want %s", said, got, want)
		}
	}
}
