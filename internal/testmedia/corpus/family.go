package corpus

import (
	"fmt"
	"strings"
	"testing"
)

// Family is what one format brings to the corpus.
type Family struct {
	// Name is that of its file, NAME.recipes.
	Name string
	// Bases are the images that "make" can ask for. Their names are unique over
	// all families, and each recipe can use those of any.
	Bases map[string]func(t testing.TB, o *Options) Base
	// Survey looks at the image before it is damaged; what it returns is
	// [Image.Plan] for places, damages and seals, so that they still find their
	// way when the structures that point there are damaged. It may be nil.
	Survey func(img *Image) any
	// Places are the names of places, besides numbers and "end".
	Places map[string]Place
	// Fields that the damage "field" sets.
	Fields []Field
	// Damages by name, besides those of [generic].
	Damages map[string]Damage
	// Seals make checksums good again, or copies equal.
	Seals map[string]Seal
}

// Place is a name for an offset.
type Place struct {
	// Arg says that the name needs an argument behind a colon, as in entry:A.TXT.
	Arg bool
	At  func(img *Image, arg string) int64
}

// Seal makes something good again that a damage made bad.
type Seal struct {
	// Arg says that the name needs an argument behind a colon.
	Arg bool
	Do  func(img *Image, arg string)
}

// Field is a number on the image.
type Field struct {
	Name string
	// Place is one of the family's, Off is relative to it. The argument of a
	// place that needs one stands behind '@' in the recipe, as in size@A.TXT.
	Place string
	Off   int64
	// Width in bytes: 1, 2, 4 or 8.
	Width int
	// Big says that the most significant byte comes first.
	Big bool
}

// Damage is one that has a name.
type Damage struct {
	Args []Kind
	Do   func(img *Image, a []Arg)
}

// families returns all of them. This is the list to add a new one to.
func families() []*Family {
	return []*Family{partitionFamily(), fatFamily(), exfatFamily(), extFamily(), isoFamily(), ntfsFamily(), udfFamily()}
}

// bases returns the base images of all families.
func bases() map[string]func(t testing.TB, o *Options) Base {
	all := map[string]func(t testing.TB, o *Options) Base{}
	for _, f := range families() {
		for name, make := range f.Bases {
			if all[name] != nil {
				panic("two base images have the name " + name)
			}
			all[name] = make
		}
	}
	return all
}

// generic returns the damages that every family has.
func generic() map[string]Damage {
	return map[string]Damage{
		"bytes": {[]Kind{PlaceK, Hex}, func(img *Image, a []Arg) { img.Write(img.At(a[0]), a[1].Bytes...) }},
		"text":  {[]Kind{PlaceK, Word}, func(img *Image, a []Arg) { img.Write(img.At(a[0]), []byte(a[1].Text)...) }},
		"fill": {[]Kind{PlaceK, Number, Hex}, func(img *Image, a []Arg) {
			if len(a[2].Bytes) != 1 {
				img.Fatalf("fill takes one byte")
			}
			p := make([]byte, a[1].N)
			for i := range p {
				p[i] = a[2].Bytes[0]
			}
			img.Write(img.At(a[0]), p...)
		}},
		"copy": {[]Kind{PlaceK, PlaceK, Number}, func(img *Image, a []Arg) {
			img.Write(img.At(a[1]), img.Read(img.At(a[0]), int(a[2].N))...)
		}},
		"swap": {[]Kind{PlaceK, PlaceK, Number}, func(img *Image, a []Arg) {
			from, to, n := img.At(a[0]), img.At(a[1]), int(a[2].N)
			p, q := img.Read(from, n), img.Read(to, n)
			img.Write(from, q...)
			img.Write(to, p...)
		}},
		"truncate": {[]Kind{PlaceK}, func(img *Image, a []Arg) { img.Truncate(img.At(a[0])) }},
		"extend": {[]Kind{Number}, func(img *Image, a []Arg) {
			if a[0].N <= img.Size() {
				img.Fatalf("the image has %d bytes already", img.Size())
			}
			img.Truncate(a[0].N)
		}},
		"field": {[]Kind{FieldK, ValueK}, func(img *Image, a []Arg) { img.setField(a[0].field, a[1].value) }},
		"seal":  {[]Kind{SealK}, func(img *Image, a []Arg) { a[0].seal.Do(img, a[0].Text) }},
	}
}

// place is a parsed PLACE.
type place struct {
	at    Place
	arg   string
	fixed bool // delta is the offset itself
	end   bool // the end of the image
	delta int64
}

// parsePlace reads NUMBER, NAME, NAME:ARGUMENT or "end", the last three with
// +NUMBER or -NUMBER behind.
func (f *Family) parsePlace(s string) (p place, err error) {
	if n, err := parseNumber(s); s != "" && err == nil {
		return place{fixed: true, delta: n}, nil
	}
	if i := strings.LastIndexAny(s, "+-"); i > 0 {
		if n, err := parseNumber(s[i+1:]); err == nil && i+1 < len(s) {
			if p.delta = n; s[i] == '-' {
				p.delta = -n
			}
			s = s[:i]
		}
	}
	name, arg, hasArg := strings.Cut(s, ":")
	if p.end = name == "end"; p.end && !hasArg {
		return p, nil
	}
	at, ok := f.Places[name]
	switch {
	case !ok:
		return p, fmt.Errorf("there is no place %q", name)
	case at.Arg != hasArg:
		return p, fmt.Errorf("the place %q needs an argument, or has one and needs none", name)
	}
	p.at, p.arg = at, arg
	return p, nil
}

// fieldAt is a field with the argument of its place.
type fieldAt struct {
	Field
	where place
}

func (f *Family) findField(s string) (fieldAt, error) {
	name, arg, hasArg := strings.Cut(s, "@")
	for _, field := range f.Fields {
		if field.Name != name {
			continue
		}
		at, ok := f.Places[field.Place]
		if !ok || at.Arg != hasArg {
			return fieldAt{}, fmt.Errorf("the field %q needs an argument, or has one and needs none", name)
		}
		return fieldAt{field, place{at: at, arg: arg, delta: field.Off}}, nil
	}
	return fieldAt{}, fmt.Errorf("there is no field %q", name)
}

// findSeal reads NAME or NAME:ARGUMENT and returns the seal and its argument.
func (f *Family) findSeal(s string) (seal Seal, arg string, err error) {
	name, arg, hasArg := strings.Cut(s, ":")
	seal, ok := f.Seals[name]
	if !ok || seal.Arg != hasArg {
		return seal, "", fmt.Errorf("there is no seal %q with these arguments", name)
	}
	return seal, arg, nil
}
