-- Every version of a workload, the current one included; and what is synchronised where.
CREATE TABLE workload_versions (
  workload_id TEXT NOT NULL REFERENCES workloads (id) ON DELETE CASCADE,
  version INTEGER NOT NULL,
  spec TEXT NOT NULL, -- as in workloads
  at INTEGER NOT NULL,
  actor TEXT, -- NULL: from before actors were known
  PRIMARY KEY (workload_id, version)
) STRICT, WITHOUT ROWID;

-- Until now no workload could be changed, so that each row is a version as it was registered.
INSERT INTO workload_versions (workload_id, version, spec, at, actor)
SELECT id, version, spec, updated_at, NULL FROM workloads;

CREATE TABLE sync_specs (
  id TEXT PRIMARY KEY,
  pool_id TEXT NOT NULL, -- no reference: a pool may go without asking what was synchronised
  version INTEGER NOT NULL,
  spec TEXT NOT NULL, -- JSON of src/sync/spec.ts, defaults applied, without the sink's secret
  secret TEXT, -- the sink's secretAccessKey, sealed under SECRETS_KEY
  secret_masked TEXT, -- what is shown of it
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sync_specs_by_pool ON sync_specs (pool_id, id);
