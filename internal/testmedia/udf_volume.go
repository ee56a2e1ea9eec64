package testmedia

import "encoding/binary"

// fileSet writes the file set descriptor.
func (w *udfWriter) fileSet(at, root udfAddr) {
	d := w.room(at)
	putTime(d[16:])
	putCharset(d[48:])
	putDstring(d[112:240], "MADE")
	putCharset(d[240:])
	putDstring(d[304:336], "F")
	putLong(d[400:], int64(w.bs), 0, root)
	putEntity(d[416:], "*OSTA UDF Compliant", byte(w.o.Revision), byte(w.o.Revision>>8))
	SealUDFTag(d, 256, at.block, 496)
}

func putCharset(d []byte) { copy(d[1:], "OSTA Compressed Unicode") }

// metadata writes the metadata file, its mirror and their entries.
func (w *udfWriter) metadata() {
	le := binary.LittleEndian
	first := w.blocks(len(w.meta))
	second := first
	if w.o.Kind == "duplicate" {
		second = w.blocks(len(w.meta))
	}
	for i, b := range w.meta {
		copy(w.at(w.sector(first+i), w.bs), b)
		copy(w.at(w.sector(second+i), w.bs), b)
	}
	for i, at := range []int{first, second} {
		d := w.at(w.sector(i), w.bs)
		le.PutUint16(d[20:], 4)
		le.PutUint16(d[24:], 1)
		d[27] = byte(250 + i)
		size := len(w.meta) * w.bs
		le.PutUint64(d[56:], uint64(size))
		le.PutUint64(d[64:], uint64(size))
		le.PutUint32(d[212:], 8)
		le.PutUint32(d[216:], uint32(size))
		le.PutUint32(d[220:], uint32(at))
		SealUDFTag(d, 266, uint32(i), 208)
	}
}

// table writes the virtual allocation table as the last thing on the disc.
func (w *udfWriter) table() {
	le := binary.LittleEndian
	var data []byte
	if w.o.Revision >= 0x0200 {
		data = make([]byte, 152)
		le.PutUint16(data, 152)
		putDstring(data[4:132], "MADE")
		le.PutUint32(data[132:], 0xFFFFFFFF)
	}
	for _, block := range w.vat {
		data = le.AppendUint32(data, block)
	}
	kind := byte(248)
	if w.o.Revision < 0x0200 {
		kind = 0
		tail := make([]byte, 36)
		putEntity(tail, "*UDF Virtual Alloc Tbl", 0x50, 0x01)
		le.PutUint32(tail[32:], 0xFFFFFFFF)
		data = append(data, tail...)
	}
	first := w.blocks((len(data) + w.bs - 1) / w.bs)
	copy(w.at(w.sector(first), len(data)), data)
	block := w.blocks(1)
	d := w.at(w.sector(block), w.bs)
	le.PutUint16(d[20:], 4)
	le.PutUint16(d[24:], 1)
	d[27] = kind
	le.PutUint64(d[56:], uint64(len(data)))
	le.PutUint32(d[172:], 8)
	le.PutUint32(d[176:], uint32(len(data)))
	le.PutUint32(d[180:], uint32(first))
	SealUDFTag(d, 261, uint32(block), 168)
}

// volume writes what comes before the partition, and the last anchor.
func (w *udfWriter) volume(set udfAddr, length int) {
	le := binary.LittleEndian
	nsr := "NSR02"
	if w.o.Revision >= 0x0200 {
		nsr = "NSR03"
	}
	step := max(2048, w.bs)
	for i, id := range []string{"BEA01", nsr, "TEA01"} {
		d := w.at((32<<10+i*step)/w.bs, 7)
		copy(d[1:], id)
		d[6] = 1
	}
	for _, at := range []int{udfMain, udfReserve} {
		w.sequence(at, set, length, nsr)
	}
	if w.o.Kind == "sparable" {
		for _, at := range []int{udfSparing, udfSparing + 1} {
			d := w.at(at, w.bs)
			putEntity(d[16:], "*UDF Sparing Table", 0x01, 0x02)
			le.PutUint16(d[48:], 2)
			le.PutUint32(d[56:], uint32(w.moved))
			le.PutUint32(d[60:], uint32(w.sector(w.moved)))
			le.PutUint32(d[64:], 0xFFFFFFFF)
			le.PutUint32(d[68:], 208)
			SealUDFTag(d, 0, uint32(at), 56)
		}
	}
	anchors := []int{udfAnchor}
	if w.o.Kind != "vat" {
		anchors = append(anchors, w.start+length)
	}
	for _, at := range anchors {
		d := w.at(at, 512)
		le.PutUint32(d[16:], uint32(16*w.bs))
		le.PutUint32(d[20:], udfMain)
		le.PutUint32(d[24:], uint32(16*w.bs))
		le.PutUint32(d[28:], udfReserve)
		SealUDFTag(d, 2, uint32(at), 496)
	}
}

