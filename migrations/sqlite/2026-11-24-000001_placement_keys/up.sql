-- The keys of placements. Unlike the key of a take, such a key expires, so it is not stored with the
-- order.
CREATE TABLE placement_keys (
    key TEXT NOT NULL PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 255),
    order_id INTEGER NOT NULL REFERENCES orders (id),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Finds the oldest keys without reading the others.
CREATE INDEX placement_keys_by_age ON placement_keys (created_at);
