import { commit } from "../durable/commit.ts";
import { hasTable } from "../durable/document.ts";
import type { ContainerId, PoolId } from "../ids.ts";
import type { Tier } from "../runtime/port.ts";
import type { FleetLease } from "./types.ts";

/** The Fleet's table (docs/storage.md): one row for every container that was admitted and is not confirmed gone. */
export class FleetStore {
  readonly #storage: DurableObjectStorage;
  #created: boolean;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#created = hasTable(storage.sql, "admissions");
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

  add(containerId: ContainerId, poolId: PoolId, tier: Tier, now: number): void {
    commit(this.#storage, () => {
      this.#create();
      this.#storage.sql.exec(
        "INSERT INTO admissions (container_id, pool_id, tier, at) VALUES (?, ?, ?, ?)",
        containerId,
        poolId,
        tier,
        now,
      );
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
      "CREATE TABLE IF NOT EXISTS admissions (container_id TEXT PRIMARY KEY, pool_id TEXT NOT NULL, tier TEXT NOT NULL, at INTEGER NOT NULL) STRICT",
    );
    this.#storage.sql.exec("CREATE INDEX IF NOT EXISTS admissions_by_tier ON admissions (tier)");
    this.#created = true;
  }
}
