-- Purpose: finds the few facts of a model's versions that may move its pointer, without reading the log (`pointer_facts.sql`).
-- Partial: an append pays only for such a fact. The types left out are those that never move a pointer; a type that this build does
-- not know is in, so that a fact which nobody can read is found as well. Locks appends out while it reads the events once.
CREATE INDEX events_version_moves ON store.events ((split_part(substr(stream_id, 9), '@', 1)))
 WHERE stream_id LIKE 'version-%'
   AND type NOT IN ('VersionDrafted', 'TrainingStarted', 'TrainingCompleted', 'TrainingFailed', 'ArtifactUploaded', 'PublishRequested',
                    'PublishRefused', 'VersionPublished', 'DeploymentStarted', 'DeploymentCompleted', 'VersionRestored');
