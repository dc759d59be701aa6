package nodeshell

import (
	"context"
	"errors"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
)

func (r *runner) enterPod(ctx context.Context, o Options, p planned, helper *helperpod.Helper, tty bool) ([]string, error) {
	return nil, errors.New("not yet")
}
