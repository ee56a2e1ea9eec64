package naming

import (
	"strings"
	"testing"
)

func TestGrammar(t *testing.T) {
	for _, c := range []struct {
		s           string
		name, scope bool
	}{
		{"ems-1", true, true}, {"a", true, true}, {"7.b_c", true, true},
		{strings.Repeat("a", 64), true, true}, {strings.Repeat("a", 65), false, true}, {strings.Repeat("a", 129), false, false},
		{"us/maple:x~y", false, true}, {"", false, false}, {"-a", false, false}, {"/a", false, false},
		{"a b", false, false}, {"a\n", false, false}, {"ä", false, false}, {"a\x00", false, false},
	} {
		if IsName(c.s) != c.name || IsScope(c.s) != c.scope {
			t.Errorf("%q: name %t, scope %t", c.s, IsName(c.s), IsScope(c.s))
		}
	}
}
