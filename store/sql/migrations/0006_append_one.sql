-- Purpose: the same as store.append (0002) for one event on one stream, without arrays, which cost a third of the throughput.
-- Returns the event's version, or NULL when it did not append; the caller then asks store.append, which explains or refuses.
-- Isolation, locks and order of steps as there. NULL leaves no xid and draws no position, so append may follow in the same
-- transaction; the stream's lock is held until it ends.
CREATE FUNCTION store.append_one(
  p_command text, p_hash bytea, p_actor_kind text, p_actor text, p_correlation text, p_causation text,
  p_stream text, p_expected bigint,
  p_id uuid, p_type text, p_schema smallint, p_machine text, p_data json
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE v bigint;
BEGIN
  -- IS NOT TRUE: a NULL among the conditions means "ask append". The lock comes last; void IS NULL is false once it is held.
  IF (current_setting('transaction_isolation') = 'read committed' AND pg_current_xact_id_if_assigned() IS NULL
      AND p_command <> '' AND p_actor_kind <> '' AND p_actor <> ''
      AND num_nulls(p_stream, p_expected, p_id, p_type, p_schema, p_machine, p_data) = 0
      AND pg_advisory_xact_lock(hashtextextended(p_stream, 0)) IS NOT NULL) IS NOT TRUE THEN
    RETURN NULL;
  END IF;
  -- Each statement from here takes its own snapshot, after the lock.
  PERFORM FROM store.events WHERE command_id = p_command AND command_seq = 1;
  IF FOUND THEN
    RETURN NULL;
  END IF;
  SELECT stream_version INTO v FROM store.events WHERE stream_id = p_stream ORDER BY stream_version DESC LIMIT 1;
  v := coalesce(v, 0);
  IF NOT (CASE p_expected WHEN -2 THEN true WHEN -1 THEN v > 0 ELSE v = p_expected END) THEN
    RETURN NULL;
  END IF;
  v := v + 1;
  INSERT INTO store.events (event_id, stream_id, stream_version, type, schema_version, machine, actor_kind, actor_id,
    command_id, command_seq, command_hash, correlation_id, causation_id, recorded_at, data)
  VALUES (p_id, p_stream, v, p_type, p_schema, p_machine, p_actor_kind, p_actor,
    p_command, 1, p_hash, p_correlation, p_causation, clock_timestamp(), p_data);
  RETURN v;
END $$;

REVOKE EXECUTE ON FUNCTION store.append_one FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.append_one TO edgeml_app;
