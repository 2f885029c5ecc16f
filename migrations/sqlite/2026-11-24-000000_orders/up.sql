-- Orders, and the clock of the database.
--
-- Times are microseconds since 1970-01-01T00:00:00Z, as in the domain and in PostgreSQL. SQLite's
-- clock counts milliseconds. `clock` has one value in each statement; a transaction reads it once
-- for all its changes.
CREATE VIEW clock AS
    SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) * 1000 AS now;

-- AUTOINCREMENT: an id is never reused, and a later id is larger. Ids are less than 2^53, so every
-- JSON parser reads them exactly.
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
    -- The winner's key, which never expires: a repeated take with it is a replay.
    take_key TEXT CHECK (length(take_key) BETWEEN 1 AND 255),
    CHECK ((status = 'TAKEN') = (taken_at IS NOT NULL)),
    CHECK (take_key IS NULL OR status = 'TAKEN')
) STRICT;

-- Each entry ends in the id, so the index serves `status = ? AND id < ? ORDER BY id DESC`.
CREATE INDEX orders_by_status ON orders (status);

-- One key takes one order. Orders that were taken without a key are not in the index.
CREATE UNIQUE INDEX orders_by_take_key ON orders (take_key) WHERE take_key IS NOT NULL;
