package masking

import (
	"strings"
	"testing"
)

func TestACommandLineIsShownWithoutItsSecrets(t *testing.T) {
	for line, want := range map[string]string{
		"app|--password|x|--verbose|on":        "app --password *** --verbose on",
		"app|--db-url=postgres://u:p@h/d":      "app --db-url=***",
		"app|--password=two words|--port=1":    "app --password=*** --port=1",
		"app|--no-auth|server2|--skip-token|a": "app --no-auth server2 --skip-token a",
		"sh|-c|PGPASSWORD=x psql --no-auth db": "sh -c PGPASSWORD=*** psql --no-auth db",
		"app|--url=http://api:80/v1|key=value": "app --url=http://api:80/v1 key=value",
	} {
		if got := CommandLine(strings.Split(line, "|")); got != want {
			t.Errorf("%s: %q", line, got)
		}
	}
}
