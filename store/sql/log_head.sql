-- Purpose: the greatest log index; no row in an empty log. Locks: none. Isolation: any. Index: the primary key, from its end.
SELECT log_index FROM store.log ORDER BY log_index DESC LIMIT 1
