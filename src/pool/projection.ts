import { recordDelivered } from "../audit/d1.ts";
import { slotView } from "./describe.ts";
import type { PoolRecord } from "./record.ts";
import type { PoolStore } from "./store.ts";
import type { SlotView } from "./types.ts";

/** Entries of the journal in one batch. */
const ENTRIES = 50;
/** Slots in one statement: their JSON is one bound value. */
const ROWS = 500;
/** An unsent change is sent again this long after a delivery that failed. */
const RETRY_MS = 5_000;

/**
 * Sends D1 what it lacks of a pool: its records, at least once, and its containers as they are. One delivery at a time,
 * so that an older copy does not replace a newer one; after one that failed everything is sent.
 */
export class Projection {
  readonly #db: D1Database;
  readonly #store: PoolStore;
  #last: Promise<unknown> = Promise.resolve();

  constructor(db: D1Database, store: PoolStore) {
    this.#db = db;
    this.#store = store;
  }

  /** One batch. @throws when D1 refuses it or does not answer; the alarm is set then */
  deliver(): Promise<"all" | "more"> {
    const delivery = this.#last.then(() => this.#deliver());
    this.#last = delivery.catch(() => {});
    return delivery;
  }

  async #deliver(): Promise<"all" | "more"> {
    const { record } = this.#store;
    if (!record) return "all";
    const entries = this.#store.journal.pending(ENTRIES);
    const unsent = this.#store.takeUnsent();
    const statements = [
      ...entries.map((entry) => recordDelivered(this.#db, entry)),
      ...this.#containers(record, unsent, Date.now()),
    ];
    if (statements.length === 0) return "all";
    try {
      await this.#db.batch(statements);
    } catch (error) {
      this.#store.resendEverything();
      this.#store.alarm.arm(Date.now() + RETRY_MS);
      throw error;
    }
    const last = entries.at(-1);
    if (last) this.#store.confirm(last.seq);
    return this.#store.hasUnsent ? "more" : "all";
  }

  #containers(record: PoolRecord, unsent: ReturnType<PoolStore["takeUnsent"]>, now: number): D1PreparedStatement[] {
    const changed = unsent === "everything" ? this.#store.slots : unsent.flatMap((id) => this.#store.slot(id) ?? []);
    const present = changed.map((slot) => slotView(record, slot));
    const statements: D1PreparedStatement[] = [];
    for (let at = 0; at < present.length; at += ROWS) {
      statements.push(this.#db.prepare(UPSERT).bind(JSON.stringify(present.slice(at, at + ROWS)), now));
    }
    if (unsent === "everything") {
      const there = present.map((slot) => slot.containerId);
      statements.push(this.#db.prepare(DELETE_OTHERS).bind(record.id, JSON.stringify(there), now));
    } else {
      const gone = unsent.filter((id) => !this.#store.slot(id));
      if (gone.length > 0) statements.push(this.#db.prepare(DELETE).bind(JSON.stringify(gone)));
    }
    return statements;
  }
}

const COLUMNS =
  "container_id, pool_id, workload_id, workload_version, image, state, tier, tenant_id, epoch, started_at, since";
/** Of a `SlotView`, in the columns' order. */
const MEMBERS: readonly (keyof SlotView)[] = [
  "containerId",
  "poolId",
  "workloadId",
  "workloadVersion",
  "image",
  "state",
  "tier",
  "tenantId",
  "epoch",
  "startedAt",
  "since",
];
/** An upsert from a SELECT needs its WHERE, or ON would be read as a join. */
const UPSERT = `INSERT INTO containers (${COLUMNS}, updated_at)
  SELECT ${MEMBERS.map((name) => `value->>'$.${name}'`).join(", ")}, ?2 FROM json_each(?1) WHERE true
  ON CONFLICT (container_id) DO UPDATE SET
    workload_id = excluded.workload_id, workload_version = excluded.workload_version, image = excluded.image,
    state = excluded.state, tier = excluded.tier, tenant_id = excluded.tenant_id, epoch = excluded.epoch,
    started_at = excluded.started_at, since = excluded.since, updated_at = excluded.updated_at
  WHERE excluded.updated_at >= containers.updated_at`;
const DELETE = "DELETE FROM containers WHERE container_id IN (SELECT value FROM json_each(?1))";
const DELETE_OTHERS =
  "DELETE FROM containers WHERE pool_id = ?1 AND updated_at <= ?3 AND container_id NOT IN (SELECT value FROM json_each(?2))";
