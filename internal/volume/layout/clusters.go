package layout

import (
	"sallyport/internal/limit"
	"sallyport/internal/verdict"
)

// FirstCluster is the number of the first cluster in FAT and exFAT alike.
const FirstCluster = 2

// Clusters is the numbered room of a FAT or exFAT volume, and the chain of
// clusters that is being followed through it. How the chain goes on is for the
// file system to say.
type Clusters struct {
	Off   int64  // of the first cluster on the device
	Bytes int64  // of one cluster
	Count uint32 // of clusters
	// Chain is what was followed since Restart, in pieces as large as possible.
	Chain []Extent
}

// Exists says whether there is a cluster of this number.
func (c *Clusters) Exists(cluster uint32) bool { return cluster-FirstCluster < c.Count }

// Offset returns where a cluster that exists begins on the device.
func (c *Clusters) Offset(cluster uint32) int64 {
	return c.Off + int64(cluster-FirstCluster)*c.Bytes
}

// Restart begins a new chain.
func (c *Clusters) Restart() { c.Chain = c.Chain[:0] }

// InChain says whether the chain at hand already went over a cluster. It goes
// through the whole chain: it is for the end of one.
func (c *Clusters) InChain(cluster uint32) bool {
	off := c.Offset(cluster)
	for _, x := range c.Chain {
		if off >= x.Off && off < x.Off+x.Len {
			return true
		}
	}
	return false
}

// Follow claims a cluster that exists for the chain at hand and puts it behind
// the chain. The finding says that it cannot be: the chain met itself or, which
// is a problem of the volume as well and written down there, another one.
func (c *Clusters) Follow(w *Walker, cluster uint32, where Place) (*verdict.Finding, error) {
	fresh, err := w.Claim(cluster - FirstCluster)
	switch {
	case err != nil:
		return nil, err
	case fresh:
		return nil, c.append(w, cluster, where)
	case c.InChain(cluster):
		return verdict.New(verdict.FilesystemInconsistent, where.String(), "its chain of clusters runs in a circle at cluster %d", cluster), nil
	}
	f := verdict.New(verdict.FilesystemInconsistent, where.String(), "its chain runs into cluster %d, which belongs to another file or folder", cluster)
	return f, w.Problem(f)
}

// append puts a cluster behind the chain. The memory for a chain in many
// pieces is kept for the chains after it, and taken from the listing's; there is
// always room for one more extent, such as that of a file's zeros.
func (c *Clusters) append(w *Walker, cluster uint32, where Place) error {
	off, n := c.Offset(cluster), len(c.Chain)
	if n > 0 && c.Chain[n-1].Off+c.Chain[n-1].Len == off {
		c.Chain[n-1].Len += c.Bytes
		return nil
	}
	if n+1 >= cap(c.Chain) {
		if err := limit.Check("pieces of a file", int64(n)+1, limit.Pieces); err != nil {
			return overLimit(where.String(), err)
		}
		more := min(max(512, n/2), limit.Pieces+1-n)
		if err := w.budget.memory.Take(int64(more) * extentCost); err != nil {
			return overLimit(where.String(), err)
		}
		c.Chain = append(make([]Extent, 0, n+more), c.Chain...)
	}
	c.Chain = append(c.Chain, Extent{off, c.Bytes})
	return nil
}

// Trim cuts the chain, which has more bytes than n, to n bytes.
func (c *Clusters) Trim(n int64) {
	for i, x := range c.Chain {
		if n <= x.Len {
			c.Chain[i].Len = n
			if n > 0 {
				i++
			}
			c.Chain = c.Chain[:i]
			return
		}
		n -= x.Len
	}
}
