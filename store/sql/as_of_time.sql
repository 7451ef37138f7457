-- Purpose: the greatest log index that had been given out by $1, and whether $1 lies in the future. Locks none.
-- sequenced_at never falls, but one batch shares it: the last of the batch is meant.
SELECT $1::timestamptz > clock_timestamp() AS ahead,
       coalesce((SELECT max(log_index) FROM store.log WHERE sequenced_at =
                  (SELECT max(sequenced_at) FROM store.log WHERE sequenced_at <= $1::timestamptz)), -1) AS log_index
