// Command node-cache stands in for NodeLocal DNSCache, whose module is not to be had: CoreDNS, which that links as well, with what it
// does around it (https://github.com/kubernetes/dns/tree/master/cmd/node-cache): a link of its own has the addresses for as long
// as the program runs, and the Corefile gets those of the servers behind it. It sets no rules of iptables, as -setupiptables=false does.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/rewrite"
	_ "github.com/coredns/coredns/plugin/template"
	"github.com/vishvananda/netlink"
)

const (
	linkName = "nodelocaldns"
	template = "/etc/coredns/Corefile.base"
)

func main() {
	addresses := flag.String("localip", "", "addresses to answer at, separated by commas")
	upstream := flag.String("upstreamsvc", "kube-dns", "Service of the servers behind the cache")
	flag.Parse() // with CoreDNS's own flags, of which -conf is one
	err := addLink(strings.Split(*addresses, ","))
	if err == nil {
		err = writeCorefile(flag.Lookup("conf").Value.String(), *upstream)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "node-cache:", err)
		os.Exit(1)
	}
	caddy.OnProcessExit = append(caddy.OnProcessExit, func() {
		if err := netlink.LinkDel(&netlink.Dummy{LinkAttrs: name()}); err != nil {
			fmt.Fprintln(os.Stderr, "node-cache:", err)
		}
	})
	dnsserver.Directives = []string{
		"reload", "bind", "health", "prometheus", "errors", "log", "rewrite", "cache", "template", "hosts", "loop", "forward",
	}
	coremain.Run()
}

func name() netlink.LinkAttrs { return netlink.LinkAttrs{Name: linkName} }

// addLink makes the link, or finds that of a process that was killed. It stays down: its addresses are the node's all the same. A kernel
// without dummy links (CONFIG_DUMMY) gets a bridge that has no ports.
func addLink(addresses []string) error {
	err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: name()})
	if errors.Is(err, syscall.EOPNOTSUPP) {
		err = netlink.LinkAdd(&netlink.Bridge{LinkAttrs: name()})
	}
	if err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("add link %q: %w", linkName, err)
	}
	link, err := netlink.LinkByName(linkName)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		ip := net.ParseIP(address)
		if ip == nil {
			return fmt.Errorf("-localip %q is no address", address)
		}
		if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: netlink.NewIPNet(ip)}); err != nil {
			return fmt.Errorf("add address %q: %w", address, err)
		}
	}
	return nil
}

// writeCorefile fills in what is known here alone: the Service's address, which every container has in its environment.
func writeCorefile(path, upstream string) error {
	base, err := os.ReadFile(template)
	if err != nil {
		return err
	}
	variable := strings.ToUpper(strings.ReplaceAll(upstream, "-", "_")) + "_SERVICE_HOST"
	if os.Getenv(variable) == "" {
		return fmt.Errorf("Service %q has no address: %s is not set", upstream, variable)
	}
	fill := strings.NewReplacer("__PILLAR__CLUSTER__DNS__", os.Getenv(variable), "__PILLAR__UPSTREAM__SERVERS__", "/etc/resolv.conf")
	return os.WriteFile(path, []byte(fill.Replace(string(base))), 0o644)
}
