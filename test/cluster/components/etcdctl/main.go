// Program etcdctl is the client of etcd that its image has, as upstream's has: what nodeinfo prints runs it there.
package main

import "go.etcd.io/etcd/etcdctl/v3/ctlv3"

func main() { ctlv3.MustStart() }
