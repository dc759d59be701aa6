package fault

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// controlPlaneFaults take a static pod's manifest away.
func controlPlaneFaults() []Fault {
	return []Fault{
		staticPod("stop-scheduler", "kube-scheduler", 10259, "new pods stay Pending, with no event that says why"),
		staticPod("stop-controller-manager", "kube-controller-manager", 10257,
			"nothing is reconciled: no ReplicaSets, no endpoints; dead nodes stay Ready for ever"),
		staticPod("stop-apiserver", "kube-apiserver", 6443, "connections to the API server are refused"),
		staticPod("stop-etcd", "etcd", 2379, "the API server answers with errors or not at all, and restarts"),
	}
}

const (
	manifestDir = "/etc/kubernetes/manifests"
	// removedDir is no directory that the kubelet watches.
	removedDir = "/etc/kubernetes/removed-manifests"
	// podPatience covers the kubelet's look at the directory, a graceful end of
	// 30 s, and the back-off of a pod that comes back.
	podPatience = 2 * time.Minute
	// usual is what a pod takes to come back.
	usual = 20 * time.Second
)

func staticPod(name, component string, port int, symptom string) Fault {
	there, away := manifestDir+"/"+component+".yaml", removedDir+"/"+component+".yaml"
	return Fault{
		Name: name, Summary: component + " does not run: its static pod's manifest is gone", Symptom: symptom, ControlPlane: true,
		Inject: func(ctx context.Context, t Target, _ Options) error {
			if err := t.move(ctx, there, away); err != nil {
				return err
			}
			return t.awaitPort(ctx, port, false)
		},
		Heal: func(ctx context.Context, t Target, _ Options) error {
			if err := t.move(ctx, away, there); err != nil {
				return err
			}
			if component == "etcd" && t.await(ctx, usual, "etcd is not back", t.listensOn(port)) != nil {
				if err := t.endAPIServer(ctx); err != nil {
					return err
				}
			}
			if err := t.awaitPort(ctx, port, true); err != nil {
				return err
			}
			return t.awaitAPI(ctx)
		},
	}
}

// endAPIServer ends the API server's process; the kubelet starts another one. Before the kubelet starts a static pod
// again it deletes the pod's mirror, and on an API server that has lost etcd this hangs, 34 s a try: now and then etcd is
// not started for minutes. One that is not there refuses at once.
func (t Target) endAPIServer(ctx context.Context) error {
	return signal("kube-apiserver", "KILL")(ctx, t, Options{})
}

// awaitAPI waits until the API server is ready again. It needs etcd as well, so
// while one of the two is still broken, on any node, there is nothing to wait for.
func (t Target) awaitAPI(ctx context.Context) error {
	for _, name := range t.Cluster.State.ControlPlaneNames() {
		n, err := t.Cluster.Node(name)
		if err != nil {
			return err
		}
		for _, other := range []string{"stop-apiserver", "stop-etcd"} {
			if _, active, err := (Target{Cluster: t.Cluster, Node: n}).record(other); err != nil || active {
				return err
			}
		}
	}
	return t.await(ctx, podPatience, "the API server is not ready", func() bool {
		_, err := t.Cluster.Kubectl(ctx, "", "get", "--raw", "/readyz", "--request-timeout=5s")
		return err == nil
	})
}

// awaitPort waits until something listens on a port of the node, or nothing.
func (t Target) awaitPort(ctx context.Context, port int, open bool) error {
	return t.await(ctx, podPatience, fmt.Sprintf("port %d: listening is not %t", port, open), func() bool {
		is, err := t.listens(port)
		return err == nil && is == open
	})
}

func (t Target) listensOn(port int) func() bool {
	return func() bool {
		is, err := t.listens(port)
		return err == nil && is
	}
}

func (t Target) await(ctx context.Context, patience time.Duration, what string, reached func() bool) error {
	deadline := time.Now().Add(patience)
	for !reached() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s after %s", what, patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// listens reads the node's table of sockets, which needs no program there.
func (t Target) listens(port int) (bool, error) {
	p, err := t.Cluster.NodeProcess(t.Node.Name)
	if err != nil {
		return false, err
	}
	for _, family := range []string{"tcp", "tcp6"} {
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.PID, family))
		if err != nil {
			continue // without IPv6 there is no such table
		}
		if listening(string(table), port) {
			return true, nil
		}
	}
	return false, nil
}

// listening looks for a socket in state 0A (LISTEN) with the port.
func listening(table string, port int) bool {
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 3 && fields[3] == "0A" && strings.HasSuffix(fields[1], suffix) {
			return true
		}
	}
	return false
}
