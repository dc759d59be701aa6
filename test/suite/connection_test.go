package suite

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks"
)

const canary = "canary-of-a-secret"

// connectionFlags gives each connection flag with the values it is given here. Two cannot be given together with the others:
// one authority and none, a proxy and a proxy with a password.
func connectionFlags(t *testing.T, s *testkit.Server) map[string][]string {
	t.Helper()
	dir := t.TempDir()
	secured := httptest.NewTLSServer(nil)
	t.Cleanup(secured.Close)
	key, err := x509.MarshalPKCS8PrivateKey(secured.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, kind string, data []byte) []string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{path}
	}
	certificate := secured.Certificate().Raw
	return map[string][]string{
		"kubeconfig": {s.Kubeconfig(t)}, "context": {"test"}, "cluster": {"test"}, "user": {"test"}, "namespace": {"shop"},
		"server": {"http://cluster.test:6443"}, "proxy-url": {s.URL},
		"as": {"jane doe"}, "as-uid": {"7"}, "as-group": {"ops", "dev"}, "as-user-extra": {"reason=on call", "ticket=7"},
		"certificate-authority": file("ca.crt", "CERTIFICATE", certificate), "insecure-skip-tls-verify": {"true"}, "tls-server-name": {"api.test"},
		"client-certificate": file("client.crt", "CERTIFICATE", certificate), "client-key": file("client.key", "PRIVATE KEY", key),
		"token": {canary}, "request-timeout": {"20s"}, "cache-dir": {dir}, "disable-compression": {"true"},
	}
}

// notCarried are the flags that a next command lacks on purpose.
var notCarried = map[string]string{
	"namespace": "each command has that of its object", "token": "a secret", "request-timeout": "chooses no cluster",
	"cache-dir": "chooses no cluster", "disable-compression": "chooses no cluster",
}

// Whoever pastes a next command asks the same cluster, the same way and as the same user: every connection flag that was
// given stands in each, in the text, in the JSON and in the errors of every plugin. A secret stands nowhere.
func TestEveryConnectionFlagReachesEveryNextCommand(t *testing.T) {
	s := broken(t)
	given := connectionFlags(t, s)
	kube.NewFlags("test", time.Now).FlagSet().VisitAll(func(f *pflag.Flag) {
		if given[f.Name] == nil {
			t.Errorf("--%s is a connection flag, and this test does not give it", f.Name)
		}
	})
	without := func(flags ...string) map[string][]string {
		rest := maps.Clone(given)
		for _, f := range flags {
			delete(rest, f)
		}
		return rest
	}
	// A password in the address of a proxy is a secret, too.
	secret := without("certificate-authority")
	secret["proxy-url"] = []string{strings.Replace(s.URL, "http://", "http://u:"+canary+"@", 1)}
	ways := map[string]map[string][]string{
		"an authority": without("insecure-skip-tls-verify"), "no authority": without("certificate-authority"), "a password": secret,
	}
	for _, plugin := range []struct {
		program string
		command func(*cli.Env) *cobra.Command
		calls   []string
	}{
		{"kubectl nodeinfo", nodeinfo.New, []string{"w1", "w1 -o json", "-o json"}},
		{"kubectl dns", dns.New, []string{"check", "check -o json", "status", "check --from api-1-x -o json"}},
		{"kubectl rollout-explain", rolloutexplain.New, []string{"deployment/api", "deployment/api -o json", "-o json"}},
		{"kubectl runbooks", runbooks.New, []string{"-A", "-o wide", "-o json"}},
		{"kubectl nodeshell", nodeshell.New, []string{"w1 -- true", "w1 -o json -- true", "w1 uname -a", "w1 ls /", "api-1-x", "capture api-1-x port 80", "capture api-1-x -- -nn port 80"}},
	} {
		for _, call := range plugin.calls {
			for way, flags := range ways {
				t.Run(strings.TrimPrefix(plugin.program, "kubectl ")+" "+call+"/"+way, func(t *testing.T) {
					env := testkit.NewEnv(plugin.program, time.Now())
					env.Run(t, plugin.command, slices.Concat(words(flags), strings.Fields(call))...)
					printed := env.Stdout.String() + env.Stderr.String()
					commands := commandsIn(env.Stdout.String(), env.Stderr.String())
					if len(commands) == 0 {
						t.Fatalf("no next command:\n%s", printed)
					}
					for _, command := range commands {
						if lacks := lacking(command, flags); len(lacks) > 0 {
							t.Errorf("%s\nlacks %q", command, lacks)
						}
					}
					if strings.Contains(printed, canary) {
						t.Errorf("a secret is printed:\n%s", printed)
					}
				})
			}
		}
	}
}

// words gives the flags as arguments, in a fixed order.
func words(flags map[string][]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		for _, value := range flags[name] {
			list = append(list, "--"+name+"="+value)
		}
	}
	return list
}

