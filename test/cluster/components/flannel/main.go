// Command flannel is flanneld as far as a cluster needs it that has its ranges from Kubernetes and an overlay of VXLAN: flannel's own
// packages, put together as its main does (https://github.com/flannel-io/flannel/blob/v0.28.10/main.go), which cannot be built here: it
// links a backend that needs a C compiler (udp), and one whose client of a cloud is not to be had (tencent-vpc).
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
)

// Defaults of flanneld's flags, and what its pod mounts.
const (
	subnetFile   = "/run/flannel/subnet.env"
	configFile   = "/etc/kube-flannel/net-conf.json"
	annotations  = "flannel.alpha.coreos.com"
	resyncPeriod = 5 // seconds
)

func main() {
	masquerade := flag.Bool("ip-masq", false, "masquerade what leaves the overlay")
	kubernetes := flag.Bool("kube-subnet-mgr", false, "have ranges from Kubernetes, which is the only way here")
	port := flag.Int("healthz-port", 0, "port for /healthz and /readyz")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := fmt.Errorf("--kube-subnet-mgr is missing")
	if *kubernetes {
		err = run(ctx, *masquerade, *port)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "flanneld:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, masquerade bool, port int) error {
	manager, err := kube.NewSubnetManager(ctx, "", "", annotations, configFile, true)
	if err != nil {
		return fmt.Errorf("create SubnetManager: %w", err)
	}
	var ready atomic.Bool
	serveHealth(port, &ready)
	config, err := manager.GetNetworkConfig(ctx)
	if err != nil {
		return fmt.Errorf("read the network's configuration: %w", err)
	}
	var group sync.WaitGroup
	network, err := register(ctx, manager, config, &group)
	if err != nil {
		return err
	}
	rules := &iptables.IPTablesManager{}
	if err := rules.Init(ctx); err != nil {
		return fmt.Errorf("set rules: %w", err)
	}
	if masquerade {
		err := rules.SetupAndEnsureMasqRules(ctx, config.Network, ip.IP4Net{}, ip.IP4Net{}, config.IPv6Network, none6(), none6(),
			network.Lease(), resyncPeriod, false)
		if err != nil {
			return fmt.Errorf("set rules of masquerading: %w", err)
		}
	}
	rules.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, resyncPeriod)
	if err := manager.HandleSubnetFile(subnetFile, config, masquerade, network.Lease().Subnet, network.Lease().IPv6Subnet, network.MTU()); err != nil {
		return fmt.Errorf("write %q: %w", subnetFile, err)
	}
	ready.Store(true)
	group.Go(func() { network.Run(ctx) })
	err = manager.CompleteLease(ctx, network.Lease(), &group)
	group.Wait()
	return err
}

// none6 is no range: what an earlier run wrote is not looked at.
func none6() ip.IP6Net { return ip.IP6Net{IP: ip.FromIP16Bytes(make([]byte, net.IPv6len))} }

// register makes the node a member of the overlay, by the link of its default route.
func register(ctx context.Context, manager subnet.Manager, config *subnet.Config, group *sync.WaitGroup) (backend.Network, error) {
	families, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return nil, err
	}
	link, err := ipmatch.LookupExtIface("", "", "", families, ipmatch.PublicIPOpts{})
	if err != nil {
		return nil, fmt.Errorf("find the link to other nodes: %w", err)
	}
	overlay, err := backend.NewManager(ctx, manager, link).GetBackend(config.BackendType)
	if err != nil {
		return nil, err
	}
	return overlay.RegisterNetwork(ctx, group, config)
}

func serveHealth(port int, ready *atomic.Bool) {
	if port == 0 {
		return
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "flanneld is running") })
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "flanneld is not ready yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "flanneld is ready")
	})
	go func() {
		fmt.Fprintln(os.Stderr, "flanneld:", http.ListenAndServe(fmt.Sprintf(":%d", port), nil))
		os.Exit(1)
	}()
}
