-- Purpose: the facts of model $1 after log index $2 that may move its pointer, in log order. Locks none.
-- Each stream is found by an index: the model's by its name, its versions' by events_version_moves (whose condition stands here word for
-- word), its rollouts' by events_rollouts_of_model. OFFSET 0 keeps the log from being read first.
SELECT e.event_id, e.stream_id, e.stream_version, e.type, e.schema_version, e.machine, e.actor_kind, e.actor_id, e.command_id,
       e.command_seq, e.correlation_id, e.causation_id, e.recorded_at, e.data::text AS data, l.log_index, l.sequenced_at
  FROM (SELECT m.position FROM store.events m WHERE m.stream_id = 'model-' || $1::text
         UNION ALL
        SELECT v.position FROM store.events v
         WHERE split_part(substr(v.stream_id, 9), '@', 1) = $1::text AND v.stream_id LIKE 'version-%'
           AND v.type NOT IN ('VersionDrafted', 'TrainingStarted', 'TrainingCompleted', 'TrainingFailed', 'ArtifactUploaded',
                              'PublishRequested', 'PublishRefused', 'VersionPublished', 'DeploymentStarted', 'DeploymentCompleted',
                              'VersionRestored')
         UNION ALL
        SELECT r.position FROM store.events c JOIN store.events r ON r.stream_id = c.stream_id
         WHERE c.type = 'RolloutCreated' AND c.data ->> 'model_id' = $1::text
        OFFSET 0) own
  JOIN store.log l ON l.position = own.position
  JOIN store.events e ON e.position = own.position
 WHERE l.log_index > $2::bigint
 ORDER BY l.log_index
