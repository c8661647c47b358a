import { SYSTEM } from "../auth/principal.ts";
import { atMost } from "../durable/at-most.ts";
import { messageOf } from "../durable/deadline.ts";
import type { ContainerId, PoolId } from "../ids.ts";
import { log } from "../log.ts";
import { configured, entry } from "./administer.ts";
import type { Effects, Known } from "./effects.ts";
import type { Slot } from "./record.ts";
import type { PoolStore } from "./store.ts";

const AT_ONCE = 25;

/**
 * A pool whose storage was lost is made anew from what others know: its spec and its journal's end from D1, its containers
 * from D1's copy, the fleet and their Instances, what those run from the registry's versions. Those that serve a tenant are
 * its leases again, once the tenant says so; all others are ended, since nobody knows any more whether one was given out (P-ONE).
 */
export class Recovery {
  readonly #store: PoolStore;
  readonly #effects: Effects;
  readonly #name: string | null;
  #underWay: Promise<boolean> | null = null;

  constructor(store: PoolStore, effects: Effects, name: string | null) {
    this.#store = store;
    this.#effects = effects;
    this.#name = name;
  }

  /**
   * `ids`: containers that somebody counts as this pool's. `which`: for whoever may be the first to speak of it, only a
   * pool of which something was recorded or runs. False when it is not known whether there is such a pool.
   */
  async recover(
    ids: readonly ContainerId[],
    poolId = this.#name as PoolId | null,
    which: "registered" | "lived" = "registered",
  ): Promise<boolean> {
    if (this.#store.record) return true;
    if (poolId === null) return false;
    this.#underWay ??= this.#recover(ids, poolId, which).finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }

  async #recover(ids: readonly ContainerId[], poolId: PoolId, which: "registered" | "lived"): Promise<boolean> {
    try {
      const given = await this.#effects.lookUp(poolId);
      if (!given) return true;
      const { containers, tenants, chain } = await this.#effects.copiesOf(poolId);
      if (which === "lived" && chain.seq === 0 && containers.length === 0) return true;
      const slots: Slot[] = [];
      const copied = new Map(containers.map((one) => [one.containerId, one]));
      await atMost(AT_ONCE, [...new Set([...ids, ...copied.keys()])], async (id) => {
        const slot = await this.#slotOf(id, copied.get(id));
        if (slot) slots.push(slot);
      });
      const earlier = await this.#effects.versions(given, new Set(slots.map((slot) => slot.workloadVersion)));
      if (this.#store.record) return true; // somebody configured it meanwhile
      const now = Date.now();
      const made = configured(null, [], given, SYSTEM, now);
      if (!made.ok) return true;
      const record = { ...made.value.record, earlier };
      this.#store.journal.continueFrom(chain);
      const detail = { workloadVersion: given.workloadVersion, containers: slots.length };
      this.#store.save({
        record,
        put: slots,
        tenants,
        entries: [entry("pool.recovered", null, record, SYSTEM, now, detail)],
        alarm: now + 1_000,
      });
      return true;
    } catch (error) {
      log.warn("a pool without storage could not learn what it was", { pool: poolId, error: messageOf(error) });
      return false;
    }
  }

  /** Null for a container that is gone. */
  async #slotOf(containerId: ContainerId, copy: Known | undefined): Promise<Slot | null> {
    const now = Date.now();
    const found = copy?.tenantId ? copy : await this.#effects.identify(containerId).catch(() => copy ?? UNKNOWN);
    if (!found) return null;
    const { tenantId, epoch, tier, workloadVersion, startedAt } = found;
    const slot = { containerId, tier, workloadVersion, startedAt: startedAt ?? now, startMs: null, since: now };
    if (tenantId === null || epoch === null) return { ...slot, state: "draining", lease: null };
    return { ...slot, state: "assigned", lease: { tenantId, epoch, launch: "cold", confirmBy: now } };
  }
}

/** Of a container that does not answer: it is ended, which works without knowing more. */
const UNKNOWN: Omit<Known, "containerId"> = {
  tenantId: null,
  epoch: null,
  tier: "lite",
  workloadVersion: 1,
  startedAt: null,
};
