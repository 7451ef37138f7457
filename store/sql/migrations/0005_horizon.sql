-- Purpose: who holds the log back. The sequencer's alarm asks when facts wait for more than two seconds (event-log.md 2.3).
-- SECURITY DEFINER: the owner may see other sessions' transactions (pg_read_all_stats, given by migrate.ts where it can be);
-- without that right it names the app's own sessions only. Query texts are not told.
CREATE FUNCTION store.horizon_holders()
RETURNS TABLE (holder text, "user" text, database text, application text, state text, age_seconds float8)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT 'pid ' || a.pid, a.usename::text, a.datname::text, a.application_name, a.state,
         extract(epoch FROM clock_timestamp() - a.xact_start)::float8
    FROM pg_stat_activity a WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid()
  UNION ALL
  SELECT 'prepared transaction ' || p.gid, p.owner::text, p.database::text, NULL, 'prepared',
         extract(epoch FROM clock_timestamp() - p.prepared)::float8
    FROM pg_prepared_xacts p
  ORDER BY 6 DESC
  LIMIT 10;
$$;
REVOKE EXECUTE ON FUNCTION store.horizon_holders FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store.horizon_holders TO edgeml_app;
