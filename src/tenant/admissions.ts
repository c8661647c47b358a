import { hasTable } from "../durable/document.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { sha256 } from "../sha256.ts";
import type { Admission } from "./requests.ts";

export type AdmissionKind = "code" | "ticket";

/** More than any number of browsers needs at a time; whoever has as many open ones has to use them or wait. */
const MAX_OPEN = 100;
/** Of the secret: nobody guesses it. */
export const ADMISSION_SECRET_BYTES = 32;

/**
 * Single-use secrets of one tenant (docs/storage.md). Only their hashes are stored, so that who reads the table can use
 * none of them. Every method writes and belongs inside a commit; reading where there never was one creates nothing.
 */
export class Admissions {
  readonly #sql: SqlStorage;
  #exists: boolean | null = null;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** @param random ADMISSION_SECRET_BYTES fresh random bytes. Failure: `rate_limited` while too many are open. */
  issue(
    kind: AdmissionKind,
    admission: Admission,
    ttlMs: number,
    now: number,
    random: Uint8Array,
  ): Outcome<{ secret: string }> {
    this.#create();
    this.#removeExpired(now);
    const open = this.#sql
      .exec<{ expires_at: number }>("SELECT expires_at FROM admissions ORDER BY expires_at")
      .toArray();
    if (open.length >= MAX_OPEN) {
      const retryAfterMs = Math.max(1_000, (open[0]?.expires_at ?? now) - now);
      return failed("rate_limited", `${MAX_OPEN} codes and tickets of this tenant are unused.`, { retryAfterMs });
    }
    const secret = Buffer.from(random).toString("base64url");
    this.#sql.exec(
      "INSERT INTO admissions (hash, kind, admission, expires_at) VALUES (?, ?, ?, ?)",
      sha256(secret),
      kind,
      JSON.stringify(admission),
      now + ttlMs,
    );
    return done({ secret });
  }

  /** What the secret leads to, once; null for one that is unknown, used, of the other kind or too old. */
  redeem(kind: AdmissionKind, secret: string, now: number): Admission | null {
    if (!this.#there()) return null;
    const [row] = this.#sql
      .exec<{ admission: string }>(
        "DELETE FROM admissions WHERE hash = ? AND kind = ? AND expires_at > ? RETURNING admission",
        sha256(secret),
        kind,
        now,
      )
      .toArray();
    return row ? (JSON.parse(row.admission) as Admission) : null;
  }

  /** None of those that are open opens anything: for a revocation of tokens. */
  revokeAll(): void {
    if (this.#there()) this.#sql.exec("DELETE FROM admissions");
  }

  /** After a transaction that was rolled back. */
  forget(): void {
    this.#exists = null;
  }

  #removeExpired(now: number): void {
    this.#sql.exec("DELETE FROM admissions WHERE expires_at <= ?", now);
  }

  #there(): boolean {
    this.#exists ??= hasTable(this.#sql, "admissions");
    return this.#exists;
  }

  #create(): void {
    if (this.#there()) return;
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS admissions (hash TEXT PRIMARY KEY, kind TEXT NOT NULL, admission TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    );
    this.#exists = true;
  }
}
