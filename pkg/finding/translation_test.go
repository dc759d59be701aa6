package finding

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTranslationIsALinePerCode(t *testing.T) {
	got := Translation("DiskFull|磁盘已满|没有空间。|已用|删除\n\nnot a line\n")
	if d := cmp.Diff([]Entry{{Code: "DiskFull", Title: "磁盘已满", Meaning: "没有空间。", Evidence: "已用", Next: "删除"}}, got); d != "" {
		t.Error(d)
	}
}
