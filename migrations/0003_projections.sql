-- What lists show of tenants and containers: copies that their owners send after each change (an outbox), and
-- `POST /api/v1/admin/rebuild` makes anew. Nothing is decided by them.
CREATE TABLE tenants (
  tenant_id TEXT PRIMARY KEY,
  seq INTEGER NOT NULL, -- of the journal entry that it follows: an older copy never replaces a newer one
  state TEXT NOT NULL,
  desired TEXT NOT NULL,
  pool_id TEXT,
  container_id TEXT,
  tier TEXT,
  epoch INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  unsaved_since INTEGER,
  last_activity_at INTEGER,
  last_error TEXT, -- its code
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tenants_by_pool ON tenants (pool_id, tenant_id);
CREATE INDEX tenants_by_state ON tenants (state, tenant_id);

CREATE TABLE containers (
  container_id TEXT PRIMARY KEY,
  pool_id TEXT NOT NULL,
  workload_id TEXT NOT NULL,
  workload_version INTEGER NOT NULL,
  image TEXT NOT NULL,
  state TEXT NOT NULL,
  tier TEXT NOT NULL,
  tenant_id TEXT,
  epoch INTEGER,
  started_at INTEGER NOT NULL,
  since INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX containers_by_pool ON containers (pool_id, container_id);
CREATE INDEX containers_by_state ON containers (state, container_id);
