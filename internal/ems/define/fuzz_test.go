package define_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/ems/define"
)

// unpack reads an archive of small files: a line "-- NAME --" begins a file.
func unpack(data string) fstest.MapFS {
	out := fstest.MapFS{}
	name := ""
	for line := range strings.Lines(data) {
		bare := strings.TrimRight(line, "\r\n")
		if n, ok := strings.CutPrefix(bare, "-- "); ok && strings.HasSuffix(n, " --") {
			if name = strings.TrimSuffix(n, " --"); name == "" || strings.ContainsAny(name, "/\\") || len(out) > 20 {
				return nil
			}
			out[name] = &fstest.MapFile{}
			continue
		}
		if name != "" {
			out[name].Data = append(out[name].Data, line...)
		}
	}
	return out
}

func pack(set fstest.MapFS) string {
	var b strings.Builder
	for name, f := range set {
		b.WriteString("-- " + name + " --\n" + string(f.Data))
	}
	return b.String()
}

// smallest is a set that is valid.
const smallest = "-- election.csv --\nkey,value\nname,E\ntype,general\ndate,2026-11-03\njurisdiction,p\nissuer,I\nlocal_id,e\n" +
	"-- units.csv --\nid,type\np,precinct\n-- contests.csv --\nid,type,district,title\nm,measure,p,Q\n"

// A set gives problems, each with a file, or a valid definition that a set can
// hold again or that is refused by name.
func FuzzReadSet(f *testing.F) {
	f.Add(smallest)
	f.Add(pack(sample(f, general)))
	f.Add(pack(sample(f, primary)))
	if set, err := written(read(f, sample(f, primary))); err == nil {
		f.Add(pack(set))
	}
	f.Add("-- units.csv --\n\ufeffid;type\r\np;precinct\r\n-- x.csv --\n")
	f.Add(strings.Replace(smallest, "Q", "\"Q\"\"", 1))
	f.Fuzz(func(t *testing.T, data string) {
		set := unpack(data)
		if set == nil {
			return
		}
		d, bad := define.ReadSet(set)
		if (d == nil) != (len(bad) > 0) || len(bad) > 1000 {
			t.Fatalf("%d problems, definition %v", len(bad), d != nil)
		}
		for _, p := range bad {
			if p.File == "" || p.Rule == "" || p.Text == "" {
				t.Errorf("%+v", p)
			}
		}
		if d == nil {
			return
		}
		v, problems := d.Check()
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		_ = define.Matrix(v).Text()
		_ = define.Review(v)
		again, err := written(v)
		if refused := (*define.CannotHoldError)(nil); errors.As(err, &refused) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if got := changes(t, v, read(t, again)); len(got) > 0 {
			t.Error(got)
		}
	})
}

// An edit that is read is written as the words that it was read from, and is
// applied or refused.
func FuzzParseEdit(f *testing.F) {
	for _, line := range []string{
		"contest set mayor votes_allowed=2 title=Mayor", "unit add x type=city name=X part_of=county", "candidate add y contest=mayor name=Y",
		"contest order governor option-candidate-3 option-candidate-1", "translation set mayor title es Alcalde", "translation remove mayor title es",
		"style remove 1", "election set date=2026-11-04", "option add o contest=judge kind=answer text=Maybe", "party remove elm",
		"candidate add z ticket_with=candidate-5 name=Z", "contest set governor write_ins=3",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\n"))
	}
	v := read(f, sample(f, general))
	f.Fuzz(func(t *testing.T, data string) {
		args := strings.Split(data, "\n")
		e, err := define.ParseEdit(args)
		if err != nil {
			return
		}
		if diff := cmp.Diff(args, e.Args()); diff != "" {
			t.Error(diff)
		}
		d, err := define.Apply(v.Definition(), e)
		if err != nil {
			if refused := (*define.EditError)(nil); !errors.As(err, &refused) {
				t.Error(err)
			}
			return
		}
		if _, err := d.JSON(); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	})
}

func TestTheSmallestSetIsValid(t *testing.T) {
	v := read(t, unpack(smallest))
	if diff := cmp.Diff([]string{"p: m"}, matrix(v)); diff != "" {
		t.Error(diff)
	}
}
