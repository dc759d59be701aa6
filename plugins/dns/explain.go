package dns

import (
	_ "embed"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

//go:embed catalog.zh.txt
var chinese string

// ChineseCatalog is Catalog in Chinese.
func ChineseCatalog() []finding.Entry { return finding.Translation(chinese) }
