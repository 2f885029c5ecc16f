-- Orders, and the clock they are timed by.
--
-- Times are microseconds since 1970-01-01T00:00:00Z, by the clock of the database. SQLite counts
-- in milliseconds; microseconds are what the domain and PostgreSQL speak. `clock` gives one
-- instant a statement; all that happens in one transaction takes its time from one reading.
CREATE VIEW clock AS
    SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000 AS now;

-- AUTOINCREMENT: an id is never used again, and the next is larger than all before it. Ids stay
-- below 2^53, where every JSON reader keeps integers exactly.
CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 9007199254740991),
    origin_latitude REAL NOT NULL CHECK (origin_latitude BETWEEN -90 AND 90),
    origin_longitude REAL NOT NULL CHECK (origin_longitude BETWEEN -180 AND 180),
    destination_latitude REAL NOT NULL CHECK (destination_latitude BETWEEN -90 AND 90),
    destination_longitude REAL NOT NULL CHECK (destination_longitude BETWEEN -180 AND 180),
    distance INTEGER NOT NULL CHECK (distance BETWEEN 0 AND 9007199254740991),
    status TEXT NOT NULL CHECK (status IN ('UNASSIGNED', 'TAKEN')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL CHECK (updated_at >= created_at),
    taken_at INTEGER CHECK (taken_at >= created_at),
    -- The winner's key, for ever: a repeat with it is the same take.
    take_key TEXT CHECK (length(take_key) BETWEEN 1 AND 255),
    CHECK ((status = 'TAKEN') = (taken_at IS NOT NULL)),
    CHECK (take_key IS NULL OR status = 'TAKEN')
) STRICT;

-- Each entry ends in the id, so this serves `status = ? AND id < ? ORDER BY id DESC` alone.
CREATE INDEX orders_by_status ON orders (status);

-- One key takes one order. Orders taken without a key are not in it.
CREATE UNIQUE INDEX orders_by_take_key ON orders (take_key) WHERE take_key IS NOT NULL;
