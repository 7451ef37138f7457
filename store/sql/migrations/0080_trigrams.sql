-- Purpose: parts of names are found by an index (`projections/ddl.ts`). Trusted: who may create in the database may create it.
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA store;