// sequence writes one volume descriptor sequence.
func (w *udfWriter) sequence(at int, set udfAddr, length int, nsr string) {
	le := binary.LittleEndian
	n := 0
	next := func(id uint16, fill func(d []byte), covers int) {
		d := w.at(at+n, w.bs)
		le.PutUint32(d[16:], uint32(n+1))
		fill(d)
		SealUDFTag(d, id, uint32(at+n), covers)
		n++
	}
	next(1, func(d []byte) {
		putDstring(d[24:56], "P")
		le.PutUint16(d[56:], 1)
		le.PutUint16(d[58:], 1)
		putDstring(d[72:200], "0123456789abcdefMADE")
		putCharset(d[200:])
		putTime(d[376:])
	}, 496)
	next(5, func(d []byte) {
		le.PutUint16(d[20:], 1)
		putEntity(d[24:], "+"+nsr)
		access := uint32(4)
		if w.o.ReadOnly {
			access = 1
		}
		if w.o.Kind == "vat" {
			access = 2
		}
		le.PutUint32(d[184:], access)
		le.PutUint32(d[188:], uint32(w.start))
		le.PutUint32(d[192:], uint32(length))
	}, 496)
	next(6, func(d []byte) {
		putCharset(d[20:])
		putDstring(d[84:212], "MADE")
		le.PutUint32(d[212:], uint32(w.bs))
		putEntity(d[216:], "*OSTA UDF Compliant", byte(w.o.Revision), byte(w.o.Revision>>8))
		putLong(d[248:], int64(w.bs), 0, set)
		maps := w.maps()
		le.PutUint32(d[264:], uint32(len(maps)))
		le.PutUint32(d[268:], 1)
		if len(maps) > 64 {
			le.PutUint32(d[268:], 2)
		}
		copy(d[440:], maps)
	}, w.bs-16)
	next(7, func([]byte) {}, 8)
	next(8, func([]byte) {}, 496)
}

// maps returns the partition maps.
func (w *udfWriter) maps() []byte {
	le := binary.LittleEndian
	plain := []byte{1, 6, 1, 0, 0, 0}
	kind := make([]byte, 64)
	kind[0], kind[1], kind[36] = 2, 64, 1
	suffix := []byte{byte(w.o.Revision), byte(w.o.Revision >> 8)}
	switch w.o.Kind {
	case "vat":
		putEntity(kind[4:], "*UDF Virtual Partition", suffix...)
	case "sparable":
		putEntity(kind[4:], "*UDF Sparable Partition", suffix...)
		le.PutUint16(kind[40:], udfPacket)
		kind[42] = 2
		le.PutUint32(kind[44:], uint32(w.bs))
		le.PutUint32(kind[48:], udfSparing)
		le.PutUint32(kind[52:], udfSparing+1)
		return kind
	case "metadata", "duplicate":
		putEntity(kind[4:], "*UDF Metadata Partition", suffix...)
		le.PutUint32(kind[44:], 1)
		le.PutUint32(kind[48:], 0xFFFFFFFF)
		le.PutUint32(kind[52:], 32)
		le.PutUint16(kind[56:], 1)
		if w.o.Kind == "duplicate" {
			kind[58] = 1
		}
	default:
		return plain
	}
	return append(plain, kind...)
}
