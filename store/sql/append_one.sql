-- Purpose: calls store.append_one (migrations/0006_append_one.sql). Isolation READ COMMITTED; the first write of its transaction.
SELECT store.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::smallint, $12, $13::json) AS version
