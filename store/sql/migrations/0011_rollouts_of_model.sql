-- Purpose: finds the rollouts of a model without reading the log. Partial: an append pays only for a RolloutCreated.
CREATE INDEX events_rollouts_of_model ON store.events ((data ->> 'model_id')) WHERE type = 'RolloutCreated';
