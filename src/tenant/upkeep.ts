import { SYSTEM } from "../auth/principal.ts";
import { configOf } from "../config.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { LostRecord } from "./lost-record.ts";
import type { Machine } from "./machine.ts";
import { wrappedAnew } from "./preparation.ts";
import { deliver, projected } from "./projection.ts";
import { standsAs } from "./status.ts";
import type { TenantStore } from "./store.ts";
import type { TenantStanding } from "./types.ts";

/** What sweeps and administrators ask of every tenant, one after the other. Nothing of it changes what the tenant is. */
export class Upkeep {
  readonly #env: Env;
  readonly #store: TenantStore;
  readonly #machine: Machine;
  readonly #lost: LostRecord;

  constructor(env: Env, store: TenantStore, machine: Machine, lost: LostRecord) {
    this.#env = env;
    this.#store = store;
    this.#machine = machine;
    this.#lost = lost;
  }

  async touch(mode: "look" | "mend"): Promise<TenantStanding | null> {
    if (mode === "mend") await this.#lost.find();
    const record = this.#store.load();
    if (!record) return null;
    const alarm = await this.#store.alarm.standing(this.#machine.due(record));
    if (alarm === "lost" && mode === "mend") {
      this.#store.alarm.rang();
      this.#store.alarm.arm(this.#machine.due(this.#store.load() ?? record));
    }
    return { ...standsAs(record), alarm };
  }

  async project(): Promise<Outcome<null>> {
    await this.#lost.findIfKnown();
    while ((await deliver(this.#env.DB, this.#store)) === "more");
    const record = this.#machine.record(); // read with the number that it is sent under
    if (!record) return failed("not_found", "There is no such tenant.");
    await projected(this.#env.DB, record, this.#store).run();
    return done(null);
  }

  async rewrap(): Promise<Outcome<{ rewrapped: boolean }>> {
    const record = await this.#lost.known();
    if (!record?.secrets) return done({ rewrapped: false });
    const { secrets, tenantId } = record;
    const wrapped = await wrappedAnew(configOf(this.#env), tenantId, secrets.key);
    if (!wrapped.ok) return wrapped;
    const key = wrapped.value;
    if (!key) return done({ rewrapped: false });
    const change = { kind: "rewrap" as const, key, before: secrets.version };
    const { planned } = this.#machine.take({ type: "change", change, ifMatch: null }, null, SYSTEM);
    return planned.kind === "refuse" ? { ok: false, failure: planned.failure } : done({ rewrapped: true });
  }
}
