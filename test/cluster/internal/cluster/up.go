package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Up makes a cluster that is as asked for, or finds it running. What is there
// and is not as asked for, or not whole, is replaced.
func Up(ctx context.Context, root host.Root, spec Spec, bin build.Binaries, patience time.Duration, report func(string, ...any)) (*Cluster, error) {
	c, err := Open(root, spec.Name, report)
	if err != nil && !errors.Is(err, ErrAbsent) {
		return nil, err
	}
	release, err := c.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	// Another command may have changed it while this one waited.
	if c, err = Open(root, spec.Name, report); err == nil {
		if why := c.unlike(ctx, spec); why == "" {
			return c, nil
		} else if c.State.Ready {
			report("replacing cluster %q: %s", spec.Name, why)
		}
		if err := c.remove(ctx); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, ErrAbsent) {
		return nil, err
	}
	c.State = State{Spec: spec, Bin: bin.Dir, WorkerBin: bin.Workers, Created: time.Now().UTC().Truncate(time.Second)}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if spec.Mode == ModePlain {
		err = c.makePlain(ctx, bin)
	} else {
		err = c.makeNodes(ctx, bin)
	}
	if err != nil {
		return nil, err
	}
	c.State.Ready = true
	return c, c.save()
}

// unlike says why a cluster cannot stand for the one asked for; empty if it can.
func (c *Cluster) unlike(ctx context.Context, spec Spec) string {
	switch {
	case !c.State.Ready:
		return "it was never finished"
	case c.State.Spec != spec:
		return fmt.Sprintf("it is %+v", c.State.Spec)
	}
	if err := c.checkHealth(ctx, 20*time.Second); err != nil {
		return err.Error()
	}
	return ""
}

