package corpus

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/testmedia"
	"sallyport/internal/testtool"
)

// udfFamily is UDF without a partition table, and discs that are ISO 9660 as
// well.
func udfFamily() *Family {
	return &Family{
		Name: "udf",
		Bases: map[string]func(t testing.TB, o *Options) Base{
			"udf":        udfBase,
			"udf-tools":  udfToolsBase,
			"udf-bridge": udfBridgeBase,
		},
		Survey: func(img *Image) any { return surveyUDF(img) },
		Places: udfPlaces(),
		Fields: udfFields(),
		Damages: map[string]Damage{
			// point makes a name lead to the file entry of another file or folder.
			"point": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
				p := udfPlanOf(img)
				to := p.find(img, a[1].Text)
				img.SetNumber(p.find(img, a[0].Text).name+24, 4, uint64(to.block))
				img.SetNumber(p.find(img, a[0].Text).name+28, 2, uint64(to.ref))
				resealAt(img, p.find(img, a[0].Text).name)
			}},
			// share makes the first extent of a file begin where that of another does.
			"share": {[]Kind{Word, Word}, func(img *Image, a []Arg) {
				p := udfPlanOf(img)
				from, to := p.find(img, a[1].Text), p.find(img, a[0].Text)
				img.Write(to.ads+4, img.Read(from.ads+4, 4)...)
				resealAt(img, to.icb)
			}},
		},
		Seals: map[string]Seal{
			// tag makes the two checksums of the descriptor at a place good.
			"tag": {Arg: true, Do: func(img *Image, arg string) {
				at, err := img.family.parsePlace(arg)
				if err != nil {
					img.Fatal(err)
				}
				resealAt(img, img.resolve(at))
			}},
			// reserve copies the main volume descriptors over the reserve ones.
			"reserve": {Do: func(img *Image, _ string) {
				p := udfPlanOf(img)
				for i := range int64(16) {
					d := img.Read((p.main+i)*p.block, int(p.block))
					at := (p.reserve + i) * p.block
					img.Write(at, d...)
					if d[10]|d[11] != 0 {
						img.SetNumber(at+12, 4, uint64(p.reserve+i))
						resealAt(img, at)
						resealAt(img, (p.main+i)*p.block)
					}
				}
			}},
		},
	}
}

// resealAt makes the checksums of a descriptor good.
func resealAt(img *Image, at int64) {
	n := 16 + img.Number(at+10, 2)
	d := img.Read(at, int(min(n, uint64(img.Size()-at))))
	testmedia.ResealUDFTag(d)
	img.Write(at, d...)
}

