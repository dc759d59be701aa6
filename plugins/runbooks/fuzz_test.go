package runbooks

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// A line of a client is a message, or is refused with one.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"x"}}`, `[]`, `{"id":{}}`, `{"id":1e999}`, `{`, ``,
	} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, whole bool) {
		message, refused := decode(line{data: data, whole: whole})
		if (message == nil) == (refused == nil) {
			t.Errorf("%q: %v and %v", data, message, refused)
		}
		if _, err := json.Marshal(refused); err != nil {
			t.Error(err)
		}
	})
}

// An answer to a client has its bound, whatever the report holds.
func FuzzFold(f *testing.F) {
	f.Add("password=hunter2 \x1b[2J", 3, 10, 0, true)
	f.Add("\U000e0041\ufe0f", 200, 1, 199, false)
	f.Fuzz(func(t *testing.T, text string, many, limit, offset int, summary bool) {
		many, limit, offset = max(1, many%300), max(1, limit%300), max(0, offset%300)
		list := nodereport.List{Summary: text}
		for range many {
			list.Items = append(list.Items, nodereport.Node{Name: text, Summary: text})
		}
		a, err := fold(list, "items", paging{Limit: limit, Offset: offset}, summary)
		if err != nil {
			return // there is nothing behind the end
		}
		data, err := json.Marshal(a)
		if err != nil || !utf8.Valid(data) {
			t.Errorf("%v: %q", err, data)
		}
	})
}
