import { SYSTEM } from "../auth/principal.ts";
import type { ContainerId, Epoch, TenantId } from "../ids.ts";
import { failed } from "../outcome.ts";
import type { LostRecord } from "./lost-record.ts";
import type { Machine } from "./machine.ts";
import { neverSeen, view } from "./planning.ts";
import type { TenantRecord } from "./record.ts";
import { routeOf } from "./route.ts";
import type { Route, Served } from "./types.ts";

/** What the proxy, the Pool and Instances ask of a tenant: which container serves it, and what becomes of one. */
export class Serving {
  readonly #machine: Machine;
  readonly #lost: LostRecord;

  constructor(machine: Machine, lost: LostRecord) {
    this.#machine = machine;
    this.#lost = lost;
  }

  async route(
    tenantId: TenantId,
    stale: { containerId: ContainerId; epoch: Epoch } | null,
    waitMs: number,
  ): Promise<Route> {
    const record = await this.#lost.known();
    if (!record) return { kind: "failed", failure: neverSeen(tenantId).failure };
    if (stale?.containerId === record.held?.containerId && stale?.epoch === record.held?.epoch) {
      await this.#machine.look();
    }
    const deadline = Date.now() + waitMs;
    for (;;) {
      const route = routeOf(this.#machine.record() ?? record);
      if (route !== "pending") return route;
      const left = deadline - Date.now();
      const answer = left > 0 ? await this.#machine.ask(tenantId, { type: "wake" }, SYSTEM, left, settled) : null;
      if (answer && !answer.ok) return { kind: "failed", failure: answer.failure };
      if (answer?.value.kind !== "done") return this.#starting();
    }
  }

  #starting(): Route {
    const record = this.#machine.record();
    if (record?.operation) return { kind: "starting", operation: view(record, record.operation) };
    const { failure } = failed("starting", "The container is being prepared.", { retryAfterMs: 1_000 });
    return { kind: "failed", failure };
  }

  async owns(containerId: ContainerId, epoch: Epoch): Promise<boolean | null> {
    await this.#lost.find();
    const record = this.#machine.record();
    if (!record) return false;
    if (record.held) return record.held.containerId === containerId;
    return record.operation !== null && record.epoch === epoch ? null : false;
  }

  async drain(containerId: ContainerId, waitMs: number): Promise<boolean> {
    const { tenantId } = (await this.#lost.known()) ?? {};
    if (tenantId === undefined) return true;
    await this.#machine.ask(tenantId, { type: "drain", containerId }, SYSTEM, waitMs, () => ({}));
    const record = this.#machine.record();
    // What a guard refused is in the vault already, aside.
    return record?.held?.containerId !== containerId || record.hold?.kind === "guard";
  }

  async ended(containerId: ContainerId): Promise<void> {
    const record = await this.#lost.known();
    if (record?.held?.containerId === containerId) await this.#machine.look();
  }

  async servedBy(containerId: ContainerId): Promise<Served | null> {
    await this.#lost.find();
    const record = this.#machine.record();
    if (record?.held?.containerId !== containerId) return null;
    const { epoch, since, gateway } = record.held;
    return { epoch, since, admission: record.state === "active" ? "open" : "closed", ...(gateway ? { gateway } : {}) };
  }
}

/** Null where a request would wait for something that is not under way. */
const settled = (record: TenantRecord): object | null => (routeOf(record) === "pending" ? null : {});
