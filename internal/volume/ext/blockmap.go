package ext

import "sallyport/internal/verdict"

// Block maps (ifork.rst, "direct/indirect block addressing"): twelve blocks,
// then one block of pointers, one of pointers to those, and one more above.
const (
	directBlocks = 12
	mapLevels    = 3
)

// pointers is a block of pointers that is being read, and what is left of it.
type pointers struct {
	data []byte
	i    int
}

// blockMap maps an inode by its block map, in the order of the file. Each block
// of pointers can have only one owner, so that no walk is longer than the volume.
func (v *volume) blockMap(n *inode, s subject) (*verdict.Finding, error) {
	direct := pointers{data: n.body[:4*directBlocks]}
	next := int64(0)
	if f, err := v.pointers(&direct, &next, s); f != nil || err != nil {
		return f, err
	}
	for height := 1; height <= mapLevels; height++ {
		at := int64(le.Uint32(n.body[4*(directBlocks+height-1):]))
		if at == 0 {
			next += 1 << (uint(height) * v.pointerBits())
			continue
		}
		if f, err := v.indirect(at, height, &next, s); f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}

// indirect goes through a block of pointers with height-1 levels of further
// ones below.
func (v *volume) indirect(at int64, height int, next *int64, s subject) (*verdict.Finding, error) {
	var path [mapLevels]pointers
	p, f, err := v.mapBlock(at, 0, s)
	if f != nil || err != nil {
		return f, err
	}
	path[0].data = p
	for level := 0; level >= 0; {
		node := &path[level]
		below := height - 1 - level // levels of blocks of pointers below this one
		if below == 0 {
			if f, err := v.pointers(node, next, s); f != nil || err != nil {
				return f, err
			}
			level--
			continue
		}
		if node.i == len(node.data) {
			level--
			continue
		}
		at := int64(le.Uint32(node.data[node.i:]))
		node.i += 4
		if at == 0 {
			*next += 1 << (uint(below) * v.pointerBits())
			continue
		}
		if p, f, err = v.mapBlock(at, level+1, s); f != nil || err != nil {
			return f, err
		}
		level++
		path[level] = pointers{data: p}
	}
	return nil, nil
}

// pointers takes the blocks that p points at, run by run.
func (v *volume) pointers(p *pointers, next *int64, s subject) (*verdict.Finding, error) {
	for p.i < len(p.data) {
		first, n := int64(le.Uint32(p.data[p.i:])), int64(1)
		p.i += 4
		if first == 0 {
			*next++
			continue
		}
		for p.i < len(p.data) && int64(le.Uint32(p.data[p.i:])) == first+n {
			n, p.i = n+1, p.i+4
		}
		f, err := v.take(first, n, s)
		if f != nil || err != nil {
			return f, err
		}
		if err := v.put(*next, first, n, false); err != nil {
			return nil, err
		}
		*next += n
	}
	return nil, nil
}
