package mask

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
		"mysql|-u|app|-p|x1|db":                "mysql -u app -p *** db",
		"sh|-c|redis-cli -a x1 ping && echo 1": "sh -c redis-cli -a *** ping && echo 1",
		"curl|-u|app:x1|http://api":            "curl -u app:*** http://api",
		"sh|-c|mkdir -p data && app -p 8080":   "sh -c mkdir -p data && app -p 8080",
		"/usr/bin/mysql|-uapp|-px1|db":         "/usr/bin/mysql -uapp -p*** db",
		"sh|-c|mysqldump -h db -px1 shop >/o":  "sh -c mysqldump -h db -p*** shop >/o",
		"sh|-c|mysql db; nc -p80 && x -pages":  "sh -c mysql db; nc -p80 && x -pages",
		"ssh|-p2222|app|-port=80":              "ssh -p2222 app -port=80",
		"mkdir|-p|data":                        "mkdir -p data",
		"app|-p|80:8080|-p|/etc/app|-a|-v":     "app -p 80:8080 -p /etc/app -a -v",
		"ps|-u|root":                           "ps -u root",
		"app|--url=http://api:80/v1|key=value": "app --url=http://api:80/v1 key=value",
	} {
		if got := CommandLine(strings.Split(line, "|")); got != want {
			t.Errorf("%s: %q", line, got)
		}
	}
}
