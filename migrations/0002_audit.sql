-- What happened, once each: changes that D1 owns are recorded in the batch that makes them, those of a Durable Object
-- come from its journal with their place in its chain (src/audit/).
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- order of arrival
  subject TEXT NOT NULL, -- tenant:<id>, pool:<id>, workload:<id>, …
  seq INTEGER, -- place in the subject's chain; NULL for what D1 owns
  at INTEGER NOT NULL,
  action TEXT NOT NULL,
  actor TEXT NOT NULL,
  request_id TEXT,
  result TEXT NOT NULL,
  before TEXT,
  after TEXT,
  detail TEXT NOT NULL,
  prev TEXT,
  hash TEXT,
  UNIQUE (subject, seq)
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject, id);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_action ON audit (action, id);
CREATE INDEX audit_by_request ON audit (request_id) WHERE request_id IS NOT NULL;
