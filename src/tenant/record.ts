import type { ContainerId, Epoch, Generation, PoolId, TenantId } from "../ids.ts";
import { epoch } from "../ids.ts";
import type { SavedView } from "../instance/types.ts";
import type { Failure } from "../outcome.ts";
import type { Tier } from "../runtime/port.ts";
import type { GatewayGrant } from "../sessions/gateway-token.ts";
import type { Committed, ErasureProof, GenerationSummary } from "../vault/types.ts";
import type { Parts } from "./destruction.ts";
import type { EndOf } from "./ends.ts";
import type { ImportSource, ReleaseRequest } from "./requests.ts";
import type { SealedSecrets } from "./secrets.ts";
import type { Syncs, SyncsToDo } from "./syncs.ts";
import type { Desired, Drift, Launch, Lifecycle, OperationKind, StoppedReason, TenantState } from "./vocabulary.ts";

/** Everything durable about a tenant but its ended operations and its journal; one document (docs/storage.md). Times are ms since 1970. */
export interface TenantRecord {
  version: 2;
  tenantId: TenantId;
  createdAt: number;
  state: TenantState;
  desired: Desired;
  /** Of the latest assignment, whether it came to serve or not. */
  epoch: Epoch;
  poolId: PoolId | null;
  /** The container that serves the tenant, or is kept after a failed save. */
  held: Held | null;
  operation: Operation | null;
  /** Containers that are to be destroyed and are not confirmed gone. */
  retiring: Retiring[];
  /** The version of the workload that it ran last, until it is released: a pool may let it keep that. */
  ran?: { poolId: PoolId; version: number };
  /** What the next start delivers, beside the secrets. */
  delivery: Delivery;
  secrets: SealedSecrets | null;
  /** Which versions of it the held container was given (`versionsOf`). */
  delivered: string | null;
  /** The tenant's own; null: the workload's or the pool's. */
  tier: Tier | null;
  lifecycle: Lifecycle;
  /** When a sleeping tenant is woken by its lifecycle. */
  wakeAt: number | null;
  /** Tokens and sessions of lower versions open nothing. From 1. */
  tokenVersion: number;
  suspension: Suspension | null;
  /** Of the latest stop; null from the next start on. */
  stoppedReason: StoppedReason | null;
  destruction: Destruction | null;
  generation: number;
  lastSaveAt: number | null;
  unsavedSince: number | null;
  /** The latest container that ended with changes that no generation has. */
  lastLoss: Loss | null;
  lastActivityAt: number | null;
  /** Set in `release_failed`: when the save is tried again, or (a guard) until when the container is kept. */
  hold: Hold | null;
  /** Absent while the pool never had a sync spec. */
  syncs?: Syncs;
  /** The ten latest, newest first. */
  errors: (Failure & { at: number })[];
  /** How its containers ended by themselves, newest first (`withEnd`). Absent while none did. */
  ends?: EndOf[];
  /** When a workload was killed for its memory and its container went on, newest first. */
  ooms?: number[];
  /** When containers ended, or did not come to serve, lately: what backoff and breaker count. */
  crashes?: number[];
  /** Containers that took the place of one that ended by itself. */
  restarts?: number;
  /** What was saved and is not there any more, as far as it is known. Cleared by a start that finds it, or begins without. */
  missing?: Missing;
  /** The object that kept this record lost it, and it was made anew from what others know (`rebuilt`). */
  rebuilt?: Rebuilt;
}

export interface Rebuilt {
  at: number;
  /** What only the lost record had, and a start needs: refused until a claim, or a change, brings it again. */
  needs: ("config" | "secrets")[];
}

export interface Missing {
  at: number;
  /** Of the state that is gone. */
  generation: Generation;
}

export interface Retiring {
  containerId: ContainerId;
  poolId: PoolId;
  /** ms since 1970; absent in older records. */
  since?: number;
}

export interface Held {
  containerId: ContainerId;
  poolId: PoolId;
  epoch: Epoch;
  port: number;
  tier: Tier;
  workloadVersion?: number;
  /** What the pool starts by now; known after the first look. */
  latestVersion?: number;
  hasState: boolean;
  launch: Exclude<Launch, "existing">;
  reason?: string;
  idleTimeoutMs: number;
  since: number;
  /** Of its latest look; absent: nothing is known against it. */
  health?: "unhealthy";
  restored: GenerationSummary | null;
  /** From what the gateway token is derived that the container was given. */
  gateway?: GatewayGrant;
  timings: Record<string, number>;
}

export interface Operation {
  id: string;
  kind: OperationKind;
  startedAt: number;
  deadlineAt: number;
  attempts: number;
  /** The state to go back to when nothing was started. */
  from: TenantState;
  /** Whether it may begin with an empty state directory: never, once a restore failed (an admin said so), or this time. */
  fresh: "never" | "if-restore-fails" | "now";
  release?: ReleaseRequest;
  saveId?: string;
  /** Of a restore: what is to be current again; `made` as soon as it is. */
  restore?: { generation: Generation; made?: Made };
  /** Of an import; also of the destruction that cut one off, which may have committed. */
  import?: { source: ImportSource; epoch: Epoch; token: string };
  /** What a restart is of. `image`: no container of a lower version of the workload than this will do. */
  restart?: { scope: "process" | "container" } | { scope: "image"; minWorkloadVersion: number };
  /** ms since 1970: nothing is started earlier. */
  notBefore?: number;
  /** Until when it waits for capacity, ms since 1970. */
  capacityUntil?: number;
  /** Of a wake: nobody asked for it but the tenant's lifecycle. */
  byLifecycle?: true;
  /** What was saved on the way, for the answer at the end. */
  saved?: SavedView | null;
  /** Why nothing was, where it goes on all the same. */
  notSaved?: Failure;
  /** Of a sleep: the platform is about to end the container. */
  deploy?: true;
  /** Of a sync: the one spec that it is of. */
  spec?: { id: string };
  /** Specs that are synchronised in it, after the state was saved. */
  syncs?: SyncsToDo;
  /** Of a sleep: activity after this calls it off, also for one that begins again after an eviction. */
  idleSince?: number;
}

