package trust

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/verdict"
)

// Files of a package of the kind trust-bundle: the bundle, and each rotation of
// the root as root-VERSION.dsse.json.
const (
	BundleName     = "bundle.dsse.json"
	rotationPrefix = "root-"
	rotationSuffix = ".dsse.json"
)

// RotationName is the name of a rotation's file.
func RotationName(version int64) string {
	return rotationPrefix + strconv.FormatInt(version, 10) + rotationSuffix
}

// RotationVersion reads [RotationName] back.
func RotationVersion(name string) (version int64, ok bool) {
	digits, ok1 := strings.CutPrefix(name, rotationPrefix)
	digits, ok2 := strings.CutSuffix(digits, rotationSuffix)
	version, err := strconv.ParseInt(digits, 10, 54)
	return version, ok1 && ok2 && err == nil && version > 1 && RotationName(version) == name
}

// Follow verifies a delivery from a root on, without a store: what a store makes
// of it that has installed nothing but this root. It returns the roots that were
// passed, the first and the last included, and the bundle, which the last of them
// or an earlier one signed; nil when the delivery has none. Whether there is a newer
// one is not its business. Errors are findings.
func Follow(root *Root, d Delivery) (passed []*Root, t *Trusted, err error) {
	if len(d.Rotations) > MaxRotations {
		return nil, nil, verdict.New(verdict.OverLimit, "trust root", "there are %d rotations, at most %d are followed", len(d.Rotations), MaxRotations)
	}
	if _, passed, err = (state{pinned: root, root: root}).follow(d.Rotations); err != nil || d.Bundle == nil {
		return passed, nil, err
	}
	for i, r := range slices.Backward(passed) {
		next, oerr := Open(d.Bundle, r)
		if oerr == nil {
			return passed, next, nil
		}
		if i == len(passed)-1 {
			err = oerr // of the root that should have signed
		}
	}
	return passed, nil, err
}

// ReadDelivery reads the content of a package of the kind trust-bundle, which
// was verified and stored. It verifies no signature: see [Store.Install]. What
// does not belong there is a content-invalid finding.
func ReadDelivery(content fs.FS) (Delivery, error) {
	d := Delivery{Rotations: []Rotation{}}
	entries, err := fs.ReadDir(content, ".")
	if err != nil {
		return d, fmt.Errorf("cannot list the trust bundle's files: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if name == BundleName {
			if d.Bundle, err = readBounded(content, name, MaxEnvelope); err != nil {
				return Delivery{}, err
			}
			continue
		}
		version, ok := RotationVersion(name)
		if !ok || len(d.Rotations) == MaxRotations {
			return Delivery{}, verdict.New(verdict.ContentInvalid, name, "a trust bundle's package holds %s and at most %d rotations such as %s, and nothing else", BundleName, MaxRotations, RotationName(2))
		}
		envelope, err := readBounded(content, name, MaxRotation)
		if err != nil {
			return Delivery{}, err
		}
		d.Rotations = append(d.Rotations, Rotation{version, envelope})
	}
	if d.Bundle == nil {
		return Delivery{}, verdict.New(verdict.ContentInvalid, BundleName, "is missing in the trust bundle's package")
	}
	slices.SortFunc(d.Rotations, ByVersion)
	return d, nil
}

// ByVersion compares rotations for sorting.
func ByVersion(a, b Rotation) int { return cmp.Compare(a.Version, b.Version) }

func readBounded(content fs.FS, name string, most int64) (data []byte, err error) {
	f, err := content.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the trust bundle's package: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if data, err = io.ReadAll(io.LimitReader(f, most+1)); err != nil {
		return nil, fmt.Errorf("cannot read the trust bundle's package: %w", err)
	}
	if int64(len(data)) > most {
		return nil, verdict.New(verdict.OverLimit, name, "has more than %d bytes", most)
	}
	return data, nil
}
