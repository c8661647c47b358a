import { expect } from "vitest";
import { type ContainerId, generation, type PoolId, type TenantId } from "../../src/ids.ts";
import type { Health } from "../../src/instance/types.ts";
import type { Lease } from "../../src/pool/types.ts";
import { workloadSchema } from "../../src/registry/specs.ts";
import type { Fresh, Going, Limits, Plan, Step, TenantEvent } from "../../src/tenant/events.ts";
import { plan } from "../../src/tenant/plan.ts";
import { newTenant, type TenantRecord } from "../../src/tenant/record.ts";

export const limits: Limits = {
  startMs: 180_000,
  saveMs: 120_000,
  syncMs: 600_000,
  guardHoldMs: 3_600_000,
  importMs: 900_000,
};
export const pool = "demo" as PoolId;
export const workload = workloadSchema.parse({
  id: "sandbox",
  image: "sandbox",
  volumes: { state: { containerPath: "/data" } },
});
export const lease = (n: number): Lease => ({
  containerId: `c-${n}` as ContainerId,
  poolId: pool,
  launch: "warm",
  tier: "lite",
  workload,
  idleTimeoutMs: 900_000,
});

export const ERASED = { deleted: 4, listed: 0, at: 1_234 } as const;

/** Drives a tenant through events, drawing names from a counter. */
export class Driver {
  record: TenantRecord = newTenant("alice" as TenantId, 0);
  steps: Step[] = [];
  now = 1_000;
  /** Looks at every plan before it is carried out. */
  onPlan?: (before: TenantRecord, planned: Going) => void;
  #drawn = 0;

  send(event: TenantEvent): Plan {
    const fresh: Fresh = { operationId: `op-${++this.#drawn}`, saveId: `save-${this.#drawn}` };
    const planned = plan(this.record, event, fresh, limits, this.now);
    if (planned.kind === "go") {
      this.onPlan?.(this.record, planned);
      this.record = planned.record;
      this.steps = planned.steps;
    }
    return planned;
  }

  /** Answers the first step of this kind. */
  answer(kind: Step["do"], result: Record<string, unknown>): Plan {
    const step = this.steps.find((candidate) => candidate.do === kind);
    expect(step, `a ${kind} step`).toBeDefined();
    const operationId = step && "operationId" in step ? { operationId: step.operationId } : {};
    return this.send({ ...operationId, ...result } as TenantEvent);
  }

  /** Every part of a destruction is confirmed gone. */
  confirmGone(): Plan {
    for (const { containerId } of this.record.retiring) this.send({ type: "retired", containerId });
    for (const part of ["specs", "domains", "keys", "pool", "container"] as const) {
      this.send({ type: "withdrawn", part, failure: null });
    }
    return this.record.destruction?.data === "delete"
      ? this.send({ type: "erased", proof: ERASED })
      : this.send({ type: "settled" });
  }

  activate(n = 1): this {
    this.send({ type: "claim", poolId: pool, delivery: null, allowFresh: false });
    this.answer("lease", { type: "leased", lease: lease(n) });
    this.answer("assign", {
      type: "assigned",
      lease: lease(n),
      assigned: { restored: null, timings: {} },
      fingerprint: "",
      timings: {},
    });
    return this;
  }
}

/** Of a container that nothing was found wrong with. */
export const health: Health = { status: "healthy", failures: 0, since: 0 };
export const committed = { ok: true, value: { generation: generation(1), files: 1, bytes: 1, changed: 1 } } as const;
