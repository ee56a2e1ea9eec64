package layout

import "sallyport/internal/limit"

const (
	pageBits  = 32 << 10 // clusters of one page
	pageBytes = pageBits / 8
)

// Claims remembers which clusters are owned, one bit each, in pages of 4 KiB
// that are made when first touched: a volume of 2³² clusters costs what is
// used of it.
type Claims struct {
	memory *limit.Budget
	pages  []*[pageBytes / 8]uint64
}

// Init makes room for n clusters.
func (c *Claims) Init(memory *limit.Budget, n uint32) error {
	pages := (int64(n) + pageBits - 1) / pageBits
	if err := memory.Take(pages * 8); err != nil {
		return err
	}
	c.memory, c.pages = memory, make([]*[pageBytes / 8]uint64, pages)
	return nil
}

// Claim takes cluster i, counted from 0, and says whether it was free.
func (c *Claims) Claim(i uint32) (bool, error) {
	page := c.pages[i/pageBits]
	if page == nil {
		if err := c.memory.Take(pageBytes); err != nil {
			return false, err
		}
		page = new([pageBytes / 8]uint64)
		c.pages[i/pageBits] = page
	}
	word, bit := &page[i%pageBits/64], uint64(1)<<(i%64)
	if *word&bit != 0 {
		return false, nil
	}
	*word |= bit
	return true, nil
}
