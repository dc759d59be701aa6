package nodeinfo

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/dump"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// dump reports on the dumps of -f, as of when they were made.
func (o Options) dump(env *cli.Env) error {
	in, err := o.readDump(env)
	if err != nil {
		return err
	}
	in.Select(o.Names)
	if len(in.NotFound) > 0 {
		return fmt.Errorf("the dump does not contain node/%s", strings.Join(in.NotFound, ", node/"))
	}
	warn(env, collect.Judged(&in))
	list := o.Evaluate(Reading{input: in}, finding.Kubectl{})
	return errors.Join(o.print(env, list), o.decide(list))
}

// readDump reads the files of -f.
func (o Options) readDump(env *cli.Env) (evaluate.Input, error) {
	var documents []dump.Document
	for _, file := range o.Files {
		data, err := env.ReadFile(file)
		if err != nil {
			return evaluate.Input{}, err
		}
		more, err := dump.Read(data)
		if err != nil {
			return evaluate.Input{}, fmt.Errorf("-f %s: %w", file, err)
		}
		documents = append(documents, more...)
	}
	in, err := collect.Dump(documents)
	if err != nil {
		return in, fmt.Errorf("-f %s: %w", strings.Join(o.Files, ", "), err)
	}
	return in, nil
}
