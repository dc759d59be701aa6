package render

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// pools are devices that pods get by ResourceClaims, and the pods that have them.
func (p *page) pools(n report.Node) {
	p.facts("Claimed", "devices by ResourceClaims; allocated to pods of this node")
	t := output.TableText{Columns: []output.Column{
		{Header: "DRIVER"}, {Header: "POOL"}, {Header: "DEVICES"}, {Header: "TAINTED"}, {Header: "ALLOCATED"}, {Header: "SLICES", Flexible: true},
	}}
	held := output.TableText{Columns: []output.Column{
		{Header: "DEVICE"}, {Header: "CLAIM"}, {Header: "PODS", Flexible: true}, {Header: "STATE", Flexible: true},
	}}
	for _, pool := range n.ResourcePools {
		t.Rows = append(t.Rows, output.Text(pool.Driver, pool.Pool, strconv.FormatInt(pool.Devices, 10),
			strconv.FormatInt(pool.TaintedDevices, 10), strconv.Itoa(len(pool.Allocated)), slicesText(pool)))
		for _, d := range pool.Allocated {
			state, well := deviceState(d)
			row := output.Text(pool.Pool+"/"+d.Device, d.Namespace+"/"+d.Claim, strings.Join(d.Pods, ", "), state)
			if !well {
				row[3].Style = output.Warn
			}
			held.Rows = append(held.Rows, row)
		}
	}
	p.table(t)
	if len(held.Rows) > 0 {
		p.table(held)
	}
}

func slicesText(pool report.ResourcePool) string {
	if pool.Slices == 0 {
		return "none published"
	}
	text := fmt.Sprintf("%d of %d", pool.Slices, pool.ExpectedSlices)
	if pool.StaleSlices > 0 {
		text += fmt.Sprintf(", %d of an old generation", pool.StaleSlices)
	}
	if pool.Shared {
		text += ", shared by nodes"
	}
	return text
}

// deviceState is what its driver and its taints say of a device.
func deviceState(d report.AllocatedDevice) (text string, well bool) {
	var list []string
	well = d.Published && len(d.Taints) == 0
	if !d.Published {
		list = append(list, "not published")
	}
	list = append(list, d.Taints...)
	for _, c := range d.Conditions {
		word := c.Type + "=" + c.Status
		if c.Status != "True" && c.Reason != "" {
			word += " (" + c.Reason + ")"
		}
		list = append(list, word)
		well = well && (c.Type != "Ready" || c.Status == "True")
	}
	if d.AdminAccess {
		list = append(list, "admin access")
	}
	return orNone(strings.Join(list, ", ")), well
}