// lacking names the flags that a command does not carry before its "--".
func lacking(command string, flags map[string][]string) []string {
	before, _, _ := strings.Cut(command, " -- ")
	var list []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		for _, value := range flags[name] {
			if notCarried[name] == "" && !strings.Contains(value, canary) && !strings.Contains(before+" ", " "+finding.Quote("--"+name+"="+value)+" ") {
				list = append(list, name)
			}
		}
	}
	return list
}

// commandsIn gives the kubectl calls of a report, which is JSON or text, and those of an error.
func commandsIn(stdout, stderr string) []string {
	var list []string
	add := func(text string) {
		for line := range strings.Lines(text) {
			if _, command, ok := strings.Cut(" "+strings.TrimSpace(line), " kubectl "); ok && !strings.HasPrefix(strings.TrimSpace(line), "usage:") {
				list = append(list, "kubectl "+command)
			}
		}
	}
	add(stderr)
	var report any
	if json.Unmarshal([]byte(stdout), &report) != nil {
		add(stdout)
		return list
	}
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if command, ok := value["command"].(string); ok {
				add(command)
			}
			for _, v := range value {
				walk(v)
			}
		case []any:
			for _, v := range value {
				walk(v)
			}
		}
	}
	walk(report)
	return list
}

// broken plays an API server on which there is something to say for every plugin: a node that does not report, a rollout
// whose pod crashes on it, and a cluster DNS without a server.
func broken(t *testing.T) *testkit.Server {
	t.Helper()
	s := testkit.NewServer(t)
	old := metav1.NewTime(time.Now().Add(-time.Hour))
	meta := func(kind, version string) metav1.TypeMeta { return metav1.TypeMeta{Kind: kind, APIVersion: version} }
	node := corev1.Node{
		TypeMeta: meta("Node", "v1"), ObjectMeta: metav1.ObjectMeta{Name: "w1", UID: "n", CreationTimestamp: old},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", LastHeartbeatTime: old, LastTransitionTime: old}}},
	}
	s.Answer("/api/v1/nodes/w1", node)
	s.Answer("/api/v1/nodes", corev1.NodeList{TypeMeta: meta("NodeList", "v1"), Items: []corev1.Node{node}})
	yes, one := true, int32(1)
	labels := map[string]string{"app": "api"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Image: "api:1"}}}}
	deployment := appsv1.Deployment{
		TypeMeta: meta("Deployment", "apps/v1"), ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "shop", UID: "d", Generation: 1, CreationTimestamp: old},
		Spec:   appsv1.DeploymentSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, UnavailableReplicas: 1},
	}
	s.Answer("/apis/apps/v1/namespaces/shop/deployments/api", deployment)
	s.Answer("/apis/apps/v1/namespaces/shop/deployments", appsv1.DeploymentList{TypeMeta: meta("DeploymentList", "apps/v1"), Items: []appsv1.Deployment{deployment}})
	s.Answer("/apis/apps/v1/namespaces/shop/replicasets", appsv1.ReplicaSetList{TypeMeta: meta("ReplicaSetList", "apps/v1"), Items: []appsv1.ReplicaSet{{
		ObjectMeta: metav1.ObjectMeta{Name: "api-1", Namespace: "shop", UID: "r", CreationTimestamp: old, OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "api", UID: "d", Controller: &yes}}},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &one, Template: template},
	}}})
	pod := corev1.Pod{
		TypeMeta:   meta("Pod", "v1"),
		ObjectMeta: metav1.ObjectMeta{Name: "api-1-x", Namespace: "shop", UID: "p", Labels: labels, CreationTimestamp: old, OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "api-1", UID: "r", Controller: &yes}}},
		Spec:       template.Spec,
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "api", Image: "api:1", RestartCount: 9,
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 5m0s restarting failed container"}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", FinishedAt: old, StartedAt: old}},
		}}},
	}
	pod.Spec.NodeName, pod.Spec.HostNetwork, pod.Spec.DNSPolicy = "w1", true, corev1.DNSClusterFirst
	s.Answer("/api/v1/namespaces/shop/pods/api-1-x", pod)
	s.Fail("/api/v1/namespaces/shop/pods/port", metav1.Status{Code: 404, Reason: metav1.StatusReasonNotFound, Details: &metav1.StatusDetails{Name: "port", Kind: "pods"}})
	for _, path := range []string{"/api/v1/namespaces/shop/pods", "/api/v1/pods"} {
		s.Answer(path, corev1.PodList{TypeMeta: meta("PodList", "v1"), Items: []corev1.Pod{pod}})
	}
	s.Answer("/api/v1/services", corev1.ServiceList{TypeMeta: meta("ServiceList", "v1"), Items: []corev1.Service{{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-dns", Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"}},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.10", ClusterIPs: []string{"10.96.0.10"}, Selector: map[string]string{"k8s-app": "kube-dns"}, Ports: []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}}},
	}}})
	return s
}
