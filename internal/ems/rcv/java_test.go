package rcv

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The expectations were printed by Java 17: (int) Math.floor(nextDouble() × n)
// for n from 2 to 8, then Collections.shuffle of 0 to 10.
func TestRandomIsThatOfJava(t *testing.T) {
	for seed, want := range map[int64]string{
		0:                "[1 0 2 2 3 2 3] [2 6 3 10 1 5 7 9 4 8 0]",
		42:               "[1 2 1 1 3 6 2] [9 4 6 2 10 1 5 8 0 3 7]",
		-7:               "[0 2 2 4 0 3 7] [3 2 6 4 1 5 0 10 9 7 8]",
		140737488355327:  "[1 1 0 4 1 2 4] [6 4 10 3 8 2 5 0 1 9 7]",
		-140737488355328: "[0 2 0 0 0 5 7] [1 7 8 9 2 6 3 0 5 4 10]",
	} {
		r := newJavaRandom(seed)
		var drawn []int
		for n := 2; n < 9; n++ {
			drawn = append(drawn, r.index(n))
		}
		list := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
		newJavaRandom(seed).shuffle(list)
		if have := fmt.Sprint(drawn, list); have != want {
			t.Errorf("seed %d: have %s, want %s", seed, have, want)
		}
	}
}

// The expectations were printed by Java 17 for new HashSet<>(names), as the
// names' places in the list.
func TestOrderOfNamesIsThatOfJava(t *testing.T) {
	var candidates []Candidate
	for i := range 40 {
		more := ""
		if i >= 26 {
			more = "é𝄞"
		}
		candidates = append(candidates, Candidate{Name: "Candidate " + string(rune('A'+i%26)) + more + " Name"})
	}
	for _, name := range []string{"Ünal, Ö", "王小明", "AaAa", "BBBB", "AaBB"} { // the last three have one hash
		candidates = append(candidates, Candidate{Name: name})
	}
	tab := &tabulator{candidates: candidates}
	for _, want := range []string{
		"0 1", "0 2 1", "0 3 2 4 1", "0 6 3 10 2 5 8 11 7 4 1 9", "0 6 12 3 10 2 5 8 11 7 4 1 9",
		"0 6 12 15 3 18 21 14 17 8 23 20 11 24 7 4 1 16 19 10 2 13 5 9 22",
		"38 0 6 37 12 39 15 36 3 18 21 14 17 8 23 20 11 24 7 41 4 1 40 29 42 43 44 25 28 16 19 27 30 10 26 2 31 32 13 5 33 34 35 9 22",
	} {
		var list []int
		for i := range len(strings.Fields(want)) {
			list = append(list, i)
		}
		if have := strings.Trim(fmt.Sprint(tab.hashOrder(list)), "[]"); have != want {
			t.Errorf("%d names: have %s, want %s", len(list), have, want)
		}
	}
	words := []string{"\ue000", "😀", "é", "a", "Z"}
	slices.SortFunc(words, javaCompare)
	if want := []string{"Z", "a", "é", "😀", "\ue000"}; !slices.Equal(words, want) {
		t.Errorf("have the order %q, want %q", words, want)
	}
}

func TestPercentIsCutAsRCTabDoes(t *testing.T) {
	for _, c := range []struct {
		part, all int64
		want      string
	}{
		{1, 3, "33.33%"}, {1, 4, "25.0%"}, {5, 12, "41.66%"}, {7, 7, "100.0%"}, {0, 7, "0.0%"}, {1, 100_000, "0.0%"},
		{152_499_999, 5_000_000_000, "3.05%"}, {152_499_000, 5_000_000_000, "3.04%"}, {999_999_999, 1_000_000_000, "100.0%"}, {3, 0, ""}, {7, 100, "7.0%"}, {5, 9999, "0.05%"},
	} {
		if have := percent(whole(c.part), whole(c.all)); have != c.want {
			t.Errorf("%d of %d: have %s, want %s", c.part, c.all, have, c.want)
		}
	}
}

func TestDecimals(t *testing.T) {
	parse := func(s string) Decimal {
		d, err := ParseDecimal(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := parse("7").Add(parse("0.0000")).String(); d != "7.0000" {
		t.Errorf("7 + 0.0000 is printed as %s", d)
	}
	if d := parse("1").Sub(parse("1.05")).String(); d != "-0.05" {
		t.Errorf("1 - 1.05 is %s", d)
	}
	if d := parse("2").quo(parse("3"), 20, false).String(); d != "0.66666666666666666666" {
		t.Errorf("2 / 3 is %s", d)
	}
	if d := parse("10").quo(parse("4"), 0, true).String(); d != "3" {
		t.Errorf("10 / 4 rounded up is %s", d)
	}
	for _, s := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "1.2.3", "1 ", "٣", strings.Repeat("1", 41)} {
		if _, err := ParseDecimal(s); err == nil {
			t.Errorf("%q was read as a decimal number", s)
		}
	}
}
