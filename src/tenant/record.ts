import type { ContainerId, Epoch, Generation, PoolId, TenantId } from "../ids.ts";
import { epoch } from "../ids.ts";
import type { SavedView } from "../instance/types.ts";
import type { Failure } from "../outcome.ts";
import type { Tier } from "../runtime/port.ts";
import type { GatewayGrant } from "../sessions/gateway-token.ts";
import type { Committed, ErasureProof, GenerationSummary } from "../vault/types.ts";
import type { SealedSecrets } from "./secrets.ts";
import type { Syncs, SyncsToDo } from "./syncs.ts";
import type {
  Desired,
  ImportSource,
  Launch,
  Lifecycle,
  OperationKind,
  ReleaseRequest,
  StoppedReason,
  TenantState,
} from "./types.ts";

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
  retiring: { containerId: ContainerId; poolId: PoolId }[];
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
  /** Of the latest stop; means something while there is no container. */
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
}

export interface Held {
  containerId: ContainerId;
  poolId: PoolId;
  epoch: Epoch;
  port: number;
  tier: Tier;
  workloadVersion?: number;
  hasState: boolean;
  launch: Exclude<Launch, "existing">;
  reason?: string;
  idleTimeoutMs: number;
  since: number;
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
  /** What was saved on the way, for the answer at the end. */
  saved?: SavedView | null;
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
}

/** The parts that a destruction still has to delete, and until when what is kept is kept. */
export interface Destruction {
  data: "keep" | "delete" | "deleted";
  /** ms since 1970; null until the rest is gone, or when nothing is kept. */
  dataUntil: number | null;
  /** That nothing is left, once it was looked for. */
  proof?: ErasureProof;
}

/**
 * Goes on also when nothing could be saved: an admin forced it. A release is not of that kind: there `force` accepts what
 * a guard refuses, and nothing else.
 */
export const isLossy = ({ kind, release }: Operation): boolean => kind !== "release" && release?.force === true;

/** Operations that save a container's state because they take it away. */
export type LeavingKind = "release" | "sleep" | "restart" | "restore" | "suspend";
/** What such an operation carries beside what all have. */
export type Leaving = Pick<Operation, "idleSince" | "restart" | "restore" | "deploy">;

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

/** Whether the container that serves was given something else than the next one would be. */
export const isOutdated = (record: TenantRecord): boolean => {
  const { held, delivered, tier } = record;
  return (
    held !== null && ((delivered !== null && delivered !== versionsOf(record)) || (tier ?? held.tier) !== held.tier)
  );
};

/** How long the tenant may be idle before it sleeps, in ms; null: it never does. */
export function idleTimeoutOf({ lifecycle }: TenantRecord, held: Held): number | null {
  return lifecycle.mode === "always-on" ? null : (lifecycle.idleTimeoutMs ?? held.idleTimeoutMs);
}
