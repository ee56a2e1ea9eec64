package translog

// visitor calls [VerifyOptions.Visit] in a goroutine of its own, so that what it
// does with the entries costs no time on a second processor. Entries are copied
// into batches, of which only a few are under way.
type visitor struct {
	visit func(Entry) error
	batch []Entry // their data stand in data
	data  []byte
	todo  chan []Entry
	free  chan []byte
	done  chan struct{}

	damage []Damage // of the goroutine, until done is closed
	more   int64
}

const (
	batchBytes = 256 << 10
	batches    = 4
)

func newVisitor(visit func(Entry) error) *visitor {
	v := &visitor{visit: visit, todo: make(chan []Entry, batches), free: make(chan []byte, batches), done: make(chan struct{})}
	for range batches {
		v.free <- nil
	}
	go v.run()
	return v
}

func (v *visitor) run() {
	defer close(v.done)
	for batch := range v.todo {
		for _, e := range batch {
			err := v.visit(e)
			switch {
			case err == nil:
			case len(v.damage) < maxDamage:
				v.damage = append(v.damage, Damage{File: e.File, Offset: e.Offset, Entry: e.Index, Until: e.Index + 1, Detail: err.Error()})
			default:
				v.more++
			}
		}
		v.free <- batch[0].Data[:0]
	}
}

// add hands over an entry, whose data are copied.
func (v *visitor) add(e Entry) {
	if len(v.data)+len(e.Data) > cap(v.data) {
		v.flush()
		v.data = <-v.free
		if cap(v.data) == 0 {
			v.data = make([]byte, 0, batchBytes)
		}
	}
	at := len(v.data)
	v.data = append(v.data, e.Data...)
	e.Data = v.data[at:]
	v.batch = append(v.batch, e)
}

func (v *visitor) flush() {
	if len(v.batch) > 0 {
		v.todo <- v.batch
		v.batch = nil
	}
}

// end waits until every entry was visited, and adds what was found to the report.
func (v *visitor) end(rep *Report) {
	v.flush()
	close(v.todo)
	<-v.done
	for _, d := range v.damage {
		rep.add(d)
	}
	rep.MoreDamage += v.more
}
