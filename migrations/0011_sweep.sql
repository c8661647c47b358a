-- When a tenant wants to be looked at next (ms since 1970); null: never, by itself. Beside its own alarm, which a daily sweep
-- looks after where this is long past (src/sweep/).
ALTER TABLE tenants ADD COLUMN due_at INTEGER;
CREATE INDEX tenants_by_due ON tenants (due_at) WHERE due_at IS NOT NULL;
-- Where the sweep that runs by itself is, and what it came to so far; one row.
CREATE TABLE sweep (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  cursor TEXT, -- null: the last one ended
  started_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  checked INTEGER NOT NULL,
  found INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  failed INTEGER NOT NULL
) STRICT;
