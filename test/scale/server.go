package main

import (
	"context"
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/apiserver"
)

// server is an etcd that is filled with a fleet, and an API server in front of it.
type server struct {
	*apiserver.Server

	etcd, api string
}

func start(ctx context.Context, bin, dir string) (*server, error) {
	s, err := apiserver.Start(ctx, bin, dir)
	if err != nil {
		return nil, err
	}
	return &server{Server: s, etcd: s.Etcd, api: s.API}, nil
}

// contexts are names for the same cluster, of a kubeconfig for many.
func contexts() []string {
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("fleet-%02d", i))
	}
	return names
}
