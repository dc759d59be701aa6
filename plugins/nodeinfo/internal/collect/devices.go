package collect

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// devices reads what drivers publish for the nodes whose pods use ResourceClaims, and the claims of the namespaces of those pods. Of
// other nodes nothing is asked: that would be calls and a right which most clusters have no use for.
func (c *collector) devices(ctx context.Context) {
	var nodes, namespaces []string
	for i := range c.in.Pods {
		if p := &c.in.Pods[i]; device.Claims(p) && !podfact.Finished(p) {
			nodes, namespaces = append(nodes, p.Spec.NodeName), append(namespaces, p.Namespace)
		}
	}
	if len(nodes) == 0 {
		return
	}
	slices.Sort(nodes)
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		c.spawn(func() {
			list, err := listResource[device.Claim](ctx, c, "namespaces/"+namespace+"/resourceclaims", "")
			name := evaluate.SourceDeviceClaims + " in " + namespace
			c.put(kube.SourceOf(name, "list", "resourceclaims.resource.k8s.io in "+namespace, err), func(in *evaluate.Input) {
				in.DeviceClaims = append(in.DeviceClaims, list...)
			})
		})
	}
	shared, sharedErr := listResource[device.Slice](ctx, c, "resourceslices", "spec.nodeName=")
	c.mu.Lock()
	c.in.Slices = shared
	c.mu.Unlock()
	for _, node := range slices.Compact(nodes) {
		c.spawn(func() {
			var list []device.Slice
			err := sharedErr
			if err == nil {
				list, err = listResource[device.Slice](ctx, c, "resourceslices", "spec.nodeName="+node)
			}
			c.putFor(node, kube.SourceOf(evaluate.SourceSlices, "list", "resourceslices.resource.k8s.io", err), func(in *evaluate.Input) {
				in.Slices = append(in.Slices, list...)
			})
		})
	}
	c.wg.Wait()
}

// listResource lists objects of resource.k8s.io in the newest version that is served.
func listResource[T any](ctx context.Context, c *collector, path, selector string) ([]T, error) {
	var err error
	for _, version := range device.Versions {
		var list struct {
			Items []T `json:"items"`
		}
		request := c.client.Discovery().RESTClient().Get().AbsPath("/apis/resource.k8s.io/"+version+"/"+path).Param("resourceVersion", "0")
		if selector != "" {
			request = request.Param("fieldSelector", selector)
		}
		if err = c.askJSON(ctx, request, &list); err == nil || !apierrors.IsNotFound(err) {
			return list.Items, err
		}
	}
	return nil, err
}
