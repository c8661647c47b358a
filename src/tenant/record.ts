import type { ContainerId, Epoch, Generation, PoolId, TenantId } from "../ids.ts";
import { epoch } from "../ids.ts";
import type { Failure } from "../outcome.ts";
import type { Tier } from "../runtime/port.ts";
import type { GenerationSummary } from "../vault/types.ts";
import type { Desired, Launch, OperationKind, ReleaseRequest, TenantState } from "./types.ts";

/** Everything durable about a tenant but its ended operations and its journal; one document (docs/storage.md). Times are ms since 1970. */
export interface TenantRecord {
  version: 1;
  tenantId: TenantId;
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
  /** What the next start delivers. */
  delivery: Delivery;
  /** Of what the held container was given. */
  delivered: string | null;
  generation: number;
  lastSaveAt: number | null;
  unsavedSince: number | null;
  /** The latest container that ended with changes that no generation has. */
  lastLoss: Loss | null;
  lastActivityAt: number | null;
  /** Set in `release_failed`: when the save is tried again, or (a guard) until when the container is kept. */
  hold: Hold | null;
  /** The ten latest, newest first. */
  errors: (Failure & { at: number })[];
}

export interface Held {
  containerId: ContainerId;
  poolId: PoolId;
  epoch: Epoch;
  port: number;
  tier: Tier;
  hasState: boolean;
  launch: Exclude<Launch, "existing">;
  reason?: string;
  idleTimeoutMs: number;
  since: number;
  restored: GenerationSummary | null;
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
  /** Of a sleep: activity after this calls it off, also for one that begins again after an eviction. */
  idleSince?: number;
}

export interface Delivery {
  config?: unknown;
  /** Encrypted under SECRETS_KEY (seal.ts). */
  sealedSecrets?: string;
  publicUrl?: string;
  /** SHA-256 over config and secrets, to notice that a running container has others. */
  fingerprint: string;
}

export interface Loss {
  containerId: ContainerId;
  at: number;
  unsavedSince: number;
  /** The last generation that was committed before. */
  generation: number;
  detail: string;
}

export type Hold =
  | { kind: "retry"; at: number; attempts: number; saveId: string; release: ReleaseRequest; of: "release" | "sleep" }
  /** `generation`: where the vault keeps what was sent. Without one it keeps nothing. */
  | { kind: "guard"; until: number; generation?: Generation };

export const NOTHING_DELIVERED: Delivery = { fingerprint: "" };

export const newTenant = (tenantId: TenantId): TenantRecord => ({
  version: 1,
  tenantId,
  state: "idle",
  desired: "idle",
  epoch: epoch(0),
  poolId: null,
  held: null,
  operation: null,
  retiring: [],
  delivery: NOTHING_DELIVERED,
  delivered: null,
  generation: 0,
  lastSaveAt: null,
  unsavedSince: null,
  lastLoss: null,
  lastActivityAt: null,
  hold: null,
  errors: [],
});
