-- Orders. Times are by the clock of the database.
--
-- Ids come from one sequence without a cache: an id is never reused, and a later id is larger. Ids
-- are less than 2^53, so every JSON parser reads them exactly.
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 9007199254740991) PRIMARY KEY
        CHECK (id BETWEEN 1 AND 9007199254740991),
    origin_latitude double precision NOT NULL CHECK (origin_latitude BETWEEN -90 AND 90),
    origin_longitude double precision NOT NULL CHECK (origin_longitude BETWEEN -180 AND 180),
    destination_latitude double precision NOT NULL CHECK (destination_latitude BETWEEN -90 AND 90),
    destination_longitude double precision NOT NULL CHECK (destination_longitude BETWEEN -180 AND 180),
    distance bigint NOT NULL CHECK (distance BETWEEN 0 AND 9007199254740991),
    status text NOT NULL CHECK (status IN ('UNASSIGNED', 'TAKEN')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL CHECK (updated_at >= created_at),
    taken_at timestamptz CHECK (taken_at >= created_at),
    -- The winner's key, which never expires: a repeated take with it is a replay.
    take_key text CHECK (length(take_key) BETWEEN 1 AND 255),
    CHECK ((status = 'TAKEN') = (taken_at IS NOT NULL)),
    CHECK (take_key IS NULL OR status = 'TAKEN')
);

-- Serves the list of the orders with one status, newest first, without another index.
CREATE INDEX orders_by_status ON orders (status, id);

-- One key takes one order. Orders that were taken without a key are not in the index.
CREATE UNIQUE INDEX orders_by_take_key ON orders (take_key) WHERE take_key IS NOT NULL;
