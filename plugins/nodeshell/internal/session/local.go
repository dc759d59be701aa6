package session

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
)

// inout says which local streams a command gets.
type inout struct {
	tty         bool
	in          io.Reader // nil: none
	interpreter []string  // of a script, which is then in
	script      []byte
	collects    bool // output is kept, prefixed or folded, not passed on as it comes
}

// prepare decides on terminal and standard input.
func prepare(env *cli.Env, o Options, nodes int) (*inout, error) {
	x := &inout{collects: nodes > 1 || o.Format.Structured() && o.DryRun == "none"}
	if o.Script != "" {
		var err error
		if x.script, err = env.ReadFile(o.Script); err != nil {
			return nil, err
		}
		x.interpreter, err = interpreter(x.script, o.Command)
		return x, err
	}
	x.tty = o.TTY == "true" || o.TTY == "auto" && env.InTTY && env.OutTTY && !x.collects
	if x.tty && x.collects {
		return nil, cli.Usage(errors.New("--tty needs a single node, without -o"))
	}
	switch {
	case o.Stdin == "true" || x.tty && o.Stdin == "auto":
		x.in = env.Streams.In
	case o.Stdin == "auto" && nodes == 1:
		x.in = stdin(env)
	}
	return x, cli.Usage(x.fits(o, nodes))
}

// fits refuses what one standard input cannot do.
func (x *inout) fits(o Options, nodes int) error {
	switch {
	case x.in != nil && nodes > 1:
		return errors.New("--stdin needs a single node; use --script for several nodes")
	case o.shell() && nodes > 1:
		return fmt.Errorf("a shell needs a single node, and %d are selected; pass a command after --", nodes)
	case o.shell() && x.in == nil && o.DryRun == "none":
		return errors.New("a shell needs a terminal; pass a command after --, or pipe commands in with -i")
	}
	return nil
}

// stdin gives standard input where it was meant for the command. Input that waits for somebody else is said to be left.
func stdin(env *cli.Env) io.Reader {
	if env.Console.Stdin == nil {
		return nil
	}
	in := env.Console.Stdin()
	if in.Holder != "" {
		env.Warn("standard input is left to the calling %s; pass -i to give standard input to the command", in.Holder)
	}
	if !in.Given {
		return nil
	}
	return env.Streams.In
}

// askAbove is the number of nodes from which on a person is asked, and a script has to say --yes.
const askAbove = 10

func confirm(env *cli.Env, o Options, nodes int) error {
	if nodes <= askAbove || o.Yes || o.DryRun != "none" {
		return nil
	}
	if !env.InTTY || !env.ErrTTY {
		return cli.Usage(fmt.Errorf("running on %d nodes needs confirmation: pass --yes", nodes))
	}
	fmt.Fprintf(env.Streams.ErrOut, "Run on %d nodes? [y/N] ", nodes)
	answer, err := bufio.NewReader(env.Streams.In).ReadString('\n')
	if err != nil && answer == "" {
		return errors.New("not confirmed")
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("not confirmed")
	}
	return nil
}
