-- Purpose: calls store.sequence (migrations/0003_sequence.sql): how many facts were placed; 0 if another leader was here.
SELECT store.sequence($1::smallint, $2::xid8, $3::bigint, $4::bigint, $5::xid8, $6::bigint,
                      $7::bigint[], $8::bytea[], $9::timestamptz) AS placed
