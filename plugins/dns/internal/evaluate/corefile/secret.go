package corefile

import "regexp"

// secretOption finds what options of plugins take as a secret, up to the end of the line: etcd's "credentials USER
// PASSWORD" (https://coredns.io/plugins/etcd/), route53's "aws_access_key ID KEY" (https://coredns.io/plugins/route53/),
// azure's "secret SECRET" (https://coredns.io/plugins/azure/) and tsig's "secret NAME KEY" (https://coredns.io/plugins/tsig/).
var secretOption = regexp.MustCompile(`(?m)^([ \t#]*(?:(?:credentials|aws_access_key)[ \t]+\S+|secret))[ \t]+\S[^\r\n]*`)

// HideSecrets hides the secrets in the text of a Corefile, or in one option of a plugin.
func HideSecrets(text string) string { return secretOption.ReplaceAllString(text, "$1 ***") }
