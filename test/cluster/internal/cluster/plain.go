package cluster

import (
	"context"
	"errors"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
)

func (c *Cluster) makePlain(_ context.Context, _ build.Binaries) error {
	return errors.New("plain mode: not yet")
}
