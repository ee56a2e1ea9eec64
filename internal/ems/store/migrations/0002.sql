-- Voting methods of batches, subtotals, facts, and where a store is used.
CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('place', 'station');

CREATE TABLE batch_2 (
	no      INTEGER PRIMARY KEY,
	package INTEGER NOT NULL REFERENCES package (no),
	device  TEXT NOT NULL,
	id      TEXT NOT NULL,
	method  TEXT NOT NULL,
	UNIQUE (package, device, id, method)
) STRICT;
INSERT INTO batch_2 SELECT no, package, device, id, '' FROM batch;
DROP TABLE batch;
ALTER TABLE batch_2 RENAME TO batch;

-- Counts that were made when ballots came in: precinct (with method), style, batch.
CREATE TABLE subtotal (
	election INTEGER NOT NULL REFERENCES election (no),
	kind     TEXT NOT NULL CHECK (kind IN ('precinct', 'style', 'batch')),
	row      INTEGER NOT NULL CHECK (row >= 0),
	method   TEXT NOT NULL,
	counts   BLOB NOT NULL,
	PRIMARY KEY (election, kind, row, method)
) STRICT, WITHOUT ROWID;

-- Elections whose ballots all have their part in the subtotals.
CREATE TABLE counted (
	election INTEGER PRIMARY KEY REFERENCES election (no)
) STRICT;

-- What people decided: only ever added to, each row bound to the one before.
CREATE TABLE fact (
	no       INTEGER PRIMARY KEY CHECK (no > 0),
	election TEXT NOT NULL,
	kind     TEXT NOT NULL CHECK (kind <> ''),
	key      TEXT NOT NULL,
	document BLOB NOT NULL,
	who      TEXT NOT NULL,
	why      TEXT NOT NULL,
	at       TEXT NOT NULL,
	chain    BLOB NOT NULL CHECK (length(chain) = 32)
) STRICT;
CREATE INDEX fact_of ON fact (election, kind, key, no);
