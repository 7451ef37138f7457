-- Purpose: gives facts their place. Moves the cursor by compare-and-set, writes the log rows and rings, all or nothing.
-- Called by the leader only, in autocommit. Where the cursor is not as the caller knows it, it writes nothing and returns 0:
--   another leader was here, and the caller exits.
-- Locks: the one row of store.sequencer, for the length of the call.
CREATE FUNCTION store.sequence(
  p_era smallint, p_xid xid8, p_position bigint, p_index bigint,    -- the cursor as the caller knows it
  p_last_xid xid8, p_last_position bigint,                          -- the cursor after these facts
  p_positions bigint[], p_leaves bytea[], p_at timestamptz
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE placed bigint;
BEGIN
  WITH lead AS (
    UPDATE store.sequencer
       SET last_xid = p_last_xid, last_position = p_last_position, next_index = p_index + cardinality(p_positions)
     WHERE era = p_era AND last_xid = p_xid AND last_position = p_position AND next_index = p_index
       AND cardinality(p_positions) = cardinality(p_leaves)
       AND (p_last_xid > p_xid OR (p_last_xid = p_xid AND p_last_position > p_position))
    RETURNING 1
  ), rows AS (
    INSERT INTO store.log (log_index, position, leaf_hash, sequenced_at)
    SELECT p_index + u.ord - 1, u.position, u.leaf, p_at
      FROM lead, unnest(p_positions, p_leaves) WITH ORDINALITY u(position, leaf, ord)
     ORDER BY u.ord
    RETURNING 1
  )
  SELECT count(*) INTO placed FROM rows;
  IF placed > 0 THEN
    PERFORM pg_notify('edgeml_log', (p_index + placed - 1)::text);
  END IF;
  RETURN placed;
END $$;

REVOKE EXECUTE ON FUNCTION store.sequence FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.sequence TO edgeml_app;
