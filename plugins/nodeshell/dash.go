package nodeshell

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
)

// missingDash explains a call such as `kubectl nodeshell w1 ls /`, whose words are taken for nodes: words are those of a
// call without "--", flags its other flags, and err why it failed. It gives nil where "--" would not help.
func missingDash(connection *kube.Flags, words, flags []string, err error) error {
	var unknown collect.UnknownNode
	if errors.Is(err, errTwoWays) && len(words) > 1 {
		return optionOfCommand(connection, words, err) // "ls -la", of which -l is taken
	}
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

// podForNode explains the name of a pod in the place of a node's.
func podForNode(f *flags, names, flags, remote []string, err error) error {
	var unknown collect.UnknownNode
	if !errors.As(err, &unknown) || !unknown.Pod {
		return nil
	}
	words := slices.Clone(names)
	if at := slices.Index(words, unknown.Name); at >= 0 {
		words[at] = "pod/" + unknown.Name
		if len(remote) == 0 && f.script == "" && f.eval == "" {
			words, remote = slices.Clip(words[:at+1]), words[at+1:] // a shell has one node: what follows is a command without its "--"
		}
	}
	words = append(words, flags...)
	for _, given := range [][2]string{{"--eval", f.eval}, {"--script", f.script}} {
		if given[1] != "" {
			words = append(words, given[:]...)
		}
	}
	return fmt.Errorf("%q is a pod, not a node; to run on the node of the pod: %s", unknown.Name, rightCall(f.connection, words, remote))
}

// nodeForPod explains the name of a node in the place of a pod's.
func nodeForPod(connection *kube.Flags, names, flags, filter []string, err error) error {
	var node collect.NodeForPod
	if !errors.As(err, &node) {
		return nil
	}
	words := slices.Clone(names)
	if at := slices.Index(words, node.Name); at >= 0 {
		words[at] = "node/" + node.Name
	}
	call := rightCall(connection, slices.Concat([]string{"capture"}, words, flags), filter)
	return fmt.Errorf("%q is a node, not a pod; to capture on the node: %s", node.Name, call)
}

// filterWords begin a filter of tcpdump, or stand at its start (https://www.tcpdump.org/manpages/pcap-filter.7.html).
var filterWords = []string{
	"host", "port", "portrange", "net", "src", "dst", "tcp", "udp", "icmp", "icmp6", "arp", "ip", "ip6", "ether", "vlan", "not",
	"sctp", "less",
	"greater", "proto", "broadcast", "multicast", "(",
}

// filterWithoutDash explains a call such as `kubectl nodeshell capture web port 80`, whose filter is taken for pods.
func filterWithoutDash(connection *kube.Flags, names, flags, filter []string, err error) error {
	at := slices.IndexFunc(names, func(word string) bool { return slices.Contains(filterWords, word) })
	if err == nil || filter != nil || at < 1 {
		return nil
	}
	var status apierrors.APIStatus
	if named := errors.As(err, &status); named && (status.Status().Details == nil || status.Status().Details.Name != names[at]) {
		return nil // something else is wrong
	} else if !named && !cli.IsUsage(err) {
		return nil
	}
	call := rightCall(connection, slices.Concat([]string{"capture"}, names[:at], flags), names[at:])
	return fmt.Errorf("%q is not a pod; a filter needs \"--\" before it: %s", names[at], call)
}

// tcpdumpOption explains options of tcpdump after the "--", where a filter alone is meant: those that capture has are moved,
// and the others, which choose how packets are printed, are left out.
func tcpdumpOption(connection *kube.Flags, names, flags, filter []string) error {
	first := slices.IndexFunc(filter, isOption)
	if first < 0 {
		return nil
	}
	own := map[byte]string{'i': "--interface", 'c': "--count", 's': "--snaplen", 'w': "--write"}
	const valued = "BCEFGMQTVWjmryzZ" // these have a value, and no place here
	before, rest := slices.Concat([]string{"capture"}, names, flags), []string(nil)
	for i := 0; i < len(filter); i++ {
		if !isOption(filter[i]) {
			rest = append(rest, filter[i])
			continue
		}
		for j := 1; j < len(filter[i]); j++ {
			letter := filter[i][j]
			if own[letter] == "" && !strings.ContainsRune(valued, rune(letter)) {
				continue
			}
			value := filter[i][j+1:]
			if value == "" && i+1 < len(filter) {
				i++
				value = filter[i]
			}
			if own[letter] != "" {
				before = append(before, own[letter]+"="+value)
			}
			break
		}
	}
	return fmt.Errorf("%q is an option; only a filter comes after \"--\": %s", filter[first], rightCall(connection, before, rest))
}

// isOption tells an option of tcpdump from the words of a filter.
func isOption(word string) bool {
	return len(word) > 1 && word[0] == '-' && (word[1] >= 'a' && word[1] <= 'z' || word[1] >= 'A' && word[1] <= 'Z')
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
	if len(command) > 0 {
		command = slices.Concat([]string{"--"}, command)
	}
	return kubectl.Command(namespace, slices.Concat([]string{"nodeshell"}, before, command)...)
}

// errHelpOfCommand is -h after the words of a command, such as that of `kubectl nodeshell w1 df -h`.
var errHelpOfCommand = errors.New("the option -h after a command is the command's own")

// helpFlag is -h and --help, as cobra has it, but for what stands before it.
type helpFlag struct {
	flags *pflag.FlagSet
	set   bool
}

// helpIsFirst gives a command a help flag that is not taken for one after a node and another word.
func helpIsFirst(flags *pflag.FlagSet, program string) {
	flags.VarPF(&helpFlag{flags: flags}, "help", "h", "help for "+program).NoOptDefVal = "true"
}

func (h *helpFlag) Set(value string) error {
	set, err := strconv.ParseBool(value)
	if err == nil && set && len(h.flags.Args()) > 1 {
		return errHelpOfCommand
	}
	h.set = set
	return err
}

func (h *helpFlag) String() string { return strconv.FormatBool(h.set) }
func (h *helpFlag) Type() string   { return "bool" }

// optionOfCommand explains an unknown flag such as that of `kubectl nodeshell w1 uname -a`: words are those before it, of
// which the first is a node and the second may begin a command.
func optionOfCommand(connection *kube.Flags, words []string, err error) error {
	if len(words) < 2 {
		return err
	}
	return fmt.Errorf("%w; a command and its options come after \"--\": %s …", err, rightCall(connection, words[:1], words[1:]))
}
