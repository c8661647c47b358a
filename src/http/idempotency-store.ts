/** The `idempotency` table: one row for a key, from its first request to a day later. */

export interface Row {
  fingerprint: string;
  attempt: string;
  startedAt: number;
  /** Null while the first request is in flight. */
  answer: KeptAnswer | null;
}

export interface KeptAnswer {
  status: number;
  headers: Record<string, string>;
  /** Sealed; null when it was too large to keep. */
  body: string | null;
}

/** Rows past their time that one finished request removes: more than it adds, so that the table shrinks by use alone. */
const SWEPT = 10;

/** Takes the row for `attempt` unless another holds it, in one transaction; answers with whoever holds it then. */
export async function take(
  db: D1Database,
  id: string,
  wanted: { fingerprint: string; attempt: string; now: number; expiresAt: number },
): Promise<Row> {
  const [, found] = await db.batch<{
    fingerprint: string;
    attempt: string;
    started_at: number;
    status: number | null;
    headers: string | null;
    body: string | null;
  }>([
    db
      .prepare(
        `INSERT INTO idempotency (id, fingerprint, attempt, started_at, expires_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, attempt = excluded.attempt,
           started_at = excluded.started_at, expires_at = excluded.expires_at, status = NULL, headers = NULL, body = NULL
         WHERE idempotency.expires_at <= excluded.started_at`,
      )
      .bind(id, wanted.fingerprint, wanted.attempt, wanted.now, wanted.expiresAt),
    db.prepare("SELECT fingerprint, attempt, started_at, status, headers, body FROM idempotency WHERE id = ?").bind(id),
  ]);
  const row = found?.results[0];
  if (!row) throw new Error("the row that was just written is not there");
  const { fingerprint, attempt, started_at: startedAt, status, headers, body } = row;
  const answer = status === null ? null : { status, headers: JSON.parse(headers ?? "{}"), body };
  return { fingerprint, attempt, startedAt, answer };
}

/** Records what `attempt` came to. */
export async function finish(
  db: D1Database,
  id: string,
  attempt: string,
  answer: KeptAnswer,
  now: number,
): Promise<void> {
  await db.batch([
    db
      .prepare("UPDATE idempotency SET status = ?, headers = ?, body = ? WHERE id = ? AND attempt = ?")
      .bind(answer.status, JSON.stringify(answer.headers), answer.body, id, attempt),
    db
      .prepare(
        "DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
      )
      .bind(now, SWEPT),
  ]);
}

/** Gives the row back: `attempt` did nothing, and the same key may try again. */
export async function forget(db: D1Database, id: string, attempt: string): Promise<void> {
  await db.prepare("DELETE FROM idempotency WHERE id = ? AND attempt = ?").bind(id, attempt).run();
}
