// Package apiserver runs an etcd and a kube-apiserver of the embedded cluster, without controllers, kubelets or a network: what
// test/scale fills with fleets, and test/faults breaks.
package apiserver

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Token is the administrator's.
const Token = "administrator"

// Server is an etcd and an API server without controllers: what was written stays as it is.
type Server struct {
	Etcd, API string // addresses
	dir       string
	processes []*exec.Cmd
}

// Start runs etcd, one of the programs of the embedded cluster, which are in bin.
func Start(ctx context.Context, bin, dir string) (*Server, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, Etcd: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), API: fmt.Sprintf("https://127.0.0.1:%d", ports[2])}
	peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	key, tokens := filepath.Join(dir, "accounts.key"), filepath.Join(dir, "tokens.csv")
	if err := writeKey(key); err != nil {
		return nil, err
	}
	if err := os.WriteFile(tokens, []byte(Token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return nil, err
	}
	err = s.run(filepath.Join(bin, "etcd"), "--name=etcd", "--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--quota-backend-bytes=8589934592", "--listen-client-urls="+s.Etcd, "--advertise-client-urls="+s.Etcd,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=etcd="+peer)
	if err == nil {
		err = poll(ctx, func() error { return get(ctx, s.Etcd+"/health") })
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Serve starts the API server, once etcd holds the fleet: it then reads it into its memory in one go.
func (s *Server) Serve(ctx context.Context, bin string) error {
	_, port, err := net.SplitHostPort(s.API[len("https://"):])
	if err != nil {
		return err
	}
	key := filepath.Join(s.dir, "accounts.key")
	err = s.run(filepath.Join(bin, "kube-apiserver"), "--etcd-servers="+s.Etcd, "--bind-address=127.0.0.1", "--secure-port="+port,
		"--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none", "--cert-dir="+filepath.Join(s.dir, "pki"),
		"--token-auth-file="+filepath.Join(s.dir, "tokens.csv"), "--authorization-mode=AlwaysAllow",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key,
		"--service-account-signing-key-file="+key, "--service-cluster-ip-range=10.96.0.0/16")
	if err != nil {
		return err
	}
	return poll(ctx, func() error { return get(ctx, s.API+"/readyz") })
}

// Kubeconfig writes a kubeconfig for an address and gives its path. Contexts are further names for the same.
func (s *Server) Kubeconfig(name, address string, contexts ...string) (string, error) {
	path := filepath.Join(s.dir, name)
	text := fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %s}}]
contexts:
- {name: test, context: {cluster: test, user: admin}}
`, address, Token)
	for _, context := range contexts {
		text = fmt.Appendf(text, "- {name: %s, context: {cluster: test, user: admin}}\n", context)
	}
	return path, os.WriteFile(path, text, 0o600)
}

func (s *Server) run(program string, args ...string) error {
	log, err := os.Create(filepath.Join(s.dir, filepath.Base(program)+".log"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), "GOMEMLIMIT=10GiB") // 150,000 pods took 14 GB without it
	if err := command.Start(); err != nil {
		return err
	}
	s.processes = append(s.processes, command)
	return nil
}

// Stop ends the processes, the last first.
func (s *Server) Stop() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		_ = s.processes[i].Process.Kill() // it may have ended
		_ = s.processes[i].Wait()         // killed
	}
}

func writeKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return os.WriteFile(path, data, 0o600)
}

func freePorts(count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() //nolint:errcheck // nothing was sent; open until all differ
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Client trusts the API server, whose certificate is its own, and is the administrator.
var Client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}

// Request asks as the administrator, for protobuf.
func Request(ctx context.Context, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+Token)
	r.Header.Set("Accept", "application/vnd.kubernetes.protobuf")
	return Client.Do(r)
}

func get(ctx context.Context, url string) error {
	response, err := Request(ctx, url)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // only the status matters
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

func poll(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // a busy machine takes its time
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
