package collect

import (
	"k8s.io/client-go/rest"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

// Open connects to the cluster that the connection's flags mean.
func Open(connection *kube.Flags) (*kube.Cluster, Reader, error) {
	cluster, err := connection.Cluster()
	if err != nil {
		return nil, Reader{}, err
	}
	// Pod Security's warnings about a privileged pod say what the user knows: that it is privileged.
	cluster.Config.WarningHandler = rest.NoWarnings{}
	client, err := cluster.Typed()
	if err != nil {
		return nil, Reader{}, err
	}
	return cluster, Reader{Client: client}, nil
}
