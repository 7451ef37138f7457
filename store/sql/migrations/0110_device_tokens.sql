-- Purpose: tokens of devices, of which no row is kept: a token names the generation of its device, and releasing the device raises it.
-- Locks: the columns need a moment; the index is built of rows that were raised, and there are none.
ALTER TABLE ops.devices
  ADD COLUMN generation int NOT NULL DEFAULT 0,           -- tokens of an earlier one are refused
  ADD COLUMN raised_at timestamptz(3),
  ADD COLUMN raised_by text,                              -- key id
  ADD COLUMN is_released boolean NOT NULL DEFAULT false,  -- whoever registers it next has it
  ADD COLUMN claim bytea CHECK (octet_length(claim) = 32); -- of the registration that has it: its repeat is no other's

-- What a server must know so that no token of an earlier generation is good.
CREATE INDEX devices_raised ON ops.devices (raised_at) WHERE raised_at IS NOT NULL;
