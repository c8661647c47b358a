-- Hosts of tenants' own, beside the ones under TENANT_DOMAIN (src/registry/domains.ts).
CREATE TABLE domains (
  host TEXT PRIMARY KEY, -- lower case, without a port
  tenant_id TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX domains_by_tenant ON domains (tenant_id, host);
