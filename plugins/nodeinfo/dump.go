package nodeinfo

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/dump"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
)

// dump reports on the dumps of -f, as of when they were made.
func (o Options) dump(env *cli.Env) error {
	var documents []dump.Document
	for _, file := range o.Files {
		data, err := env.ReadFile(file)
		if err != nil {
			return err
		}
		more, err := dump.Read(data)
		if err != nil {
			return fmt.Errorf("-f %s: %w", file, err)
		}
		documents = append(documents, more...)
	}
	in, err := collect.Dump(documents)
	if err != nil {
		return fmt.Errorf("-f %s: %w", strings.Join(o.Files, ", "), err)
	}
	in.Select(o.Names)
	if len(in.NotFound) > 0 {
		return fmt.Errorf("the dump does not contain node/%s", strings.Join(in.NotFound, ", node/"))
	}
	warn(env, collect.Judged(&in))
	list := o.Evaluate(Reading{input: in}, finding.Kubectl{})
	return errors.Join(o.print(env, list), o.decide(list))
}
