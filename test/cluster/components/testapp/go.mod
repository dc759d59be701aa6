module github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/components/testapp

go 1.26.0
