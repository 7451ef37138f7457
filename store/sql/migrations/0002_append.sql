-- Purpose: the one door through which facts enter. event-log.md 1.3. Read it in one sitting.
-- Isolation: READ COMMITTED, and no transaction id yet: append is the first write of its transaction. Otherwise an old xid
--   could carry a newer stream version, and the log's order would put version 2 before version 1 (T15).
-- Locks: one transaction-level advisory lock per stream, by rising hash (so opposite orders cannot deadlock), until the
--   transaction ends. No row locks: they take an xid before the second stream's lock is held.
-- A conflict or a duplicate draws no position and takes no xid.
--
-- p_expected: n exactly; 0 none; -1 exists; -2 any. A stream may be listed without events, to be checked only.
CREATE FUNCTION store.append(
  p_command text, p_hash bytea, p_actor_kind text, p_actor text, p_correlation text, p_causation text,
  p_streams text[], p_expected bigint[],
  p_stream text[], p_id uuid[], p_type text[], p_schema smallint[], p_machine text[], p_data json[]
) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  m int := cardinality(p_streams);
  n int := cardinality(p_id);
  lock_key bigint;
  v bigint;
  e bigint;
  b int;
  first record;
  clash jsonb := '[]';
  heads bigint[] := '{}';     -- of p_streams
  versions bigint[] := '{}';  -- of the events
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' OR pg_current_xact_id_if_assigned() IS NOT NULL THEN
    RAISE 'append must be the first write of a READ COMMITTED transaction' USING ERRCODE = '25000',
      HINT = 'Draw sequence numbers and lock rows in a statement of its own before, or after append.';
  END IF;

  -- IS NOT TRUE: a NULL anywhere (it would pass as "any") is malformed as well.
  IF (m BETWEEN 1 AND 64 AND n > 0 AND p_command <> '' AND p_actor_kind <> '' AND p_actor <> ''
      AND (m, n, n, n, n, n) = (cardinality(p_expected), cardinality(p_stream), cardinality(p_type),
                                cardinality(p_schema), cardinality(p_machine), cardinality(p_data))
      AND (1, 1, 1, 1, 1, 1) = (array_ndims(p_streams), array_ndims(p_expected), array_ndims(p_stream),
                                array_lower(p_streams, 1), array_lower(p_expected, 1), array_lower(p_stream, 1))
      AND num_nulls(VARIADIC p_streams) + num_nulls(VARIADIC p_expected) + num_nulls(VARIADIC p_stream)
        + num_nulls(VARIADIC p_id) + num_nulls(VARIADIC p_type) + num_nulls(VARIADIC p_schema)
        + num_nulls(VARIADIC p_machine) + num_nulls(VARIADIC p_data) = 0
      AND p_stream <@ p_streams AND -2 <= ALL (p_expected)) IS NOT TRUE THEN
    RAISE 'append: malformed arguments' USING ERRCODE = '22023',
      HINT = 'At least one event; 1..64 streams; arrays of one length, one dimension, without NULL; events only on listed streams.';
  END IF;
  IF m > 1 THEN  -- apart: a subquery above would cost every call an executor run
    IF m <> (SELECT count(DISTINCT s) FROM unnest(p_streams) s) THEN
      RAISE 'append: a stream is listed twice' USING ERRCODE = '22023';
    END IF;
  END IF;

  FOREACH lock_key IN ARRAY ARRAY(SELECT DISTINCT hashtextextended(s, 0) h FROM unnest(p_streams) s ORDER BY h) LOOP
    PERFORM pg_advisory_xact_lock(lock_key);
  END LOOP;

  -- Each statement from here takes its own snapshot, after the locks. The command comes first: a retry's version is always stale.
  SELECT era, xid INTO first FROM store.events WHERE command_id = p_command AND command_seq = 1;
  IF FOUND THEN
    RETURN (SELECT jsonb_build_object('outcome', 'duplicate',
        'sameRequest', bool_and(command_hash IS NOT DISTINCT FROM p_hash),
        'ids', jsonb_agg(event_id ORDER BY command_seq), 'versions', jsonb_agg(stream_version ORDER BY command_seq),
        'streams', jsonb_agg(stream_id ORDER BY command_seq), 'types', jsonb_agg(type ORDER BY command_seq))
      FROM store.events WHERE era = first.era AND xid = first.xid AND command_id = p_command);
  END IF;

  FOR i IN 1..m LOOP
    SELECT stream_version INTO v FROM store.events WHERE stream_id = p_streams[i] ORDER BY stream_version DESC LIMIT 1;
    v := coalesce(v, 0);
    e := p_expected[i];
    heads[i] := v;
    IF NOT (CASE e WHEN -2 THEN true WHEN -1 THEN v > 0 ELSE v = e END) THEN
      clash := clash || jsonb_build_object('stream', p_streams[i], 'expected', e, 'actual', v);
    END IF;
  END LOOP;
  IF clash <> '[]' THEN
    RETURN jsonb_build_object('outcome', 'conflict', 'conflicts', clash);
  END IF;

  FOR i IN 1..n LOOP
    b := array_position(p_streams, p_stream[i]);
    heads[b] := heads[b] + 1;
    versions[i] := heads[b];
  END LOOP;
  -- ORDER BY ord: positions rise in the order given. One clock reading for the whole append.
  INSERT INTO store.events (event_id, stream_id, stream_version, type, schema_version, machine, actor_kind, actor_id,
    command_id, command_seq, command_hash, correlation_id, causation_id, recorded_at, data)
  SELECT u.id, u.stream, u.version, u.type, u.schema, u.machine, p_actor_kind, p_actor,
         p_command, u.ord, p_hash, p_correlation, p_causation, clock.t, u.data
    FROM (SELECT clock_timestamp() OFFSET 0) clock(t),
         unnest(p_id, p_stream, versions, p_type, p_schema, p_machine, p_data)
           WITH ORDINALITY u(id, stream, version, type, schema, machine, data, ord)
   ORDER BY u.ord;
  RETURN jsonb_build_object('outcome', 'appended', 'ids', to_jsonb(p_id), 'versions', to_jsonb(versions));
END $$;

REVOKE EXECUTE ON FUNCTION store.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.append TO edgeml_app;
