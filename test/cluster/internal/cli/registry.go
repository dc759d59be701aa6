package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/cluster"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/image"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/registry"
)

func (a *app) registryCommand() *cobra.Command {
	c := &cobra.Command{Use: "registry", Short: "A registry that the nodes can pull from, and that refuses as told"}
	c.AddCommand(
		a.registryUp(),
		a.nameFlag(&cobra.Command{
			Use: "down", Short: "End the registry; its images go with it", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				opened, err := a.open()
				if err != nil {
					return err
				}
				return opened.StopRegistry(cmd.Context())
			},
		}),
		a.registryPush(),
		a.registryRespond(),
	)
	return c
}

func (a *app) registryUp() *cobra.Command {
	return a.nameFlag(&cobra.Command{
		Use: "up", Short: "Start the registry, or find it running; prints its address", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opened, err := a.open()
			if err != nil {
				return err
			}
			if opened.State.Mode != cluster.ModeNodes {
				return errors.New("the registry serves real nodes: kwok's pull nothing")
			}
			if err := opened.StartRegistry(cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintln(a.out, opened.RegistryAddress())
			return nil
		},
	})
}

func (a *app) registryPush() *cobra.Command {
	var (
		archive, from     string
		files, entrypoint []string
	)
	c := a.nameFlag(&cobra.Command{
		Use:     "push REPOSITORY:TAG",
		Short:   "Push an image; prints its full reference",
		Example: "  cluster registry push team/app:1 --from testapp:1\n  cluster registry push team/app:2 --file ./server=/server --entrypoint /server",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opened, err := a.open()
			if err != nil {
				return err
			}
			var ref string
			if archive != "" {
				ref, err = opened.PushArchive(cmd.Context(), args[0], archive)
			} else {
				var spec image.Spec
				if from != "" {
					spec, err = opened.TestImage(from)
				} else if spec, err = image.ParseSpec(args[0], files); err == nil {
					spec.Entrypoint = entrypoint
				}
				if err == nil {
					ref, err = opened.PushSpec(cmd.Context(), args[0], spec)
				}
			}
			if err == nil {
				fmt.Fprintln(a.out, ref)
			}
			return err
		},
	})
	c.Flags().StringVar(&archive, "archive", "", "the image of this archive")
	c.Flags().StringVar(&from, "from", "", "one of the images that every node has, as testapp:1")
	c.Flags().StringArrayVar(&files, "file", nil, "SOURCE=PATH: a local file and its place in the image")
	c.Flags().StringArrayVar(&entrypoint, "entrypoint", nil, "the image's entry point, one argument at a time")
	c.MarkFlagsMutuallyExclusive("archive", "from", "file")
	c.MarkFlagsOneRequired("archive", "from", "file")
	return c
}

func (a *app) registryRespond() *cobra.Command {
	var delay time.Duration
	c := a.nameFlag(&cobra.Command{
		Use:   "respond REPOSITORY CODE",
		Short: "Answer pulls of a repository with an HTTP status, as 401, 404, 429 or 500; 200 serves again",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			opened, err := a.open()
			if err != nil {
				return err
			}
			code, err := strconv.Atoi(args[1])
			if err != nil || code != http.StatusOK && (code < 400 || code > 599) {
				return fmt.Errorf("code %q: 200, or a failure between 400 and 599", args[1])
			}
			rule := registry.Rule{Code: code}
			if code == http.StatusOK {
				rule.Code = 0
			}
			if delay > 0 {
				rule.Delay = delay.String()
			}
			return opened.SetRegistryRule(args[0], rule)
		},
	})
	c.Flags().DurationVar(&delay, "delay", 0, "time before every answer")
	return c
}
