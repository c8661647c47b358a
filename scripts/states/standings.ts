import type { ContainerId, PoolId, TenantId } from "../../src/ids.ts";
import { generation } from "../../src/ids.ts";
import type { Lease } from "../../src/pool/types.ts";
import { workloadSchema } from "../../src/registry/specs.ts";
import { missingParts } from "../../src/tenant/destruction.ts";
import type { Fresh, Limits, StepResult, TenantEvent } from "../../src/tenant/events.ts";
import { plan } from "../../src/tenant/plan.ts";
import { newTenant, type TenantRecord } from "../../src/tenant/record.ts";
import type { Action } from "../../src/tenant/requests.ts";
import type { SealedSecrets } from "../../src/tenant/secrets.ts";
import type { SpecBrief } from "../../src/tenant/syncs.ts";
import type { TenantState } from "../../src/tenant/vocabulary.ts";

/**
 * Tenants to ask things of: one in every state, and a few in which something else is under way. Each came there by the
 * plan itself, from a tenant that had saved a file and was released. test/support/standings.ts brings real ones there.
 */

const HOUR = 3_600_000;
export const LIMITS: Limits = { startMs: HOUR, saveMs: HOUR, syncMs: HOUR, guardHoldMs: HOUR, importMs: HOUR };
export const FRESH: Fresh = { operationId: "op-fresh", saveId: "save-fresh" };
export const NOW = 1_000_000;
export const POOL = "states" as PoolId;
/** A sync spec of the pool that nothing but a trigger starts. */
export const SPEC: SpecBrief = {
  id: "states",
  version: 1,
  kind: "vault",
  intervalMs: null,
  onRelease: false,
  manual: true,
  outward: true,
  inward: false,
};

/** Of a secret `TOKEN`; how it is sealed is nothing to any answer. */
export const sealed: SealedSecrets = {
  version: 1,
  key: { keyId: "", wrapped: "" },
  fingerprint: "",
  items: { TOKEN: { sealed: "", masked: "", updatedAt: 0 } },
};
const given = { config: { value: { a: 1 } }, secrets: sealed };

const BY = { actor: "key:admin", requestId: null };
const workload = workloadSchema.parse({ id: POOL, image: "sandbox", volumes: { state: { containerPath: "/data" } } });
const lease: Lease = {
  containerId: "c-aaaaaaaaaaaaaaaaaaaa" as ContainerId,
  poolId: POOL,
  launch: "warm",
  tier: "lite",
  workload,
  idleTimeoutMs: HOUR,
};
/** Of a start; no other container would do better. */
const failure = { code: "restore_failed", detail: "What is saved cannot be read." } as const;

/** A tenant's life so far. Every method returns the next; none changes the one that it is called on. */
class Life {
  readonly record: TenantRecord;

  constructor(record: TenantRecord) {
    this.record = record;
  }

  take(event: TenantEvent): Life {
    const name = `${this.record.epoch}${event.type}`;
    const planned = plan(this.record, event, { operationId: `op-${name}`, saveId: `save-${name}` }, LIMITS, NOW);
    if (planned.kind !== "go") throw new Error(`${event.type} of ${this.record.state}: ${JSON.stringify(planned)}`);
    return new Life(planned.record);
  }

  /** What a step of the operation under way came to. */
  result(result: StepResult): Life {
    return this.take({ operationId: this.record.operation?.id ?? "", ...result });
  }

  /** What waited for its time is under way. */
  later(): Life {
    const { operation } = this.record;
    if (!operation) return this;
    const { notBefore: _, ...begun } = operation;
    return new Life({ ...this.record, operation: begun });
  }

  act(action: Action): Life {
    return this.take({ type: "act", action: { ...action, specs: [SPEC] }, by: BY });
  }

  claim(): Life {
    return this.take({ type: "claim", poolId: POOL, delivery: given, allowFresh: false });
  }

  release(force = false): Life {
    return this.take({ type: "release", request: force ? { force } : {} });
  }

  /** A container came to serve. */
  served(): Life {
    const assigned = { restored: null, timings: {} };
    return this.result({ type: "leased", lease }).result({
      type: "assigned",
      lease,
      assigned,
      fingerprint: "",
      timings: {},
      specs: [SPEC],
    });
  }

  saved(): Life {
    const quiesced = this.result({ type: "quiesced", busy: false, failure: null, specs: [SPEC] });
    const committed = { generation: generation(this.record.generation + 1), files: 4, bytes: 4, changed: 4 };
    return quiesced.result({ type: "saved", outcome: { ok: true, value: committed } });
  }

  unsaved(code: "guard_blocked" | "deadline_exceeded"): Life {
    const quiesced = this.result({ type: "quiesced", busy: false, failure: null, specs: [SPEC] });
    const aside = code === "guard_blocked" ? { extra: { generation: 2 } } : {};
    return quiesced.result({ type: "saved", outcome: { ok: false, failure: { code, detail: "Not now.", ...aside } } });
  }

  /** Whatever was to be destroyed is gone. */
  gone(): Life {
    const retired = this.record.retiring.reduce<Life>(
      (life, { containerId }) => life.take({ type: "retired", containerId }),
      this,
    );
    if (retired.record.state !== "destroying") return retired;
    return missingParts(retired.record)
      .reduce<Life>((life, part) => life.take({ type: "withdrawn", part, failure: null }), retired)
      .take({ type: "settled" });
  }
}

const idle = new Life(newTenant("tenant" as TenantId, 0)).claim().served().release().saved().gone();
const active = idle.claim().served();
const asleep = active.act({ kind: "stop" }).saved().gone();

/** What of a tenant decides answers: real ones are compared with these by it. */
export const standingOf = (record: TenantRecord) => ({
  state: record.state,
  desired: record.desired,
  operation: record.operation?.kind,
  hold: record.hold?.kind,
  holds: record.held !== null,
  retiring: record.retiring.length,
  generation: record.generation,
  epoch: record.epoch,
  data: record.destruction?.data,
  suspended: record.suspension !== null,
  isGiven: record.delivery.config !== undefined && record.secrets !== null,
});

export interface Standing {
  /** As the table names it. */
  name: string;
  /** Null for a tenant never seen. */
  record: TenantRecord | null;
}

const lives = {
  idle,
  "idle, importing": idle.take({ type: "import", request: { source: { kind: "tar" }, force: false, token: "" } }),
  claiming: idle.claim(),
  active,
  "active, syncing": active.act({ kind: "sync", direction: "outward" }),
  saving: active.act({ kind: "restart", scope: "container" }),
  sleeping: active.act({ kind: "stop" }),
  asleep,
  waking: asleep.act({ kind: "start" }),
  recovering: active
    .take({
      type: "lost",
      containerId: lease.containerId,
      epoch: active.record.epoch,
      detail: "It is gone.",
    })
    .gone()
    .later(),
  releasing: active.release(),
  release_failed: active.release().unsaved("deadline_exceeded"),
  "release_failed, guarded": active.release().unsaved("guard_blocked"),
  error: idle.claim().result({ type: "start_failed", failure, lease: null }),
  suspended: idle.act({ kind: "suspend" }),
  destroying: active.act({ kind: "destroy", deleteData: false }),
  destroyed: idle.act({ kind: "destroy", deleteData: false }).gone(),
} satisfies { readonly [State in TenantState]: Life } & { readonly [name: string]: Life };

export type StandingName = "never seen" | keyof typeof lives;

export const STANDINGS: readonly (Standing & { name: StandingName })[] = [
  { name: "never seen", record: null },
  ...Object.entries(lives).map(([name, { record }]) => ({ name: name as StandingName, record })),
];
