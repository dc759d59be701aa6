package cluster

import (
	"fmt"

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
	return fmt.Sprintf("%s:%d", address, apiPort)
}

// APIAddresses are the addresses at which API servers answer, the balancer's with them.
func (c *Cluster) APIAddresses() []string {
	var addresses []string
	for i := range c.State.ControlPlaneNames() {
		addresses = append(addresses, c.State.Plan.NodeIP(i))
	}
	if len(addresses) > 1 {
		addresses = append(addresses, c.State.Plan.Gateway())
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
		command = append(command, fmt.Sprintf("%s:%d", c.State.Plan.NodeIP(i), apiPort))
	}
	return c.startHelper(balancerHelper, command...)
}
