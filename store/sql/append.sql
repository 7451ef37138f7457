-- Purpose: calls store.append (migrations/0002_append.sql). Isolation READ COMMITTED; the first write of its transaction.
SELECT store.append($1, $2, $3, $4, $5, $6, $7::text[], $8::bigint[],
                    $9::text[], $10::uuid[], $11::text[], $12::smallint[], $13::text[], $14::json[]) AS result