// makeNodes builds a cluster of real nodes.
func (c *Cluster) makeNodes(ctx context.Context, bin build.Binaries) error {
	if err := host.AllowInotify(); err != nil {
		return fmt.Errorf("raise the limit of inotify instances: %w", err)
	}
	if err := c.choosePlan(ctx); err != nil {
		return err
	}
	if err := c.makeBridge(ctx); err != nil {
		return err
	}
	if err := c.startUpstreamDNS(); err != nil {
		return err
	}
	if err := c.startBalancer(); err != nil {
		return err
	}
	sets, err := c.packAll(ctx, bin)
	if err != nil {
		return err
	}
	c.Report("starting %d nodes", len(c.State.NodeNames()))
	// The others get ready while the control plane comes up; they wait for it
	// before they join.
	first, tests := make(chan struct{}), make(chan error, 1)
	names, secrets := c.State.NodeNames(), newSecrets()
	var etcd sync.Mutex
	err = inParallel(names, func(name string) error {
		if name == "cp1" {
			defer close(first)
			return c.bootControlPlane(ctx, sets, secrets)
		}
		set := sets.worker
		if c.State.IsControlPlane(name) {
			set = sets.controlPlane
		}
		if err := c.prepareNode(ctx, name, slices.Concat(sets.parts, []string{sets.common, set})...); err != nil {
			return err
		}
		select {
		case <-first:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !host.Exists(c.Kubeconfig()) {
			return nil // the control plane's own error tells why
		}
		if c.State.IsControlPlane(name) {
			// etcd takes one new member at a time.
			etcd.Lock()
			defer etcd.Unlock()
		}
		return c.join(ctx, name, secrets)
	})
	if err != nil {
		return err
	}
	c.Report("nodes joined")
	// The test images are nobody's condition for readiness.
	go func() {
		tests <- inParallel(names, func(name string) error { return c.LoadImages(ctx, name, sets.test) })
	}()
	if err := c.networkPods(ctx); err != nil {
		return err
	}
	if err := c.installAddons(ctx); err != nil {
		return err
	}
	if err := c.installParts(ctx); err != nil {
		return err
	}
	if err := <-tests; err != nil {
		return err
	}
	c.Report("images loaded")
	return c.awaitReady(ctx)
}

// imageSets is where the image archives are.
type imageSets struct {
	controlPlane, worker, common, test string
	parts                              []string
}

func (c *Cluster) packAll(ctx context.Context, bin build.Binaries) (imageSets, error) {
	controlPlane, worker, common, test, err := archives(bin, build.Of(c.State.Version))
	if err != nil {
		return imageSets{}, err
	}
	var sets imageSets
	for _, set := range []struct {
		archive archive
		path    *string
	}{{controlPlane, &sets.controlPlane}, {worker, &sets.worker}, {common, &sets.common}, {test, &sets.test}} {
		if *set.path, err = c.pack(ctx, set.archive); err != nil {
			return imageSets{}, err
		}
	}
	sets.parts, err = c.packParts(ctx, bin)
	return sets, err
}

// startNode makes a node whose runtime answers.
func (c *Cluster) startNode(ctx context.Context, name string) error {
	n, err := c.Node(name)
	if err != nil {
		return err
	}
	if err := n.Save(); err != nil {
		return err
	}
	if err := n.CreateDisk(); err != nil {
		return err
	}
	process, err := host.Spawn{
		Args: []string{NodeInitCommand, n.ConfigPath()}, Log: n.LogPath("init"), Record: n.RecordPath(),
		Clone:   host.NodeNamespaces,
		Prepare: func(p host.Process) error { return c.connect(ctx, n, p) },
	}.Start()
	if err != nil {
		return err
	}
	socket := fmt.Sprintf("/proc/%d/root%s", process.PID, socketPath)
	return poll(ctx, 50*time.Millisecond, func() error {
		if !process.Alive() {
			return hopeless{fmt.Errorf("node %q has died%s", name, logTail(n.LogPath("init")))}
		}
		_, err := host.Run(ctx, "", c.Bin("ctr"), "--address", socket, "--connect-timeout", "1s", "version")
		return err
	})
}

// prepareNode starts a node and loads what its own pods need.
func (c *Cluster) prepareNode(ctx context.Context, name string, archives ...string) error {
	if err := c.startNode(ctx, name); err != nil {
		return err
	}
	return c.LoadImages(ctx, name, archives...)
}

func (c *Cluster) bootControlPlane(ctx context.Context, sets imageSets, s secrets) error {
	if err := c.prepareNode(ctx, "cp1", slices.Concat(sets.parts, []string{sets.common, sets.controlPlane})...); err != nil {
		return err
	}
	c.Report("control plane: images loaded")
	if err := c.initControlPlane(ctx, s); err != nil {
		return err
	}
	c.Report("control plane: runs")
	return nil
}

// networkPods gives every node its pod network as soon as the cluster has
// assigned the ranges.
func (c *Cluster) networkPods(ctx context.Context) error {
	var cidrs map[string][]string
	err := poll(ctx, 200*time.Millisecond, func() (err error) {
		cidrs, err = c.podCIDRs(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if c.State.Has(build.Flannel) {
		return nil // its pods do that
	}
	for name, ranges := range cidrs {
		if err := c.WriteInNode(name, ownConflist, conflist(ranges)); err != nil {
			return err
		}
	}
	return c.routePods(ctx, cidrs)
}

// inParallel does the same for several names and joins what went wrong.
func inParallel(names []string, do func(name string) error) error {
	results := make(chan error, len(names))
	for _, name := range names {
		go func() { results <- do(name) }()
	}
	var fails []error
	for range names {
		fails = append(fails, <-results)
	}
	return errors.Join(fails...)
}

// remove takes down whatever there is of a cluster. The caller holds the lock.
func (c *Cluster) remove(ctx context.Context) error {
	if err := c.stopHelpers(); err != nil {
		return err
	}
	if err := c.killNodes(); err != nil {
		return err
	}
	if err := c.removeProcesses(); err != nil {
		return err
	}
	if host.CanMakeNodes() {
		if err := c.removeLinks(ctx); err != nil {
			return err
		}
	}
	return os.RemoveAll(c.Dir())
}
