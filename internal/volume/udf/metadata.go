package udf

import (
	"slices"

	"sallyport/internal/verdict"
	"sallyport/internal/volume/layout"
)

// openMetadata finds the metadata file and its mirror (UDF 2.60 section 2.2.13)
// for the partition with the map number i. They hold the same blocks, or with
// the flag "duplicate" two copies of them, which are compared where they are
// read.
func (v *volume) openMetadata(i int, m []byte) error {
	p := &v.parts[i]
	under, ok := v.under(i)
	if !ok {
		return verdict.New(verdict.FilesystemInconsistent, "partition map", "the partition of metadata lies in no other")
	}
	runs, err := v.metadataRuns(addr{le.Uint32(m[40:]), under}, typeMetadata, "metadata file")
	if err != nil {
		return err
	}
	mirror, err := v.metadataRuns(addr{le.Uint32(m[44:]), under}, typeMirror, "metadata mirror")
	if err != nil {
		return err
	}
	p.runs = runs
	const duplicate = 1
	switch {
	case blocks(runs) != blocks(mirror):
		return v.w.Inconsistent("metadata mirror", "it has %d blocks and the metadata file has %d", blocks(mirror), blocks(runs))
	case m[58]&duplicate != 0:
		return v.findTwins(runs, mirror)
	case !slices.Equal(runs, mirror):
		return v.w.Inconsistent("metadata mirror", "it lies elsewhere than the metadata file although the volume says that there is one copy")
	}
	return nil
}

func blocks(runs []run) int64 {
	if len(runs) == 0 {
		return 0
	}
	last := runs[len(runs)-1]
	return last.block + last.n
}

// metadataRuns reads the entry of one of the two files.
func (v *volume) metadataRuns(a addr, kind uint8, what string) ([]run, error) {
	n, f, err := v.readICB(a, what)
	if f != nil || err != nil {
		return nil, orFinding(f, err)
	}
	if n.fileType != kind {
		return nil, inconsistent(n.where, "its file entry is of type %d and not %d", n.fileType, kind)
	}
	if _, err := v.takeICB(n.sector); err != nil {
		return nil, err
	}
	if f, err := v.content(n, false); f != nil || err != nil {
		return nil, orFinding(f, err)
	}
	if err := v.w.Memory(what, int64(len(v.extents))*24); err != nil {
		return nil, err
	}
	runs, block := make([]run, 0, len(v.extents)), int64(0)
	for _, x := range v.extents {
		r := run{block: block, sector: -1, n: (x.Len + v.sector - 1) / v.sector}
		if x.Off != layout.Zeros {
			at := x.Off - v.w.Vol.Offset
			if at%v.sector != 0 {
				return nil, inconsistent(n.where, "it is inside its own file entry")
			}
			r.sector = at / v.sector
		}
		runs, block = append(runs, r), block+r.n
	}
	return runs, nil
}

// findTwins notes which bytes stand in two places.
func (v *volume) findTwins(a, b []run) error {
	if err := v.w.Memory("metadata mirror", int64(len(a)+len(b))*24); err != nil {
		return err
	}
	for block := int64(0); len(a) > 0 && len(b) > 0; {
		n := min(a[0].block+a[0].n, b[0].block+b[0].n) - block
		if a[0].sector >= 0 && b[0].sector >= 0 {
			v.twins = append(v.twins, twin{
				v.offset(a[0].sector + block - a[0].block), n * v.sector, v.offset(b[0].sector + block - b[0].block)})
		}
		if block += n; block == a[0].block+a[0].n {
			a = a[1:]
		}
		if block == b[0].block+b[0].n {
			b = b[1:]
		}
	}
	slices.SortFunc(v.twins, func(x, y twin) int { return int(min(1, max(-1, x.off-y.off))) })
	for i := 1; i < len(v.twins); i++ {
		if v.twins[i-1].off+v.twins[i-1].bytes > v.twins[i].off {
			v.twins = nil
			return v.w.Inconsistent("metadata file", "it holds a block twice")
		}
	}
	return nil
}

// orFinding returns whichever there is, without making an error of no finding.
func orFinding(f *verdict.Finding, err error) error {
	if f != nil {
		return f
	}
	return err
}
