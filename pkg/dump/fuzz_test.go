package dump

import "testing"

// A file is a dump or an error.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"kind: Pod\napiVersion: v1\nmetadata: {name: a}\n---\nkind: List\nitems: [{kind: Node}]\n", `{"kind":"PodList","items":[{"metadata":{}}]}`, "items: [1, null]", "a: &a [*a]", "--- |\n x\n...", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		documents, err := Read(data)
		if err != nil {
			return
		}
		for _, d := range documents {
			for _, o := range d.Objects {
				_ = o.Kind()
			}
		}
	})
}
