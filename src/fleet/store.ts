import { Alarm } from "../durable/alarm.ts";
import { commit } from "../durable/commit.ts";
import { Document, hasTable } from "../durable/document.ts";
import type { ContainerId, PoolId } from "../ids.ts";
import type { Tier } from "../runtime/port.ts";
import type { StartBucket } from "./plan.ts";
import type { Counted, FleetLease } from "./types.ts";

export interface AdmissionRow extends Counted {
  poolId: PoolId;
  /** When it was admitted, or found to run, ms since 1970. */
  at: number;
}

/** What the Fleet stores about itself. */
interface FleetRecord {
  version: 1;
  bucket: StartBucket;
}

/**
 * The Fleet's tables (docs/storage.md): one row for every container that was admitted and is not confirmed gone, and the
 * token bucket, written in the transaction of each admission so that no eviction fills it.
 */
export class FleetStore {
  readonly alarm: Alarm;
  readonly #storage: DurableObjectStorage;
  readonly #document: Document<FleetRecord>;
  #created: boolean;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.alarm = new Alarm(storage);
    this.#document = new Document(storage.sql, "fleet");
    this.#created = hasTable(storage.sql, "admissions");
  }

  /** Whether anything was ever counted here; if not, this object is new, or lost its storage. */
  get exists(): boolean {
    return this.#created;
  }

  /** Null where none was stored: by an earlier version, or never. */
  get bucket(): StartBucket | null {
    return this.#document.read()?.bucket ?? null;
  }

  has(containerId: ContainerId): boolean {
    return (
      this.#created &&
      this.#storage.sql.exec("SELECT 1 FROM admissions WHERE container_id = ?", containerId).toArray().length > 0
    );
  }

  count(tier: Tier): number {
    if (!this.#created) return 0;
    return this.#storage.sql.exec<{ n: number }>("SELECT COUNT(*) AS n FROM admissions WHERE tier = ?", tier).one().n;
  }

  counts(): Record<string, number> {
    if (!this.#created) return {};
    const rows = this.#storage.sql.exec<{ tier: string; n: number }>(
      "SELECT tier, COUNT(*) AS n FROM admissions GROUP BY tier",
    );
    return Object.fromEntries(rows.toArray().map(({ tier, n }) => [tier, n]));
  }

  leases(after: string, limit: number): FleetLease[] {
    if (!this.#created) return [];
    return this.#storage.sql
      .exec(
        "SELECT container_id AS containerId, pool_id AS poolId, at FROM admissions WHERE container_id > ? ORDER BY container_id LIMIT ?",
        after,
        limit,
      )
      .toArray() as unknown as FleetLease[];
  }

  ofPool(poolId: PoolId): AdmissionRow[] {
    if (!this.#created) return [];
    return this.#storage.sql
      .exec<{ container_id: string; tier: string; at: number }>(
        "SELECT container_id, tier, at FROM admissions WHERE pool_id = ?",
        poolId,
      )
      .toArray()
      .map(({ container_id, tier, at }) => ({
        containerId: container_id as ContainerId,
        poolId,
        tier: tier as Tier,
        at,
      }));
  }

  pools(): PoolId[] {
    if (!this.#created) return [];
    return this.#storage.sql
      .exec<{ pool_id: string }>("SELECT DISTINCT pool_id FROM admissions ORDER BY pool_id")
      .toArray()
      .map(({ pool_id }) => pool_id as PoolId);
  }

  /** One commit: what is counted from now on, and the bucket that the admission left. */
  add(rows: readonly AdmissionRow[], bucket: StartBucket, alarmAt: number): void {
    commit(this.#storage, () => {
      this.#create();
      for (const { containerId, poolId, tier, at } of rows) {
        this.#storage.sql.exec(
          "INSERT OR IGNORE INTO admissions (container_id, pool_id, tier, at) VALUES (?, ?, ?, ?)",
          containerId,
          poolId,
          tier,
          at,
        );
      }
      this.#document.write({ version: 1, bucket });
      this.alarm.arm(alarmAt);
    });
  }

  remove(containerId: ContainerId): void {
    commit(this.#storage, () => {
      this.#storage.sql.exec("DELETE FROM admissions WHERE container_id = ?", containerId);
    });
  }

  #create(): void {
    if (this.#created) return;
    this.#storage.sql.exec(
      `CREATE TABLE IF NOT EXISTS admissions (container_id TEXT PRIMARY KEY, pool_id TEXT NOT NULL, tier TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
       CREATE INDEX IF NOT EXISTS admissions_by_tier ON admissions (tier)`,
    );
    this.#created = true;
  }
}
