module github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/components/pause

go 1.26.0