/** A generation that a restore made current, and which one it was made from. */
export interface Made {
  committed: Committed;
  from: GenerationSummary;
}

export interface Delivery {
  config?: unknown;
  /** 0 before the first config. */
  configVersion: number;
  publicUrl?: string;
}

export interface Suspension {
  at: number;
  actor: string;
  reason?: string;
  /** Where a resumption leads. */
  from: "idle" | "asleep";
  /** Somebody had stopped it before, which holds on after it. */
  stopped?: "user";
}

/** The parts that a destruction still has to delete, and until when what is kept is kept. */
export interface Destruction {
  data: "keep" | "delete" | "deleted";
  /** ms since 1970; null until the rest is gone, or when nothing is kept. */
  dataUntil: number | null;
  /** That nothing is left, once it was looked for. */
  proof?: ErasureProof;
  /** Absent in older records. */
  requestedAt?: number;
  by?: string;
  parts?: Parts;
  /** It was tried so often that a person should look; it is tried on. */
  abandonedAt?: number;
  /** Of a destroyed tenant: when what is left of its data is deleted again. */
  retryAt?: number;
}

/**
 * Goes on also when nothing could be saved: an admin forced it. A release is not of that kind: there `force` accepts what
 * a guard refuses, and nothing else.
 */
export const isLossy = ({ kind, release }: Operation): boolean => kind !== "release" && release?.force === true;

/** Nothing of it is under way: it goes on later. */
export const isWaiting = ({ notBefore }: Operation, now: number): boolean => notBefore !== undefined && now < notBefore;

/** Operations that save a container's state because they take it away. */
export type LeavingKind = "release" | "sleep" | "restart" | "restore" | "suspend";
/** What such an operation carries beside what all have. */
export type Leaving = Pick<Operation, "idleSince" | "restart" | "restore" | "deploy" | "capacityUntil">;

export interface Loss {
  containerId: ContainerId;
  at: number;
  unsavedSince: number;
  /** The last generation that was committed before. */
  generation: number;
  detail: string;
}

export type Hold =
  | {
      kind: "retry";
      at: number;
      attempts: number;
      saveId: string;
      release: ReleaseRequest;
      of: LeavingKind;
      more?: Leaving;
    }
  /** `generation`: where the vault keeps what was sent. Without one it keeps nothing. */
  | { kind: "guard"; until: number; generation?: Generation };

export const newTenant = (tenantId: TenantId, now: number): TenantRecord => ({
  version: 2,
  tenantId,
  createdAt: now,
  state: "idle",
  desired: "idle",
  epoch: epoch(0),
  poolId: null,
  held: null,
  operation: null,
  retiring: [],
  delivery: { configVersion: 0 },
  secrets: null,
  delivered: null,
  tier: null,
  lifecycle: { mode: "on-demand" },
  wakeAt: null,
  tokenVersion: 1,
  suspension: null,
  stoppedReason: null,
  destruction: null,
  generation: 0,
  lastSaveAt: null,
  unsavedSince: null,
  lastLoss: null,
  lastActivityAt: null,
  hold: null,
  errors: [],
});

/** What an earlier version of this code stored, as this one reads it. Secrets of version 1 were sealed in another way and are gone. */
export const upgraded = (stored: TenantRecord): TenantRecord =>
  stored.version === 2
    ? stored
    : { ...newTenant((stored as TenantRecord).tenantId, 0), ...(stored as object), version: 2 };

/** Names what the next start delivers. */
export const versionsOf = ({ delivery, secrets }: TenantRecord): string =>
  `${delivery.configVersion}.${secrets?.version ?? 0}`;

/** In what the next container would differ from the one that serves. Pure. */
export function driftOf(record: TenantRecord): Drift[] {
  const { held, delivered, tier } = record;
  if (!held) return [];
  const drift: Drift[] = [];
  const { workloadVersion: runs = 0, latestVersion: latest = runs } = held;
  if (latest > runs && held.workloadVersion !== undefined) drift.push("image");
  if (delivered) {
    const [config, secrets] = delivered.split(".");
    if (Number(config) !== record.delivery.configVersion) drift.push("config");
    if (Number(secrets) !== (record.secrets?.version ?? 0)) drift.push("secrets");
  }
  if ((tier ?? held.tier) !== held.tier) drift.push("tier");
  return drift;
}

/** How long the tenant may be idle before it sleeps, in ms; null: it never does. */
export function idleTimeoutOf({ lifecycle }: TenantRecord, held: Held): number | null {
  return lifecycle.mode === "always-on" ? null : (lifecycle.idleTimeoutMs ?? held.idleTimeoutMs);
}
