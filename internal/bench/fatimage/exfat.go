package fatimage

// WriteExFAT writes a new image file. Files in one piece have no chain, as most
// systems write them.
func (m *Image) WriteExFAT(path string) error {
	const tableAt = 24 * sector
	p := &plan{Image: m, next: first}
	// The bitmap comes first, so its size is that of a guess which is large enough.
	guess := int64(64)
	for _, d := range append(m.Folders, Folder{Files: m.Files}) {
		guess += 2
		for _, f := range d.Files {
			guess += 1 + (f.Size+m.Cluster-1)/m.Cluster + (4*sector)/m.Cluster
		}
	}
	bitmap := p.alloc((guess + 7) / 8)
	upcase := upcaseTable()
	letters := p.alloc(int64(len(upcase)))
	p.place(2*record, 0, func(name string) int64 { return int64(len(entrySet(name, 0, run{}, 0, p.Cluster))) })
	clusters := max(guess, int64(p.next)-first)
	if clusters > int64(bitmap.n)*m.Cluster*8 {
		panic("the bitmap is too small")
	}
	tableBytes := roundUp((clusters+first)*4, sector)
	heapOff := roundUp(tableAt+tableBytes, m.Cluster)
	w, err := create(path, heapOff+clusters*m.Cluster)
	if err != nil {
		return err
	}
	for at, region := int64(0), p.bootRegion(tableAt, tableBytes, heapOff, clusters); at < tableAt; at += tableAt / 2 {
		w.at(at, region)
	}
	table := make([]byte, tableBytes)
	p.chains(table, true)
	for _, r := range []run{bitmap, letters} {
		(&plan{Image: m, root: r}).chains(table, true)
	}
	le.PutUint32(table, 0xFFFFFFF8)
	le.PutUint32(table[4:], 0xFFFFFFFF)
	w.at(tableAt, table)

	at := func(r run) int64 { return heapOff + int64(r.at-first)*m.Cluster }
	used := make([]byte, (clusters+7)/8)
	for c := range p.next - first {
		used[c/8] |= 1 << (c % 8)
	}
	w.at(at(bitmap), used)
	w.at(at(letters), upcase)
	root := make([]byte, 2*record)
	root[0] = 0x81
	le.PutUint32(root[20:], bitmap.at)
	le.PutUint64(root[24:], uint64(len(used)))
	root[record] = 0x82
	le.PutUint32(root[record+4:], sum32(upcase))
	le.PutUint32(root[record+20:], letters.at)
	le.PutUint64(root[record+24:], uint64(len(upcase)))
	for i, d := range m.Folders {
		r := p.folders[i]
		root = append(root, entrySet(d.Name, 0x10, r, int64(r.n)*m.Cluster, m.Cluster)...)
		w.at(at(r), p.exfatFiles(nil, d.Files, p.files[i]))
	}
	w.at(at(p.root), p.exfatFiles(root, m.Files, p.files[len(m.Folders)]))
	if w.err == nil {
		w.err = p.content(w.f, heapOff)
	}
	return w.close()
}

func (p *plan) exfatFiles(dir []byte, files []File, places []run) []byte {
	for i, f := range files {
		dir = append(dir, entrySet(f.Name, 0x20, places[i], f.Size, p.Cluster)...)
	}
	return dir
}

// bootRegion returns one of the two regions (exFAT specification section 3).
func (p *plan) bootRegion(tableAt, tableBytes, heapOff, clusters int64) []byte {
	b := make([]byte, 12*sector)
	copy(b, "\xEB\x76\x90EXFAT   ")
	le.PutUint64(b[72:], uint64((heapOff+clusters*p.Cluster)/sector))
	le.PutUint32(b[80:], uint32(tableAt/sector))
	le.PutUint32(b[84:], uint32(tableBytes/sector))
	le.PutUint32(b[88:], uint32(heapOff/sector))
	le.PutUint32(b[92:], uint32(clusters))
	le.PutUint32(b[96:], p.root.at)
	copy(b[100:], "\x78\x56\x34\x12\x00\x01\x00\x00\x09\x00\x01\x80\xFF")
	for n := p.Cluster / sector; n > 1; n /= 2 {
		b[109]++
	}
	for i := range 9 {
		b[i*sector+510], b[i*sector+511] = 0x55, 0xAA
	}
	sum := uint32(0)
	for i, c := range b[:11*sector] {
		if i != 106 && i != 107 && i != 112 {
			sum = sum<<31 + sum>>1 + uint32(c)
		}
	}
	for i := 11 * sector; i < len(b); i += 4 {
		le.PutUint32(b[i:], sum)
	}
	return b
}

// entrySet returns the entries of one name (section 7.4).
func entrySet(name string, attr byte, r run, size, cluster int64) []byte {
	u := units(name)
	set := make([]byte, 2*record+(len(u)+14)/15*record)
	set[0], set[1], set[4] = 0x85, byte(len(set)/record-1), attr
	for _, at := range []int{8, 12, 16} {
		le.PutUint32(set[at:], dosDate<<16)
	}
	stream := set[record:]
	stream[0], stream[1], stream[3] = 0xC0, 1, byte(len(u))
	if r.step == 1 {
		stream[1] |= 2
	}
	le.PutUint64(stream[8:], uint64(size))
	le.PutUint32(stream[20:], r.at)
	le.PutUint64(stream[24:], uint64(size))
	hash := uint16(0)
	for i, v := range u {
		p := set[2*record+i/15*record:]
		p[0] = 0xC1
		le.PutUint16(p[2+i%15*2:], v)
		if 'a' <= v && v <= 'z' {
			v -= 'a' - 'A'
		}
		for _, c := range []uint16{v & 0xFF, v >> 8} {
			hash = hash<<15 + hash>>1 + c
		}
	}
	le.PutUint16(stream[4:], hash)
	sum := uint16(0)
	for i, c := range set {
		if i != 2 && i != 3 {
			sum = sum<<15 + sum>>1 + uint16(c)
		}
	}
	le.PutUint16(set[2:], sum)
	return set
}

// upcaseTable folds ASCII; everything else stands for itself (section 7.2.5).
func upcaseTable() []byte {
	var b []byte
	for c := range uint16(128) {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		b = le.AppendUint16(b, c)
	}
	return le.AppendUint16(le.AppendUint16(b, 0xFFFF), 1<<16-128)
}

func sum32(p []byte) (sum uint32) {
	for _, c := range p {
		sum = sum<<31 + sum>>1 + uint32(c)
	}
	return sum
}
