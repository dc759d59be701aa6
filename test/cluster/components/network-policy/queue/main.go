// Command queue makes upstream's agent work on a kernel whose nftables have no queue statement (CONFIG_NFT_QUEUE is
// not set): the agent's own rules are refused there as a whole, and nothing is enforced. It hands the packets to the
// agent's queue by the NFQUEUE target of iptables instead, and becomes the agent, which judges each packet as ever.
// On other kernels it becomes the agent at once.
//
//	queue /bin/netpol --nfqueue-id=98 …
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "queue:", err)
		os.Exit(1)
	}
}

func run(agent []string) error {
	if len(agent) == 0 {
		return fmt.Errorf("no agent to become")
	}
	number, err := queueNumber(agent)
	if err != nil {
		return err
	}
	if err := try(&expr.Queue{Num: number}); err != nil {
		fmt.Fprintln(os.Stderr, "queue: nftables cannot queue here, so iptables' target does:", err)
		if err := divert(number); err != nil {
			return err
		}
	}
	return unix.Exec(agent[0], agent, os.Environ())
}

func queueNumber(args []string) (uint16, error) {
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--nfqueue-id="); ok {
			number, err := strconv.ParseUint(value, 10, 16)
			return uint16(number), err
		}
	}
	return 0, fmt.Errorf("the agent's arguments lack --nfqueue-id")
}

// try asks the kernel whether it knows a statement; what it makes for that is gone at once.
func try(statement expr.Any) error {
	nft, err := nftables.New()
	if err != nil {
		return err
	}
	table := nft.AddTable(&nftables.Table{Name: "kube-network-policies-try", Family: nftables.TableFamilyINet})
	chain := nft.AddChain(&nftables.Chain{Name: "try", Table: table})
	nft.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{statement}})
	nft.DelTable(table)
	return nft.Flush()
}

// divert makes the rules that the agent makes for itself when it cannot know which pods policies select: every packet
// that opens a connection, but for those of root on the node, which probe pods.
func divert(number uint16) error {
	nft, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Name: "kube-network-policies-queue", Family: nftables.TableFamilyINet}
	nft.AddTable(table)
	nft.DelTable(table)
	nft.AddTable(table)
	chain := nft.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum:  nftables.ChainHookPostrouting,
		Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityNATSource - 5),
	})
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	for _, exprs := range [][]expr.Any{
		{ // IPv6 needs its neighbor discovery
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}}, accept,
		},
		{
			&expr.Meta{Key: expr.MetaKeySKUID, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)}, accept,
		},
		{
			&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
			&expr.Bitwise{
				SourceRegister: 1, DestRegister: 1, Len: 4, Xor: make([]byte, 4),
				Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED),
			},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)}, accept,
		},
		{target(number)},
	} {
		nft.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	}
	return nft.Flush()
}

// target is NFQUEUE: struct xt_NFQ_info of linux/netfilter/xt_NFQUEUE.h, as long as the kernel aligns it.
func target(number uint16) expr.Any {
	info := make(xt.Unknown, 8)
	binary.NativeEndian.PutUint16(info, number)
	return &expr.Target{Name: "NFQUEUE", Rev: 0, Info: &info}
}
