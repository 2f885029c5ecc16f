-- Gives a database the ids of one cell, so that no other cell has an order with the same id. Run it
-- once, after `order-api migrate`; the service may be running:
--
--   psql -q -v ON_ERROR_STOP=1 -v cells=100 -v first=103 -f deploy/postgres/cell.sql "$DATABASE_URL"
--
-- `cells` is the number of cells that there may ever be, the same for all. `first` is the id of the
-- next order. Its remainder by `cells` is another one in each cell, and it is larger than the ids of
-- all orders that any database has placed before. In this example the last two digits of an id are
-- its cell.
BEGIN;

-- Waits for placements that have received an id. Later ones wait for this transaction.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;

SET LOCAL order_api.first = :first;
DO $$
DECLARE
    last bigint := (SELECT last_value FROM orders_id_seq WHERE is_called);
BEGIN
    IF last >= current_setting('order_api.first')::bigint THEN
        RAISE EXCEPTION 'first must be larger than %, the last id of this database', last;
    END IF;
END $$;

-- The constraint rejects every id of another cell, for example after the sequence was set to a wrong
-- value. All orders that exist satisfy it, so the table is not scanned.
ALTER TABLE orders
    ADD CONSTRAINT orders_of_cell CHECK (id < :first OR (id - :first) % :cells = 0) NOT VALID,
    ALTER COLUMN id SET INCREMENT BY :cells RESTART WITH :first;

COMMIT;
