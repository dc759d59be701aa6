package cluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

type object = map[string]any

const (
	kubeadmAPI = "kubeadm.k8s.io/v1beta4"
	criSocket  = "unix://" + node.ContainerdSocket
	// kubeadm runs inside a node; its input lies where only that node sees it.
	initConfigPath = "/etc/kubernetes/kubeadm-init.yaml"
	joinConfigPath = "/etc/kubernetes/kubeadm-join.yaml"
	patchesDir     = "/etc/kubernetes/patches"
	// The API server writes down who asked it for what: the published roles are held against that.
	auditDir        = "/etc/kubernetes/audit"
	auditPolicyPath = auditDir + "/policy.yaml"
)

// auditPolicy leaves out the cluster's own parts, which are most of the requests.
var auditPolicy = object{
	"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
	"omitStages": []string{"RequestReceived"},
	"rules": []object{
		{"level": "None", "users": []string{"system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"}},
		{"level": "None", "userGroups": []string{"system:nodes", "system:serviceaccounts:kube-system", "system:unauthenticated"}},
		{"level": "Metadata"},
	},
}

// secrets let a node join.
type secrets struct {
	token string
	// certificateKey is 32 bytes in hex, with which the control plane's keys are encrypted on their way to its other nodes.
	certificateKey string
}

// oneThread is host.OneThread, for what runs in containers.
var oneThread = []object{{"name": "GOMAXPROCS", "value": host.OneThread}, {"name": "GOGC", "value": host.LateCollection}}

// initConfig is what `kubeadm init` is told.
func initConfig(spec Spec, plan netplan.Plan, s secrets, cgroupV1 bool) (string, error) {
	return documents(
		object{
			"apiVersion": kubeadmAPI, "kind": "InitConfiguration",
			"localAPIEndpoint": object{"advertiseAddress": plan.ControlPlane(), "bindPort": apiPort},
			"bootstrapTokens":  []object{{"token": s.token, "ttl": "24h0m0s"}},
			"nodeRegistration": registration("cp1", plan.NodeIPs(0)),
			"patches":          object{"directory": patchesDir},
			"certificateKey":   s.certificateKey,
		},
		object{
			"apiVersion": kubeadmAPI, "kind": "ClusterConfiguration",
			"kubernetesVersion":    spec.Version,
			"clusterName":          spec.Name,
			"controlPlaneEndpoint": endpoint(spec, plan),
			"networking":           networking(spec, plan),
			"dns":                  object{"imageTag": build.CoreDNSVersion},
			"controllerManager":    object{"extraEnvs": oneThread},
			"scheduler":            object{"extraEnvs": oneThread},
			"apiServer": object{
				"extraEnvs": oneThread,
				"extraArgs": []object{
					{"name": "audit-policy-file", "value": auditPolicyPath},
					{"name": "audit-log-path", "value": auditDir + "/requests.log"},
				},
				"extraVolumes": []object{{"name": "audit", "hostPath": auditDir, "mountPath": auditDir, "pathType": "Directory"}},
			},
			"etcd": object{"local": object{
				"imageTag":  build.Of(spec.Version).Etcd,
				"extraEnvs": oneThread,
				// Nothing here has to survive a power cut, and the sync of every
				// write is most of etcd's time on a slow disk.
				"extraArgs": []object{{"name": "unsafe-no-fsync", "value": "true"}},
			}},
		},
		kubeletConfig(spec, cgroupV1),
		object{
			"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
			"mode": spec.ProxyMode,
			// The table's size is the machine's own business; a namespace cannot set it.
			"conntrack": object{"maxPerCore": 0},
		},
	)
}

// networking is the cluster's ranges and its domain, where that is not Kubernetes' own.
func networking(spec Spec, plan netplan.Plan) object {
	config := object{"podSubnet": plan.PodRanges(), "serviceSubnet": plan.ServiceRanges()}
	if spec.ClusterDomain != "" {
		config["dnsDomain"] = spec.ClusterDomain
	}
	return config
}

