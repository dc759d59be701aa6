package mask

import (
	"regexp"
	"slices"
	"strings"
)

// The ways in which a command line gives a name its value: --password=x or PASSWORD=x, and --password x.
var assigned = []func() *regexp.Regexp{
	lazy(`([A-Za-z_][\w.-]*)(=)(\S+)`),
	lazy(`(--?[A-Za-z][\w.-]*)(\s+)([^\s-]\S*)`),
}

// maskWords hides values in a command line whose names look secret.
func maskWords(words string, hide func(string) string) string {
	for _, way := range assigned {
		words = way().ReplaceAllStringFunc(words, func(word string) string {
			m := way().FindStringSubmatch(word)
			if !LooksSecret(m[1]) || m[2] != "=" && offFlag().MatchString(m[1]) {
				return word
			}
			return m[1] + m[2] + hide(m[3])
		})
	}
	words = attached().ReplaceAllStringFunc(words, func(word string) string {
		m := attached().FindStringSubmatch(word)
		return m[1] + hide(m[2])
	})
	return short().ReplaceAllStringFunc(words, func(word string) string {
		m := short().FindStringSubmatch(word)
		if m[1] != "" || plainValue().MatchString(m[4]) {
			return word
		}
		return m[1] + m[2] + m[3] + credentials(m[2], m[4], hide)
	})
}

// short finds one-letter flags that programs take credentials by: -p and -a a password (mysql, sshpass, redis-cli), -u and --user
// a user with one (curl).
var short = lazy(`(\b(?:mkdir|cp|scp|ssh|install)\s+)?(\B-[pau]|\B--user)(\s+|=)([^\s;|&"'-][^\s;|&"']*)`)

// attached finds the password that follows -p without a blank, as these programs take it:
// https://dev.mysql.com/doc/refman/8.4/en/connecting.html
var attached = lazy(`((?:^|[\s/;&|("'])(?:` + takesPassword + `)\s(?:[^|;&]*\s)?-p)([^\s;|&"'-][^\s;|&"']*)`)

const takesPassword = `mysql\w*|mariadb[\w-]*|sshpass` //nolint:gosec // names of programs

// passwordProgram is one of them in a word of its own.
var passwordProgram = lazy(`^(\S*/)?(` + takesPassword + `)$`)

// plainValue is no password: a port, a mapping of ports, a path.
var plainValue = lazy(`^(\d[\d:./]*|[./~$].*)$`)

// pathCommand has other uses of -p.
var pathCommand = lazy(`^(mkdir|cp|scp|ssh|install)$`)

// shortFlag is one of them in a word of its own.
var shortFlag = lazy(`^(-[pau]|--user)$`)

// credentials hides what follows such a flag; a user is shown.
func credentials(flag, value string, hide func(string) string) string {
	if flag == "-p" || flag == "-a" {
		return hide(value)
	}
	if user, password, ok := strings.Cut(value, ":"); ok && password != "" {
		return user + ":" + hide(password)
	}
	return value
}

func hidden(string) string { return Hidden }

// CommandLine is a command line for people.
func CommandLine(words []string) string {
	words = slices.Clone(words)
	Words(words, hidden)
	return strings.Join(words, " ")
}

// Words hides flags' values in the words of a command line: a flag may stand before its value in a word of its own,
// and a value may hold blanks.
func Words(list []string, hide func(string) string) {
	program := len(list) > 0 && passwordProgram().MatchString(list[0])
	for i := range list {
		if value, ok := strings.CutPrefix(list[i], "-p"); ok && program && value != "" {
			list[i] = "-p" + hide(value)
			continue
		}
		if i > 0 && secretFlag(list[i-1]) && !strings.HasPrefix(list[i], "-") {
			list[i] = hide(list[i])
			continue
		}
		if i > 0 && shortFlag().MatchString(list[i-1]) && !plainValue().MatchString(list[i]) && !strings.HasPrefix(list[i], "-") &&
			(i < 2 || !pathCommand().MatchString(list[i-2])) {
			list[i] = credentials(list[i-1], list[i], hide)
			continue
		}
		if name, value, ok := strings.Cut(list[i], "="); ok && secretFlag(name) {
			list[i] = name + "=" + hide(value)
			continue
		}
		list[i] = maskWords(list[i], hide)
	}
}

// secretFlag says whether a flag's value should not be shown; --no-auth and --skip-auth have none.
func secretFlag(word string) bool {
	return loneFlag().MatchString(word) && LooksSecret(word) && !offFlag().MatchString(word)
}

var (
	loneFlag = lazy(`^--?[A-Za-z][\w.-]*$`)
	offFlag  = lazy(`^--?(no|skip|disable)-`)
)
