-- Purpose: where the sequencer goes on, and whether this is still the cluster and database in which its xids were given out.
SELECT s.era, s.last_xid::text AS last_xid, s.last_position, s.next_index,
       s.system_identifier = c.system_identifier AND s.database_oid = d.oid AS is_same,
       (SELECT l.sequenced_at FROM store.log l ORDER BY l.log_index DESC LIMIT 1) AS sequenced_at
  FROM store.sequencer s, pg_control_system() c, pg_database d
 WHERE d.datname = current_database()