// registration is how a node becomes one. A kubelet finds its IPv4 address by itself, and is told of others.
func registration(name, ips string) object {
	config := object{"name": name, "criSocket": criSocket}
	if strings.Contains(ips, ":") {
		config["kubeletExtraArgs"] = []object{{"name": "node-ip", "value": ips}}
	}
	return config
}

// kubeletConfig is what all kubelets have in common. Eviction thresholds stay
// upstream's, since every node has a disk of its own.
func kubeletConfig(spec Spec, cgroupV1 bool) object {
	config := object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"cgroupDriver": "cgroupfs",
		"failSwapOn":   false,
		// Upstream waits five minutes until it believes that a pressure is over,
		// which every test of a healed fault would have to wait for as well.
		"evictionPressureTransitionPeriod": "10s",
	}
	if cgroupV1 {
		config["failCgroupV1"] = false
	}
	if spec.Has(build.NodeCache) {
		config["clusterDNS"] = []string{nodeCacheIP}
	}
	return config
}

// kubeletPatch is what one kubelet has of its own: kubeadm keeps the rest in a
// ConfigMap for all of them.
func kubeletPatch(n node.Config) (string, error) {
	data, err := yaml.Marshal(object{"cgroupRoot": n.Cgroup()})
	return string(data), err
}

// joinConfig is what `kubeadm join` is told on a worker, or on another node of the control plane.
func joinConfig(n node.Config, controlPlane bool, endpoint string, s secrets, caHash string) (string, error) {
	config := object{
		"apiVersion": kubeadmAPI, "kind": "JoinConfiguration",
		"discovery": object{"bootstrapToken": object{
			"token": s.token, "apiServerEndpoint": endpoint, "caCertHashes": []string{caHash},
		}},
		"nodeRegistration": registration(n.Name, n.IPs),
		"patches":          object{"directory": patchesDir},
	}
	if controlPlane {
		config["controlPlane"] = object{
			"localAPIEndpoint": object{"advertiseAddress": n.IP, "bindPort": apiPort},
			"certificateKey":   s.certificateKey,
		}
	}
	return documents(config)
}

func documents(objects ...object) (string, error) {
	var parts []string
	for _, o := range objects {
		data, err := yaml.Marshal(o)
		if err != nil {
			return "", err
		}
		parts = append(parts, string(data))
	}
	return strings.Join(parts, "---\n"), nil
}

// newSecrets makes a bootstrap token and a key for certificates.
func newSecrets() secrets {
	random := make([]byte, 11+32)
	rand.Read(random) //nolint:errcheck // it never fails
	token := hex.EncodeToString(random[:11])
	return secrets{token: token[:6] + "." + token[6:22], certificateKey: hex.EncodeToString(random[11:])}
}

// hashCA is the form in which a joining node is told whom to trust.
func hashCA(certificate []byte) (string, error) {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return "", errors.New("the cluster's authority is no PEM file")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(parsed.RawSubjectPublicKeyInfo)), nil
}

// kubeadm runs kubeadm in a node and keeps what it said.
func (c *Cluster) kubeadm(ctx context.Context, name string, args ...string) error {
	out, err := c.inNode(ctx, name, "", append([]string{"kubeadm"}, args...)...)
	if err == nil {
		err = host.WriteFile(c.path("nodes", name, "log", "kubeadm.log"), []byte(out), 0o644)
	}
	return err
}

// patchKubelet lays out a node's own kubelet settings for kubeadm.
func (c *Cluster) patchKubelet(n node.Config) error {
	patch, err := kubeletPatch(n)
	if err != nil {
		return err
	}
	return c.WriteInNode(n.Name, filepath.Join(patchesDir, "kubeletconfiguration0+merge.yaml"), patch)
}

// writeAuditPolicy lays out what a node's API server is to write down.
func (c *Cluster) writeAuditPolicy(name string) error {
	policy, err := documents(auditPolicy)
	if err != nil {
		return err
	}
	return c.WriteInNode(name, auditPolicyPath, policy)
}

