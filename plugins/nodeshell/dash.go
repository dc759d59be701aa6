package nodeshell

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
)

// missingDash explains a call such as `kubectl nodeshell w1 ls /`, whose words are taken for nodes: words are those of a
// call without "--", flags its other flags, and err why it failed. It gives nil where "--" would not help.
func missingDash(connection *kube.Flags, words, flags []string, err error) error {
	var unknown collect.UnknownNode
	at := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, "/") || strings.HasPrefix(word, ".") })
	path := !errors.As(err, &unknown)
	if !path {
		at = slices.Index(words, unknown.Name)
	}
	if at < 1 {
		return nil // the first word is a node, whatever it is
	}
	noNode := words[at]
	if path {
		at = 1 // the command begins somewhere before its path
	}
	call := rightCall(connection, slices.Concat(words[:at], flags), words[at:])
	return fmt.Errorf("%q is not a node; a command needs \"--\" before it: %s", noNode, call)
}

// rightCall is a call to paste, with the connection flags that were given and every word quoted for a shell.
func rightCall(connection *kube.Flags, before, command []string) string {
	var (
		kubectl   finding.Kubectl
		namespace string
	)
	if cluster, err := connection.Cluster(); err == nil {
		kubectl = cluster.Kubectl
		if cluster.NamespaceGiven {
			namespace = cluster.Namespace
		}
	}
	return kubectl.Command(namespace, slices.Concat([]string{"nodeshell"}, before, []string{"--"}, command)...)
}

// optionOfCommand explains an unknown flag such as that of `kubectl nodeshell w1 uname -a`: words are those before it, of
// which the first is a node and the second may begin a command.
func optionOfCommand(connection *kube.Flags, words []string, err error) error {
	if len(words) < 2 {
		return err
	}
	return fmt.Errorf("%w; a command and its options come after \"--\": %s …", err, rightCall(connection, words[:1], words[1:]))
}
