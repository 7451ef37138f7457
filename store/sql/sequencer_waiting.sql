-- Purpose: whether facts wait beyond the horizon. EXISTS, not count(*): it runs every 5 ms while a transaction holds the log back.
SELECT EXISTS (SELECT FROM store.events e
                WHERE e.era = $1::smallint AND (e.xid, e.position) > ($2::xid8, $3::bigint)) AS is_waiting
