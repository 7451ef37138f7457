-- Purpose: a time leads to its place in the log by one step down an index, also where many facts share their `sequenced_at`.
-- Locks: writes of store.log wait while the index is built, about a second for a million facts. Runs as edgeml_owner.
CREATE INDEX log_as_of_time ON store.log (sequenced_at, log_index);
DROP INDEX store.log_sequenced_at;
