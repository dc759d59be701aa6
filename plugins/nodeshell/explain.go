package nodeshell

import (
	_ "embed"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

//go:embed catalogue.zh.txt
var chinese string

// ChineseCatalogue is Catalogue in Chinese.
func ChineseCatalogue() []finding.Entry { return finding.Translation(chinese) }
