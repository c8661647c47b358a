-- What the latest probe of a sync spec's sink came to (src/sync/probe.ts), as JSON; null before the first.
ALTER TABLE sync_specs ADD COLUMN probe TEXT;
