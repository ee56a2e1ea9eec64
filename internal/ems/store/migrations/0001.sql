-- Packages, elections and ballots. FORMAT.md of internal/ems describes them.
CREATE TABLE election (
	no         INTEGER PRIMARY KEY,
	id         TEXT NOT NULL UNIQUE CHECK (id <> ''),
	sha256     BLOB NOT NULL CHECK (length(sha256) = 32),
	definition BLOB NOT NULL
) STRICT;

CREATE TABLE package (
	no         INTEGER PRIMARY KEY,
	digest     BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
	package_id TEXT NOT NULL,
	kind       TEXT NOT NULL,
	election   INTEGER NOT NULL REFERENCES election (no),
	contests   INTEGER NOT NULL CHECK (contests >= 0),
	ballots    INTEGER NOT NULL CHECK (ballots >= 0),
	known      INTEGER NOT NULL CHECK (known BETWEEN 0 AND ballots),
	content    BLOB NOT NULL CHECK (length(content) = 32),
	state      BLOB NOT NULL CHECK (length(state) = 32)
) STRICT;

CREATE TABLE batch (
	no      INTEGER PRIMARY KEY,
	package INTEGER NOT NULL REFERENCES package (no),
	device  TEXT NOT NULL,
	id      TEXT NOT NULL,
	UNIQUE (package, device, id)
) STRICT;

-- No rowid and no time: a ballot's only place is that of its identifier.
CREATE TABLE ballot (
	election INTEGER NOT NULL REFERENCES election (no),
	id       TEXT NOT NULL CHECK (id <> ''),
	batch    INTEGER NOT NULL REFERENCES batch (no),
	content  BLOB NOT NULL,
	PRIMARY KEY (election, id)
) STRICT, WITHOUT ROWID;
