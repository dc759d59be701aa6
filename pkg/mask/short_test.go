package mask

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// planted are secrets of every form, in what tells that they are; the letters of the secret itself occur nowhere else.
var planted = []string{
	"dial postgres://app:QXZJQ7XZJQ@db:5432/shop", "clone https://QXZ7J9QXZJ5QX39Z8J06@git.test/shop", "Authorization: Bearer QXZJ7QXZJQXZ", "Authorization: Basic QXZJ7QXZJQXZ==",
	"got eyJQXZJQXZJ.eyJQXZJQXZJ.QXZJ for", "push with ghp_" + strings.Repeat("QXZ7", 10) + " failed", "DB_PASSWORD=QXZJQXZJQ next", `DB_PASSWORD="QXZJ QXZJ QXZJ" next`,
	"db_password: QXZJQXZJQ end: 1", "X-Api-Key: QXZJ7QXZJ", `{"user":"a","password":"QXZJQXZJ"}`, `{"user":"a","password": "QXZJ QXZJ QXZJ"}`, `in "{\"password\":\"QXZJ QXZJ\"}"`,
	`{"auths":{"r.test":{"auth":"QXZJQXZJQXZJ"}}}`, "https://blob.test/x?se=2026&sig=QXZJQXZJQXZJ&sp=r", "exec [mysql --password QXZJ7XZJ -h db]", "GET /x?token=QXZJQXZJ&page=2",
	"-----BEGIN PRIVATE KEY-----\nQXZJ\nQXZJQXZJ\nQXZJ\n-----END PRIVATE KEY-----", "password: QXZJQXZ\nnext: 1",
}

// Wherever the end of what is shown or looked at falls, no part of a secret is shown. The text has spaces, or is one word. A key at
// the beginning takes three characters when it is hidden, so that the end of what is looked at is shown.
func TestNoSecretIsCutInTwo(t *testing.T) {
	const most = 600
	for _, secret := range planted {
		for name, filler := range map[string]func(int) string{
			"words": func(n int) string { return strings.Repeat("word ", n/5+1)[:n] },
			"lines": func(n int) string { return strings.Repeat("aa: b\n", n/6+1)[:n] },
			"blob":  func(n int) string { return strings.Repeat("b", n) + " " },
		} {
			key := "-----BEGIN PRIVATE KEY-----" + strings.Repeat("M", margin) + "-----END PRIVATE KEY----- "
			for _, border := range []int{most, most + margin} {
				step := 1
				if name != "words" {
					step = 7
				}
				for at := border - len(secret) - 25; at <= border+25; at += step {
					text := filler(at)
					if border > most {
						text = key + text[:at-len(key)]
					}
					text += " " + secret + " " + filler(2*margin)
					if got := Short(text, most); strings.ContainsAny(got, "QZJ") {
						t.Fatalf("%s in %s at %d: %q", secret, name, at, got[max(0, len(got)-120):])
					}
				}
			}
		}
	}
}

// A secret that is longer than all that is looked at is not shown at all, wherever it begins.
func TestALongSecretIsNotShown(t *testing.T) {
	long, words := strings.Repeat("QXZ7J", 3*margin), strings.Repeat("QXZ7J ", 3*margin)
	for _, form := range []string{`DB_PASSWORD="%s"`, `DB_PASSWORD='%s'`, `{"password": "%s"}`, `"{\"password\": \"%s\"}"`} {
		if got := Short("error: "+fmt.Sprintf(form, words)+" end", 600); strings.ContainsAny(got, "QZJ") {
			t.Errorf("%s: %q", form, got)
		}
	}
	for _, form := range []string{
		"dial postgres://app:%s@db", "DB_PASSWORD=%s", `DB_PASSWORD="%[1]s %[1]s"`, `{"password":"%[1]s %[1]s"}`, `{"auth":"%s"}`, "eyJ%[1]s.eyJ%[1]s", "--token %s",
		"password: %s end: 1", "Authorization: Bearer %s", "-----BEGIN PRIVATE KEY-----%s-----END PRIVATE KEY-----", `{\"token\": \"%[1]s %[1]s\"}`, "DB_PASSWORD='%[1]s %[1]s'",
	} {
		for _, before := range []string{"", "error: ", strings.Repeat("word ", 110)} {
			if got := Short(before+fmt.Sprintf(form, long)+" end", 600); strings.ContainsAny(got, "QZJ") {
				t.Errorf("%s behind %d: %q", form, len(before), got)
			}
		}
	}
}

func cut(text string, most int) string {
	if short := prefix(text, most); len(short) < len(text) {
		return short + "…"
	}
	return text
}

// As far as it shows, a text is the masked one.
func TestShortIsTheBeginningOfText(t *testing.T) {
	for _, text := range append(planted, "", "plain", strings.Repeat("ä", 700), strings.Repeat("word ", 2000)) {
		for _, more := range []string{"", strings.Repeat(" and more", 100), strings.Repeat(" and more", 1000)} {
			for _, most := range []int{0, 1, 10, 600, 1 << 20} {
				got, whole := Short(text+more, most), Text(text+more)
				if short, ok := strings.CutSuffix(got, "…"); !ok && got != whole || !strings.HasPrefix(whole, short) && ok {
					t.Errorf("%d of %q: %q", most, text, got)
				}
				if want := cut(whole, most); !strings.Contains(text, "PRIVATE") && got != want && len(text+more) > 0 {
					t.Errorf("%d of %.60q: got %.80q, want %.80q", most, text, got, want)
				}
			}
		}
	}
}

// The time for a text has a bound, whatever its length.
func BenchmarkShort(b *testing.B) {
	for _, size := range []int{8 << 10, 1 << 20} {
		text := strings.Repeat(strings.Join(planted, " ")+" ", size/1000)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				Short(text, 4<<10)
			}
		})
	}
}

func BenchmarkText(b *testing.B) {
	for name, unit := range map[string]string{"words": "failed to pull: a=b \"c\": d -- https://h/p ", "secrets": strings.Join(planted, " ")} {
		text := strings.Repeat(unit, 100<<10/len(unit))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Text(text)
			}
		})
	}
}

// However a text is cut, no more is shown than was asked for.
func FuzzShort(f *testing.F) {
	for i, text := range planted {
		f.Add(text, 10*i)
	}
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = max(0, most%(1<<13))
		for _, long := range []string{text, strings.Repeat(text+" ", 1+12000/(len(text)+1))} {
			got := Short(long, most)
			if n := utf8.RuneCountInString(got); n > most+1 {
				t.Errorf("%d characters of %d", n, most)
			}
			if utf8.ValidString(long) && !utf8.ValidString(got) {
				t.Errorf("%q is cut within a character", got)
			}
		}
	})
}
