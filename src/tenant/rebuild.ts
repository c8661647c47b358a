import type { ChainedEntry } from "../audit/entry.ts";
import { readChain } from "../audit/read.ts";
import { within } from "../durable/deadline.ts";
import { poolOf, vaultOf } from "../durable/stubs.ts";
import { type ContainerId, epoch, generation, type PoolId, type TenantId } from "../ids.ts";
import type { SlotView } from "../pool/types.ts";
import { poolAndWorkload } from "../registry/cache.ts";
import type { Tier } from "../runtime/port.ts";
import { newParts } from "./destruction.ts";
import { type Destruction, type Held, newTenant, type Suspension, type TenantRecord } from "./record.ts";
import { NO_SYNCS } from "./syncs.ts";
import type { Desired, Lifecycle, StoppedReason, TenantState } from "./vocabulary.ts";

/**
 * A Tenant whose object lost its record is made anew from what others know: its row in D1, its chain of records there, its
 * vault, and whom its pool says that a container serves. Secrets and config are in none of them: they are asked for again.
 */

/** What D1 has beside its columns, so that a record can be made anew. */
export interface Rest {
  tier: Tier | null;
  lifecycle: Lifecycle;
  tokenVersion: number;
  configVersion: number;
  secretsVersion: number;
  suspension?: Suspension;
  stoppedReason?: StoppedReason;
  destruction?: Pick<Destruction, "data" | "dataUntil">;
  /** Specs that ever had a vault of this tenant's. */
  used?: string[];
}

export function restOf(record: TenantRecord): Rest {
  const { tier, lifecycle, tokenVersion, delivery, secrets, suspension, stoppedReason, destruction, syncs } = record;
  return {
    tier,
    lifecycle,
    tokenVersion,
    configVersion: delivery.configVersion,
    secretsVersion: secrets?.version ?? 0,
    ...(suspension ? { suspension } : {}),
    ...(stoppedReason ? { stoppedReason } : {}),
    ...(destruction ? { destruction: { data: destruction.data, dataUntil: destruction.dataUntil } } : {}),
    ...(syncs && syncs.used.length > 0 ? { used: syncs.used } : {}),
  };
}

/** What is known of a tenant elsewhere. */
export interface Known {
  tenantId: TenantId;
  row: {
    state: TenantState;
    desired: Desired;
    pool_id: PoolId | null;
    container_id: ContainerId | null;
    epoch: number;
    generation: number;
    unsaved_since: number | null;
    last_activity_at: number | null;
    created_at: number;
  };
  /** Null in a row that is older than it. */
  rest: Rest | null;
  vault: { epoch: number; head: number | null; isEmpty: boolean };
  /** The container that its pool says serves it, with what its workload says of it. */
  slot: (Pick<SlotView, "containerId" | "epoch" | "tier" | "workloadVersion" | "startedAt"> & Served) | null;
}
interface Served {
  port: number;
  hasState: boolean;
  idleTimeoutMs: number;
}

/** In these a container has been made the tenant's, whole. */
const SERVED: readonly TenantState[] = ["active", "saving", "sleeping", "releasing", "release_failed"];

/** The record that goes on. Pure. `saveId`: for a save that was under way, which is made anew. */
export function rebuiltFrom({ tenantId, row, rest, vault, slot }: Known, saveId: string, now: number): TenantRecord {
  const last = Math.max(row.epoch, vault.epoch, slot?.epoch ?? 0);
  const keeps = slot !== null && slot.containerId === row.container_id && SERVED.includes(row.state);
  const held: Held | null = keeps && row.pool_id ? heldBy(slot, row.pool_id, last) : null;
  const gone = row.state !== "destroyed" && row.generation > 0 && vault.isEmpty;
  const needs = needsOf(rest);
  const retiring =
    !held && row.container_id && row.pool_id ? [{ containerId: row.container_id, poolId: row.pool_id }] : [];
  const { hold, ...standing } = standingOf(row.state, row.desired, held !== null, gone);
  return {
    ...newTenant(tenantId, row.created_at),
    ...standing,
    // Whatever acts for an older assignment is shut out; a container that goes on keeps its own.
    epoch: epoch(held ? last : last + 1),
    poolId: row.pool_id,
    held,
    retiring,
    delivery: { configVersion: rest?.configVersion ?? 0 },
    tier: rest?.tier ?? null,
    lifecycle: rest?.lifecycle ?? { mode: "on-demand" },
    tokenVersion: (rest?.tokenVersion ?? 1) + (rest ? 0 : 1),
    suspension: rest?.suspension ?? null,
    stoppedReason: rest?.stoppedReason ?? null,
    destruction: destructionOf(row.state, rest),
    generation: vault.head ?? (gone ? row.generation : 0),
    unsavedSince: held ? (row.unsaved_since ?? now) : row.unsaved_since,
    lastActivityAt: held ? now : row.last_activity_at,
    hold: hold ? { kind: "retry", at: now, attempts: 0, saveId, release: {}, of: hold } : null,
    ...(rest?.used ? { syncs: { ...NO_SYNCS, used: rest.used } } : {}),
    ...(gone ? { missing: { at: now, generation: generation(row.generation) } } : {}),
    rebuilt: { at: now, needs },
  };
}