// udfBase writes a medium of its own: kind= (vat, sparable, metadata,
// duplicate), revision=0x201, block=512, long=1, plain=1, embed=1, readonly=1,
// and extra=, a thing besides the tree.
func udfBase(t testing.TB, o *Options) Base {
	t.Helper()
	tree := o.Tree()
	s := testmedia.UDFShape{
		Kind: o.Word("kind", ""), Revision: uint16(o.Number("revision", "0x201")), Block: int(o.Number("block", "512")),
		LongADs: o.Number("long", "0") > 0, Plain: o.Number("plain", "0") > 0, Embed: o.Number("embed", "0") > 0,
		ReadOnly: o.Number("readonly", "0") > 0,
	}
	nodes := testmedia.UDFTree(tree)
	n := o.Number("n", "0")
	switch extra := o.Word("extra", ""); extra {
	case "":
	case "pieces": // more allocation descriptors than the file entry holds
		tree["PIECES.BIN"] = noise(9, int(n)*s.Block)
		nodes = append(nodes, testmedia.UDFNode{Name: "PIECES.BIN", Data: tree["PIECES.BIN"], Pieces: 1})
	case "odd":
		tree["SPARSE.BIN"] = append(noise(10, 4096), make([]byte, 100_000)...)
		nodes = append(nodes, testmedia.UDFNode{Name: "SPARSE.BIN", Data: tree["SPARSE.BIN"][:4096], Hole: 65536, Unwritten: 100_000 - 65536},
			testmedia.UDFNode{Name: "AGAIN.TXT", Link: "0"}, testmedia.UDFNode{Name: "SYM", Type: 12}, testmedia.UDFNode{Name: "FIFO", Type: 9},
			testmedia.UDFNode{Name: "GONE.TXT", Deleted: true},
			testmedia.UDFNode{Name: "FORK.TXT", Data: []byte("x"), Streams: []testmedia.UDFNode{{Name: "SIDE", Data: noise(11, 900)}}})
		tree["FORK.TXT"] = []byte("x")
	case "deep":
		inner := testmedia.UDFNode{Name: "end.txt", Data: []byte("end")}
		for range n {
			inner = testmedia.UDFNode{Name: "d", Kids: []testmedia.UDFNode{inner}}
		}
		nodes = append(nodes, inner)
	case "crowd": // names of one file
		kids := []testmedia.UDFNode{{Name: "first", Data: []byte("first")}}
		for i := range n {
			kids = append(kids, testmedia.UDFNode{Name: strconv.FormatInt(i, 10), Link: strconv.Itoa(len(nodes)) + "/0"})
		}
		nodes = append(nodes, testmedia.UDFNode{Name: "CROWD", Kids: kids})
	default:
		t.Fatalf("make udf: there is no extra %q", extra)
	}
	img := filepath.Join(t.TempDir(), "udf.img")
	if err := os.WriteFile(img, testmedia.UDFImage(s, nodes), 0o644); err != nil {
		t.Fatal(err)
	}
	return Base{img, []testmedia.Files{tree}}
}

// udfToolsBase is formatted by mkudffs and filled by udfclient.
func udfToolsBase(t testing.TB, o *Options) Base {
	t.Helper()
	tree := o.Tree()
	opt := testmedia.UDFOptions{Media: o.Word("media", ""), Revision: o.Word("revision", ""), Block: int(o.Number("block", "512"))}
	if len(tree) == 0 {
		opt.Blocks = 8000
		return Base{testmedia.EmptyUDF(t, opt), []testmedia.Files{tree}}
	}
	return Base{testmedia.UDFFrom(t, opt, testmedia.Folder(t, tree)), []testmedia.Files{tree}}
}

// udfBridgeBase is ISO 9660 and UDF at once, by genisoimage.
func udfBridgeBase(t testing.TB, o *Options) Base {
	t.Helper()
	tree := o.Tree()
	img := filepath.Join(t.TempDir(), "bridge.iso")
	testtool.Run(t, "genisoimage", "-quiet", "-udf", "-R", "-o", img, testmedia.Folder(t, tree))
	return Base{img, []testmedia.Files{tree}}
}

// udfPlaces: the anchors, volume descriptors by name ("main:partition"), the
// file set, and for each file or folder its file entry, its allocation
// descriptors, the identifier with its name, and its content.
func udfPlaces() map[string]Place {
	of := func(get func(f udfFile) int64) Place {
		return Place{Arg: true, At: func(img *Image, file string) int64 { return get(udfPlanOf(img).find(img, file)) }}
	}
	at := func(get func(p *udfPlan) int64) Place {
		return Place{At: func(img *Image, _ string) int64 { return get(udfPlanOf(img)) }}
	}
	descriptor := func(img *Image, list map[string]int64, name string) int64 {
		at, ok := list[name]
		if !ok {
			img.Fatalf("there is no volume descriptor %q", name)
		}
		return at
	}
	return map[string]Place{
		"vrs":         at(func(*udfPlan) int64 { return 32 << 10 }),
		"anchor":      at(func(p *udfPlan) int64 { return 256 * p.block }),
		"anchor-last": at(func(p *udfPlan) int64 { return p.last }),
		"main":        {Arg: true, At: func(img *Image, name string) int64 { return descriptor(img, udfPlanOf(img).mains, name) }},
		"reserve":     {Arg: true, At: func(img *Image, name string) int64 { return descriptor(img, udfPlanOf(img).reserves, name) }},
		"map": {Arg: true, At: func(img *Image, n string) int64 {
			i, err := strconv.Atoi(n)
			p := udfPlanOf(img)
			if err != nil || i < 0 || i >= len(p.maps) {
				img.Fatalf("there is no partition map %q", n)
			}
			return p.maps[i]
		}},
		"partition": at(func(p *udfPlan) int64 { return p.start * p.block }),
		"fileset":   at(func(p *udfPlan) int64 { return p.fileSet }),
		"vat":       at(func(p *udfPlan) int64 { return p.vat }),
		"vat-data":  at(func(p *udfPlan) int64 { return p.vatData }),
		"sparing":   at(func(p *udfPlan) int64 { return p.sparing }),
		"metadata":  at(func(p *udfPlan) int64 { return p.metadata }),
		"mirror":    at(func(p *udfPlan) int64 { return p.mirror }),
		"icb":       of(func(f udfFile) int64 { return f.icb }),
		"lengths":   of(func(f udfFile) int64 { return f.head - 8 }),
		"ads":       of(func(f udfFile) int64 { return f.ads }),
		"name":      of(func(f udfFile) int64 { return f.name }),
		"more":      of(func(f udfFile) int64 { return f.more }),
	}
}

