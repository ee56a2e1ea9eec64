package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"sallyport/internal/control"
	"sallyport/internal/manifest"
	"sallyport/internal/station"
	"sallyport/internal/verdict"
)

// readBack reads files that were written and made durable once more, from the
// medium rather than from memory, and compares them with what was hashed while
// it was written. What it reads is compared and nothing else: nothing that comes
// from a medium is ever signed.
func readBack(dir string, files []manifest.File) error {
	for _, want := range files {
		name := filepath.Join(dir, filepath.FromSlash(want.Path))
		size, sum, err := hashAgain(name)
		switch {
		case err != nil:
			return fmt.Errorf("cannot read back what was written: %w; use another medium", err)
		case size != want.Size || sum != want.SHA256:
			return control.Failf(codeFailed, "the medium did not keep what was written: %s has %d bytes with the SHA-256 %s, written were %d with %s; use another medium, and throw this one away",
				verdict.Escape(name), size, sum, want.Size, want.SHA256)
		}
	}
	return nil
}

func hashAgain(name string) (size int64, sum string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	// The file is durable, so its pages can go; where the kernel keeps them all
	// the same, this compares with memory, which is no worse than before.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// sealPlan is what 'seal --dry-run' prints: what would be signed, but for what
// only the signing gives (package id, sequence, package before it, time).
type sealPlan struct {
	Kind           manifest.Kind   `json:"kind"`
	Jurisdiction   string          `json:"jurisdiction"`
	ElectionID     string          `json:"election_id,omitzero"`
	ElectionSHA256 string          `json:"election_sha256,omitzero"`
	Audience       string          `json:"audience"`
	Stream         string          `json:"stream"`
	TrustEpoch     int64           `json:"trust_epoch"`
	Station        string          `json:"station"`
	Role           string          `json:"role"`
	Files          []manifest.File `json:"files"`
	Bytes          int64           `json:"bytes"`
	Warnings       []string        `json:"warnings"`
}

// plan makes everything that seal would, but writes and signs nothing.
func (c *sealCmd) plan(a *app, s *session, inputs []input) (*sealPlan, error) {
	own := s.cfg.Station
	p := &sealPlan{Kind: manifest.Kind(c.Kind), Jurisdiction: own.Jurisdiction, ElectionID: c.Election, Audience: c.Audience, Stream: c.Stream, Station: own.ID, Role: own.Role}
	if p.Stream == "" {
		p.Stream = station.DefaultStream(p.Kind, p.Audience)
	}
	trusted, warnings, err := c.permitted(s)
	if err != nil {
		return nil, err
	}
	p.TrustEpoch, p.Warnings = trusted.Version, warnings
	args := station.SealArgs{Kind: p.Kind}
	if c.Definition != "" {
		if args.ElectionSHA256, err = hashFile(c.Definition); err != nil {
			return nil, err
		}
	}
	for _, in := range inputs {
		if a.ctx.Err() != nil {
			return nil, a.interrupted("nothing was sealed")
		}
		f := manifest.File{Path: in.path, MediaType: mediaType(in.path)}
		src, _, err := openPlain(in.source, unix.O_NOFOLLOW)
		if err == nil {
			h := sha256.New()
			f.Size, err = io.Copy(h, src)
			f.SHA256 = hex.EncodeToString(h.Sum(nil))
			src.Close() // it was only read
		}
		if err != nil {
			return nil, control.Failf(codeFailed, "cannot seal %s: %v", verdict.Escape(in.source), err)
		}
		args.Files = append(args.Files, f)
		p.Bytes += f.Size
	}
	if err := c.ownDefinition(&args); err != nil {
		return nil, err
	}
	p.Files, p.ElectionSHA256 = args.Files, args.ElectionSHA256
	return p, nil
}

func (p *sealPlan) show(w io.Writer) {
	fmt.Fprintf(w, "would seal a package of the kind %s for %s: %s, %s\n", p.Kind, p.Audience, count(len(p.Files), "file"), size(p.Bytes))
	fmt.Fprintf(w, "  from station %s, role %s, jurisdiction %s, trust bundle %d\n", p.Station, p.Role, p.Jurisdiction, p.TrustEpoch)
	if p.ElectionID != "" {
		fmt.Fprintf(w, "  election %s, definition %s\n", p.ElectionID, p.ElectionSHA256)
	}
	fmt.Fprintf(w, "  stream %s; package id, sequence and time are decided when it is signed\n", p.Stream)
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, f := range p.Files {
		fmt.Fprintf(tw, "  %d\t%s\t%s\t%s\n", f.Size, f.SHA256, f.Path, f.MediaType)
	}
	tw.Flush()
	for _, warning := range p.Warnings {
		fmt.Fprintln(w, "WARNING:", warning)
	}
	fmt.Fprintln(w, "Nothing was signed or written.")
}