function heldBy(slot: NonNullable<Known["slot"]>, poolId: PoolId, at: number): Held {
  const { containerId, tier, workloadVersion, startedAt, port, hasState, idleTimeoutMs } = slot;
  const common = { containerId, poolId, epoch: epoch(at), port, tier, workloadVersion, hasState, idleTimeoutMs };
  return { ...common, launch: "warm", since: startedAt, restored: null, timings: {} };
}

type Standing = Pick<TenantRecord, "state" | "desired"> & { hold?: "release" | "sleep" };

/** Where it goes on: an operation that was in flight is over, and what it was to lead to follows from what is wanted. */
function standingOf(state: TenantState, desired: Desired, hasContainer: boolean, isGone: boolean): Standing {
  switch (state) {
    case "destroying":
    case "destroyed":
      return { state, desired: "destroyed" };
    case "suspended":
      return { state, desired };
    default:
  }
  if (hasContainer) {
    if (state === "active") return { state, desired: "active" };
    return { state: "release_failed", desired, hold: desired === "idle" ? "release" : "sleep" };
  }
  if (isGone || state === "error") return { state: "error", desired };
  return desired === "idle" ? { state: "idle", desired } : { state: "asleep", desired: "asleep" };
}

function destructionOf(state: TenantState, rest: Rest | null): Destruction | null {
  if (state !== "destroying" && state !== "destroyed") return null;
  const { data = "keep", dataUntil = null } = rest?.destruction ?? {};
  return { data, dataUntil, ...(state === "destroying" ? { parts: newParts(data) } : {}) };
}

function needsOf(rest: Rest | null): ("config" | "secrets")[] {
  const needs: ("config" | "secrets")[] = [];
  if ((rest?.configVersion ?? 0) > 0) needs.push("config");
  if ((rest?.secretsVersion ?? 0) > 0) needs.push("secrets");
  return needs;
}

/** For each of those who are asked. */
const ASK_MS = 10_000;

/**
 * Null where D1 does not say that there was one: a row alone, of which nothing was ever recorded, is nobody's.
 * @throws when somebody does not answer: what is not known is not made up
 */
export async function knownElsewhere(
  env: Env,
  tenantId: TenantId,
): Promise<{ known: Known; last: ChainedEntry } | null> {
  const subject = `tenant:${tenantId}`;
  const row = await within(
    ASK_MS,
    "D1",
    env.DB.prepare(
      `SELECT state, desired, pool_id, container_id, epoch, generation, unsaved_since, last_activity_at, created_at, rest,
         (SELECT MAX(seq) FROM audit WHERE subject = ?1) AS last FROM tenants WHERE tenant_id = ?2`,
    )
      .bind(subject, tenantId)
      .first<Known["row"] & { rest: string | null; last: number | null }>(),
  );
  if (!row || row.last === null) return null;
  const [last] = await within(ASK_MS, "D1", readChain(env.DB, subject, row.last - 1, 1));
  if (!last) return null;
  const described = await within(ASK_MS, "the vault", vaultOf(env, tenantId).describe());
  const { epoch: fenced, head, generations } = described;
  const vault = { epoch: fenced, head: head?.generation ?? null, isEmpty: generations.length === 0 };
  const slot = await within(ASK_MS, "the pool", slotOf(env, tenantId, row));
  const rest = row.rest === null ? null : (JSON.parse(row.rest) as Rest);
  return { known: { tenantId, row, rest, vault, slot }, last };
}

/** The container that the row names, where its pool says that it serves this tenant. */
async function slotOf(env: Env, tenantId: TenantId, row: Known["row"]): Promise<Known["slot"]> {
  const { pool_id: poolId, container_id: containerId } = row;
  if (!poolId || !containerId) return null;
  const slots = await poolOf(env, poolId).containers();
  const slot = slots.ok ? slots.value.find((each) => each.containerId === containerId) : undefined;
  if (slot?.state !== "assigned" || slot.tenantId !== tenantId) return null;
  const registered = await poolAndWorkload(env.DB, poolId, Date.now(), (work) => work.catch(() => {}));
  if (!registered) return null;
  const { pool, workload } = registered;
  const hasState = workload.spec.volumes.state !== undefined;
  return { ...slot, port: workload.spec.port, hasState, idleTimeoutMs: pool.spec.idleTimeoutMs };
}