// initControlPlane turns cp1 into the control plane, all but its DNS.
func (c *Cluster) initControlPlane(ctx context.Context, s secrets) error {
	n, err := c.Node("cp1")
	if err != nil {
		return err
	}
	config, err := initConfig(c.State.Spec, c.State.Plan, s, n.CgroupV1)
	if err != nil {
		return err
	}
	if err := c.writeAuditPolicy("cp1"); err != nil {
		return err
	}
	if err := c.WriteInNode("cp1", initConfigPath, config); err != nil {
		return err
	}
	if err := c.patchKubelet(n); err != nil {
		return err
	}
	// The checks look for an init system, a clean machine and a reachable
	// registry, none of which is here. DNS follows when the workers are there,
	// or both its replicas would be put on the only node.
	arguments := []string{"init", "--config", initConfigPath, "--ignore-preflight-errors=all", "--skip-token-print", "--skip-phases=addon/coredns"}
	if c.State.ControlPlanes > 1 {
		arguments = append(arguments, "--upload-certs", "--skip-certificate-key-print")
	}
	if err := c.kubeadm(ctx, "cp1", arguments...); err != nil {
		return err
	}
	root, err := c.NodeRoot("cp1")
	if err != nil {
		return err
	}
	admin, err := os.ReadFile(filepath.Join(root, adminConfig))
	if err != nil {
		return err
	}
	admin, err = ownUser(admin)
	if err != nil {
		return err
	}
	return host.WriteFile(c.Kubeconfig(), admin, 0o600)
}

// ownUser names a kubeconfig's user after its context: kubeadm calls the user of every cluster kubernetes-admin, so that
// of several clusters in one KUBECONFIG all but the first refuse the credentials
// (https://github.com/kubernetes/kubeadm/issues/416).
func ownUser(kubeconfig []byte) ([]byte, error) {
	var config struct {
		APIVersion     string `json:"apiVersion"`
		Kind           string `json:"kind"`
		CurrentContext string `json:"current-context"`
		Clusters       any    `json:"clusters"`
		Users          []struct {
			Name string `json:"name"`
			User any    `json:"user"`
		} `json:"users"`
		Contexts []struct {
			Name    string            `json:"name"`
			Context map[string]string `json:"context"`
		} `json:"contexts"`
	}
	if err := yaml.Unmarshal(kubeconfig, &config); err != nil {
		return nil, err
	}
	if len(config.Users) != 1 || len(config.Contexts) != 1 {
		return nil, fmt.Errorf("kubeadm's kubeconfig has %d users and %d contexts, not one", len(config.Users), len(config.Contexts))
	}
	config.Users[0].Name = config.Contexts[0].Name
	config.Contexts[0].Context["user"] = config.Contexts[0].Name
	return yaml.Marshal(config)
}

// join makes a worker, or another node of the control plane, a member.
func (c *Cluster) join(ctx context.Context, name string, s secrets) error {
	root, err := c.NodeRoot("cp1")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(filepath.Join(root, "/etc/kubernetes/pki/ca.crt"))
	if err != nil {
		return err
	}
	hash, err := hashCA(authority)
	if err != nil {
		return err
	}
	n, err := c.Node(name)
	if err != nil {
		return err
	}
	controlPlane := c.State.IsControlPlane(name)
	config, err := joinConfig(n, controlPlane, endpoint(c.State.Spec, c.State.Plan), s, hash)
	if err != nil {
		return err
	}
	if controlPlane {
		if err := c.writeAuditPolicy(name); err != nil {
			return err
		}
	}
	if err := c.WriteInNode(name, joinConfigPath, config); err != nil {
		return err
	}
	if err := c.patchKubelet(n); err != nil {
		return err
	}
	return c.kubeadm(ctx, name, "join", "--config", joinConfigPath, "--ignore-preflight-errors=all")
}
