/** Longer than it takes to stream what lies between two pages of a generation. */
const LEASE_MS = 60 * 60 * 1000;

/** The SQL of generations that are being read: retention leaves them alone until nobody has asked for a page for so long. */
export class Leases {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Whether a lease is not there or half over; renewing it for every page would cost a commit each. */
  wanting(generation: number, now: number): boolean {
    const [row] = this.#sql
      .exec<{ until: number }>("SELECT until FROM leases WHERE generation = ?", generation)
      .toArray();
    return row === undefined || row.until - now < LEASE_MS / 2;
  }

  /** Inside a commit. */
  renew(generation: number, now: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO leases (generation, until) VALUES (?, ?)", generation, now + LEASE_MS);
  }

  /** Drops those that are over; inside a commit. */
  expire(now: number): void {
    this.#sql.exec("DELETE FROM leases WHERE until <= ?", now);
  }

  /** Generations that are or were read, and until when each. */
  all(): { generation: number; until: number }[] {
    return this.#sql.exec<{ generation: number; until: number }>("SELECT generation, until FROM leases").toArray();
  }
}
