package cluster

import (
	"fmt"
	"net"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
)

const (
	apiPort = 6443
	// BalancerCommand is the hidden command that stands in front of several API servers.
	BalancerCommand = "balancer-serve"
	balancerHelper  = "balancer"
)

// endpoint is where everybody finds the API: the one server, or the balancer in front of several, on the bridge.
func endpoint(spec Spec, plan netplan.Plan) string {
	address := plan.ControlPlane()
	if spec.ControlPlanes > 1 {
		address = plan.Gateway()
	}
	return net.JoinHostPort(address, fmt.Sprint(apiPort))
}

// APIAddresses are the addresses at which API servers answer, the balancer's with them.
func (c *Cluster) APIAddresses() []string {
	var addresses []string
	for _, family := range c.State.Plan.Families() {
		for i := range c.State.ControlPlaneNames() {
			addresses = append(addresses, family.NodeIP(i))
		}
		if c.State.ControlPlanes > 1 {
			addresses = append(addresses, family.Gateway())
		}
	}
	return addresses
}

// startBalancer stands in front of the API servers, where there are several.
func (c *Cluster) startBalancer() error {
	if c.State.ControlPlanes <= 1 {
		return nil
	}
	self, err := host.Self()
	if err != nil {
		return err
	}
	command := []string{self, BalancerCommand, endpoint(c.State.Spec, c.State.Plan)}
	for i := range c.State.ControlPlaneNames() {
		command = append(command, net.JoinHostPort(c.State.Plan.NodeIP(i), fmt.Sprint(apiPort)))
	}
	return c.startHelper(balancerHelper, command...)
}
