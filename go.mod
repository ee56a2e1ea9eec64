module sallyport

go 1.26.0

require (
	filippo.io/age v1.3.2 // key files under a passphrase, which the program age opens as well; alive (v1.3.2 is of August 2026), brings x/crypto and filippo.io/hpke, no network
	filippo.io/mldsa v1.0.0 // ML-DSA-65 (FIPS 204), and its keys as SubjectPublicKeyInfo: the code of crypto/mldsa of Go 1.27, which it becomes a wrapper of
	github.com/alecthomas/kong v1.17.0 // command lines: grammar, help and validation from tagged structs
	github.com/coreos/go-systemd/v22 v22.7.0 // what systemd hears: ready, status, watchdog (package daemon alone, which imports nothing further)
	github.com/go-json-experiment/json v1.27.2 // strict JSON: refuses duplicate names and bad UTF-8, streams large CVR files; the coming encoding/json/v2
	github.com/google/go-cmp v0.7.0 // tests only: readable differences
	github.com/google/go-tpm v0.9.8 // TPM 2.0 commands and structures (fixed by the owner)
	github.com/hanwen/go-fuse/v2 v2.12.1 // tests only: real block devices that fail, through FUSE and a loop device
	github.com/pelletier/go-toml/v2 v2.4.3 // the configuration file, decoded strictly with line numbers
	github.com/pilebones/go-udev v0.9.1 // the kernel's events about devices: socket and parser (fixed by the owner)
	github.com/rs/zerolog v1.35.1 // log of operation (fixed by the owner); never the audit log
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // tests only: validates our elections against the NIST schemas
	golang.org/x/image v0.47.0 // font/sfnt: which glyph a font has for a character; the Go fonts, so that documents print without a font of the system
	golang.org/x/mod v0.42.0 // sumdb/tlog and sumdb/note: RFC 6962 tree hashes and C2SP signed notes
	golang.org/x/sys v0.49.0 // system calls: O_DIRECT, seccomp, Landlock, SCM_RIGHTS, renameat2 (fixed by the owner)
	golang.org/x/term v0.47.0 // whether progress is shown: is there a terminal
	golang.org/x/text v0.43.0 // unicode/norm: names that differ only by normalisation
	modernc.org/sqlite v1.61.1 // the EMS core's database without cgo
	rsc.io/qr v0.2.0 // the QR code of a slip: finished rather than busy (v0.2.0 is of 2018), 1,500 lines without dependencies, by an author of Go; zbarimg reads what it makes in our tests
)

require (
	filippo.io/hpke v0.4.0 // indirect
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c // indirect
	github.com/dustin/go-humanize v1.1.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.24 // indirect
	github.com/ncruces/go-strftime v1.1.0 // indirect
	github.com/remyoudompheng/bigfft v0.0.0-20230129092748-24d4a6f8daec // indirect
	golang.org/x/crypto v0.55.0 // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/tools v0.52.0 // indirect
	honnef.co/go/tools v0.8.2 // indirect
	modernc.org/libc v1.79.0 // indirect
	modernc.org/mathutil v1.7.1 // indirect
	modernc.org/memory v1.12.1 // indirect
)

tool honnef.co/go/tools/cmd/staticcheck
