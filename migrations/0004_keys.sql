-- Keys of the API. Of a key only its SHA-256 is stored: 256 random bits need no salt and no slow hash.
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY, -- in the order of creation
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  tenant_id TEXT, -- of the role tenant, and of no other
  hash TEXT NOT NULL UNIQUE, -- hex
  prefix TEXT NOT NULL, -- how lists show it
  previous_hash TEXT UNIQUE, -- the key before the last rotation
  previous_until INTEGER,
  requests_per_minute INTEGER,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires_at INTEGER,
  last_used_at INTEGER, -- to a minute
  revoked_at INTEGER,
  CHECK ((role = 'tenant') = (tenant_id IS NOT NULL))
) STRICT;
