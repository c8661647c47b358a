-- Requests that carried an Idempotency-Key, and what they were answered, for a day (src/http/idempotency.ts).
CREATE TABLE idempotency (
  id TEXT PRIMARY KEY, -- SHA-256 of who asked, method, path and key
  fingerprint TEXT NOT NULL, -- SHA-256 of key and body
  attempt TEXT NOT NULL, -- which request took the row; no other ends it
  started_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  status INTEGER, -- NULL while in flight
  headers TEXT, -- JSON
  body TEXT -- sealed under SECRETS_KEY; NULL when it was too large to keep
) STRICT;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