// udfFields lists numbers as NAME, place, offset and width.
func udfFields() (fields []Field) {
	for _, place := range []string{"anchor", "anchor-last", "main", "reserve", "fileset", "vat", "sparing", "metadata", "mirror", "icb", "name", "more"} {
		for _, f := range []Field{{"id", "", 0, 2, false}, {"version", "", 2, 2, false}, {"sum", "", 4, 1, false}, {"crc", "", 8, 2, false}, {"covers", "", 10, 2, false}, {"location", "", 12, 4, false}} {
			fields = append(fields, Field{place + "-" + f.Name, place, f.Off, f.Width, false})
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(`
main-bytes anchor 16 4|main-sector anchor 20 4|reserve-bytes anchor 24 4|reserve-sector anchor 28 4
sequence main 16 4|volume-number main 56 2
partition-number main 22 2|access main 184 4|start main 188 4|length main 192 4
block-size main 212 4|revision main 240 2|fileset-bytes main 248 4|fileset-block main 252 4|fileset-ref main 256 2
map-bytes main 264 4|map-count main 268 4
map-type map 0 1|map-length map 1 1|map-volume map 2 2|map-number map 4 2
packet map 40 2|tables map 42 1|table-bytes map 44 4|table-sector map 48 4
metadata-block map 40 4|mirror-block map 44 4|map-flags map 58 1
root-bytes fileset 400 4|root-block fileset 404 4|root-ref fileset 408 2|next-bytes fileset 448 4|streams-bytes fileset 464 4|streams-block fileset 468 4
entries sparing 48 2|spare-block sparing 56 4|spare-sector sparing 60 4|spare-block-2 sparing 64 4|spare-sector-2 sparing 68 4
strategy icb 20 2|type icb 27 1|flags icb 34 2|links icb 48 2|size icb 56 8
attribute-bytes lengths 0 4|ad-bytes lengths 4 4
extent-bytes ads 0 4|extent-block ads 4 4|extent-ref ads 8 2
characteristics name 18 1|name-length name 19 1|icb-bytes name 20 4|icb-block name 24 4|icb-ref name 28 2|use-length name 36 2|name-width name 38 1
more-bytes more 20 4
vat-size vat 56 8|vat-type vat 27 1|metadata-size metadata 56 8|mirror-size mirror 56 8|metadata-type metadata 27 1|mirror-type mirror 27 1|vat-entry vat-data 0 4
`), "\n") {
		for _, f := range strings.Split(line, "|") {
			w := strings.Fields(f)
			off, _ := strconv.ParseInt(w[2], 10, 64)
			width, _ := strconv.Atoi(w[3])
			fields = append(fields, Field{w[0], w[1], off, width, false})
		}
	}
	return fields
}
