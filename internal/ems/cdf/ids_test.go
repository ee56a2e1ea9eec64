package cdf

import (
	"testing"
	"unicode/utf8"
)

func TestIdentifiersSurviveXML(t *testing.T) {
	for id, want := range map[string]string{
		"contest-1":     "contest-1",
		"a b":           "a_x0020_b",
		"1":             "_x0031_",
		"-x":            "_x002D_x",
		"a/b:c":         "a_x002F_b_x003A_c",
		"_x0041_":       "_x005F_x0041_",
		"_x0041":        "_x005F_x0041",
		"_x0041/":       "_x005F_x0041_x002F_",
		"_x004":         "_x004",
		"x_":            "x_",
		"Ñandú":         "Ñandú",
		"Иван":          "_x0418__x0432__x0430__x043D_",
		"\U0001F5F3":    "_x1F5F3_",
		"a\x00b":        "a_x0000_b",
		"__x0041_":      "__x005F_x0041_",
		"_x_x0041_":     "_x_x005F_x0041_",
		"_x0041_x0042_": "_x005F_x0041_x005F_x0042_",
	} {
		got := idToXML(id)
		if got != want || !isNCName(got) || idFromXML(got) != id {
			t.Errorf("%q became %q (want %q), and came back as %q", id, got, want, idFromXML(got))
		}
	}
	// What no writer here makes stands for itself, or for the character.
	for name, want := range map[string]string{"_xZZZZ_": "_xZZZZ_", "_x0041_": "A", "_xD800_": "_xD800_", "_x110000_": "_x110000_", "_x00041_": "_x00041_", "_x": "_x", "Иван": "Иван"} {
		if got := idFromXML(name); got != want {
			t.Errorf("%q stands for %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"", "1a", "-a", ".a", "a b", "a:b", "\u00b7a"} {
		if isNCName(name) {
			t.Errorf("%q is an NCName", name)
		}
	}
}

func FuzzIdentifier(f *testing.F) {
	f.Add("a/b _x0041_")
	f.Add("_x005F_")
	f.Add("\U0001F5F3")
	f.Fuzz(func(t *testing.T, id string) {
		if !utf8.ValidString(id) || id == "" {
			return
		}
		if name := idToXML(id); !isNCName(name) || idFromXML(name) != id {
			t.Errorf("%q became %q and came back as %q", id, name, idFromXML(name))
		}
	})
}

func TestFormsOfValues(t *testing.T) {
	for _, c := range []struct {
		kind      kind
		good, bad []string
	}{
		{kindInteger, []string{"0", "-5", "9223372036854775807"}, []string{"", "1.0", "1e3", "9223372036854775808", " 1"}},
		{kindNumber, []string{"0", "-0.5", "1e3", "12.50", "1E-2"}, []string{"", "+1", ".5", "5.", "01", "INF", "1e", "1 2"}},
		{kindBoolean, []string{"true", "false"}, []string{"1", "True", ""}},
		{kindDate, []string{"2026-11-03", "2024-02-29"}, []string{"2026-02-29", "2026-11-3", "0000-01-01", "2026-11-03Z"}},
		{kindDateTime, []string{"2026-11-03T20:00:00Z", "2026-11-03T20:00:00.25-05:00"}, []string{"2026-11-03T20:00:00", "2026-11-03T20:00:00,5Z", "2026-11-03T20:00:00+15:00", "2026-11-03 20:00:00Z", "2026-11-03T2:00:00Z"}},
		{kindSecond, []string{"2026-11-03T20:00:00Z"}, []string{"2026-11-03T20:00:00.5Z"}},
		{kindTime, []string{"08:00:00-05:00"}, []string{"08:00", "08:00:00", "08:00:00.5Z"}},
		{kindFraction, []string{"1/3", ".25", "10/20"}, []string{"1/0", "1/01", "0.5", "1/", "/2", "."}},
		{kindColor, []string{"00ff7f"}, []string{"#00ff7f", "00FF7F", "00ff7"}},
		{kindLanguage, []string{"en", "es-MX", "x-a1"}, []string{"", "e1", "en_US", "toolongtag", "en-"}},
		{kindURI, []string{"https://example.org/a b", "file.jpg", ""}, []string{" a", "a\n"}},
		{kindByte, []string{"", "QQ==", "QUI=", "QUJD"}, []string{"Q", "QQ=", "QR==", "QUJD\n", "QU-_", "QUJ=QUJD", "===="}},
		{kindShort, []string{"äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüää"}, []string{"äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäää"}},
	} {
		m := &member{kind: c.kind}
		for _, s := range c.good {
			if p := m.problem([]byte(s)); p != "" {
				t.Errorf("kind %d: %q must be %s", c.kind, s, p)
			}
		}
		for _, s := range c.bad {
			if m.problem([]byte(s)) == "" {
				t.Errorf("kind %d: %q is accepted", c.kind, s)
			}
		}
	}
	for s, want := range map[string]string{"+1": "1", "-01.50": "-1.50", ".5": "0.5", "5.": "5", "1E5": "1E5", " 7 ": "7", "000": "0"} {
		m := &member{kind: kindNumber}
		if got := m.fromXML(s); got != want || m.problem([]byte(got)) != "" {
			t.Errorf("%q is read as %q, want %q", s, got, want)
		}
	}
}
