-- Purpose: the devices of one organisation in the order of their ids, which are hashes: any first ones are a fair sample of a large fleet.
-- Locks: ops.devices against writes while the index is built.
CREATE INDEX devices_of_org ON ops.devices (org_id, id);
