// Command recorded prints the table of a recorded fleet, as kubectl nodeinfo --from-input does: the same evaluation and the same
// text, without a client, flags and clouds' logins. From nothing it is compiled in about half the time of the plugin: the demo shows it
// while the rest is compiled.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
)

func main() {
	if err := show(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(2)
	}
}

// show reads what --save-input wrote.
func show(in io.Reader, out io.Writer) error {
	var saved evaluate.Input
	if err := json.NewDecoder(in).Decode(&saved); err != nil {
		return err
	}
	list := evaluate.Evaluate(saved, saved.Now, evaluate.Options{})
	return errors.Join(render.Table(out, list, render.TableOptions{}), render.Footer(out, list, output.Terminal{}))
}
