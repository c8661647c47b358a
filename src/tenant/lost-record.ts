import { COOLDOWN } from "../durable/cadence.ts";
import { messageOf } from "../durable/deadline.ts";
import type { TenantId } from "../ids.ts";
import { log } from "../log.ts";
import { type Failure, failed } from "../outcome.ts";
import { alertEntries } from "./alerts.ts";
import type { Machine } from "./machine.ts";
import { knownElsewhere, rebuiltFrom } from "./rebuild.ts";
import { newTenant, type TenantRecord } from "./record.ts";
import type { TenantStore } from "./store.ts";

/**
 * An object without a record belongs to a tenant that never was, or it lost it. Whoever asks something of it finds out
 * first, and a lost record is made anew (`rebuild.ts`). Looking creates nothing, and is not done again soon.
 */
export class LostRecord {
  readonly #env: Env;
  readonly #tenantId: TenantId | null;
  readonly #store: TenantStore;
  readonly #machine: Machine;
  #looking: Promise<void> | null = null;
  #lookedAt = 0;

  constructor(env: Env, tenantId: TenantId | null, store: TenantStore, machine: Machine) {
    this.#env = env;
    this.#tenantId = tenantId;
    this.#store = store;
    this.#machine = machine;
  }

  /** @throws when somebody who should know does not answer */
  async find(): Promise<void> {
    if (this.#store.load() || Date.now() - this.#lookedAt < COOLDOWN.rebuild) return;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    await this.#looking;
  }

  /** For whoever asks what may as well be unknown. */
  async findIfKnown(): Promise<void> {
    try {
      await this.find();
    } catch (error) {
      log.warn("what others know of a tenant was not to be had", { error: messageOf(error) });
    }
  }

  /** Null for a tenant that never was. Whoever asks also finds out whether its record or its alarm got lost. */
  async known(): Promise<TenantRecord | null> {
    await this.findIfKnown();
    return this.#machine.record();
  }

  /** What would begin a tenant does not begin while it is not known whether there was one; null: it is known. */
  async unknown(): Promise<{ ok: false; failure: Failure } | null> {
    try {
      await this.find();
      return null;
    } catch (error) {
      return failed("database_unavailable", `Whether there is such a tenant was not to be had: ${messageOf(error)}`);
    }
  }

  async #look(): Promise<void> {
    const found = this.#tenantId && (await knownElsewhere(this.#env, this.#tenantId));
    this.#lookedAt = Date.now();
    if (!found || this.#store.load()) return;
    const record = rebuiltFrom(found.known, `save-${crypto.randomUUID()}`, Date.now());
    const { state, epoch, generation, held, missing, rebuilt } = record;
    const detail = { state, epoch, generation, container: held?.containerId ?? null, needs: rebuilt?.needs ?? [] };
    const lost = missing ? [{ type: "data.loss_suspected", detail: { generation } }] : [];
    const alerts = alertEntries(newTenant(record.tenantId, 0), record);
    this.#machine.begin(record, found.last, [{ type: "state.recovered", detail }, ...lost, ...alerts]);
  }
}
