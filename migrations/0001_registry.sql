-- What operators register. Objects keep their own copy of what they run on; these rows are the originals.
CREATE TABLE workloads (
  id TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  spec TEXT NOT NULL, -- JSON of src/registry/specs.ts, defaults applied
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE pools (
  id TEXT PRIMARY KEY,
  workload_id TEXT NOT NULL REFERENCES workloads (id),
  version INTEGER NOT NULL,
  spec TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX pools_by_workload ON pools (workload_id);

-- Host labels that are not the tenant's id itself (contract: API conventions). Written at a tenant's first claim.
CREATE TABLE tenant_hosts (
  label TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
