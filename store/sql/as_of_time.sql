-- Purpose: the greatest log index that had been given out by $1, and whether $1 lies in the future. Locks none.
-- Only index log_as_of_time gives this order, so every plan of it reads one entry: no max(), which may walk back by log_index.
SELECT $1::timestamptz > clock_timestamp() AS ahead,
       coalesce((SELECT log_index FROM store.log WHERE sequenced_at <= $1::timestamptz
                  ORDER BY sequenced_at DESC, log_index DESC LIMIT 1), -1) AS log_index
