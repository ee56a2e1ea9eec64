package reader

import "sallyport/internal/verdict"

// Listing is everything on a medium, as the reader found it. It is foreign:
// checked against the limits and for form, never trusted for its content.
type Listing struct {
	Size     int64  // bytes of the device
	Table    string // "none", "mbr", "gpt"
	Volumes  []VolumeInfo
	Problems []verdict.Finding // of the medium as a whole
	Entries  []Entry           // an entry's ID is its place in this list
}

// VolumeInfo is one volume of a medium.
type VolumeInfo struct {
	Index        int
	Offset, Size int64  // bytes on the device
	FS           string // "fat12", "fat16", "fat32", "exfat", or "" when it could not be read
	Label, ID    string // as recorded
	Problems     []verdict.Finding
}

// Entry is one file or folder.
type Entry struct {
	ID       uint32
	Volume   int    // place in Listing.Volumes
	Path     string // '/'-separated, valid UTF-8, no leading slash; may hold control characters
	Dir      bool
	Size     int64            // bytes, as recorded
	Modified string           // RFC 3339 without zone, as recorded, or ""
	Problem  *verdict.Finding // why it cannot be read whole, or nil
}
