package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sallyport/internal/e2e/wire"
)

// read returns a whole file. Files of sysfs and procfs tell no size, so the bound
// is applied to what is read. Of an ordinary file it can be the last bytes alone.
func read(path string, last int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if last > 0 {
		st, err := f.Stat()
		if err == nil && st.Size() > last {
			_, err = f.Seek(-last, io.SeekEnd)
		}
		if err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, wire.MaxFile+1))
	if err == nil && len(data) > wire.MaxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, wire.MaxFile)
	}
	return data, err
}

// write writes in place and not by rename: files of sysfs are written like this.
// A mode of 0 leaves the mode of an existing file.
func write(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && mode != 0 {
		err = f.Chmod(mode)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func list(path string) ([]wire.Entry, error) {
	dir, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var entries []wire.Entry
	for _, d := range dir {
		info, err := d.Info()
		if os.IsNotExist(err) {
			continue // it went while we looked, as device entries do
		}
		if err != nil {
			return nil, err
		}
		e := wire.Entry{Name: d.Name(), Mode: info.Mode(), Size: info.Size()}
		if e.Mode&os.ModeSymlink != 0 {
			e.Target, _ = os.Readlink(filepath.Join(path, e.Name))
		}
		entries = append(entries, e)
	}
	return entries, nil
}
