import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { ContainerEnd, SavedView, SpecProgress } from "../instance/types.ts";
import type { Failure } from "../outcome.ts";
import type { Tier } from "../runtime/port.ts";
import type { Committed, ErasureProof, GenerationSummary } from "../vault/types.ts";
import type { PartView } from "./destruction.ts";
import type { OutOfMemory } from "./ends.ts";
import type { SpecState } from "./syncs.ts";
import type { Desired, Drift, Launch, Lifecycle, OperationKind, StoppedReason, TenantState } from "./vocabulary.ts";

/** What a tenant answers and shows of itself. */

export interface ClaimAnswer {
  tenantId: TenantId;
  containerId: ContainerId;
  poolId: PoolId;
  state: TenantState;
  launch: Launch;
  reason?: string;
  epoch: Epoch;
  restored: GenerationSummary | null;
  pendingRestart?: true;
  /** Why. */
  drift?: Drift[];
  /** Milliseconds by step. */
  timings: Record<string, number>;
}

export interface ReleaseAnswer {
  tenantId: TenantId;
  state: TenantState;
  saved: SavedView | null;
  /** Milliseconds by step. */
  timings: Record<string, number>;
}

/** How it ended: the state that it led to, and what was saved on the way. */
export interface ActionAnswer {
  tenantId: TenantId;
  state: TenantState;
  containerId?: ContainerId;
  epoch: Epoch;
  saved: SavedView | null;
  /** Of a restore: what was asked for. `generation` is the new one that has its tree. */
  restored?: GenerationSummary;
  /** Of an import or a copy. */
  imported?: Committed;
  generation?: number;
  /** Of a destruction that deleted what was saved. */
  erased?: ErasureProof;
  /** Why nothing was saved, of what went on all the same. */
  notSaved?: Failure;
  /** What sync specs transferred, and deleted on the other side. */
  synced?: { specId: string; files: number; bytes: number; deleted: number }[];
  /** Milliseconds by step. */
  timings: Record<string, number>;
}

export interface Settings {
  tenantId: TenantId;
  poolId?: PoolId;
  /** The tenant's own; null: the workload's or the pool's. */
  tier: Tier | null;
  lifecycle: Lifecycle;
  tokenVersion: number;
  config: ConfigVersion | null;
  /** Names and masked tails; values never come back. */
  secrets: SecretView[];
  secretsVersion: number;
  /** A running container was given something else. */
  pendingRestart: boolean;
}

export interface ConfigVersion {
  version: number;
  config: unknown;
  at: number;
  actor: string;
}

export interface SecretView {
  name: string;
  /** The last characters of a long value, behind dots. */
  masked: string;
  updatedAt: number;
}

/** A stored long action. `result` and `error` are set once it ended. */
export interface OperationView {
  id: string;
  tenantId: TenantId;
  kind: OperationKind;
  status: "running" | "succeeded" | "failed" | "cancelled";
  step: string;
  startedAt: number;
  deadlineAt: number;
  attempts: number;
  /** Nothing is started before, ms since 1970. */
  retryAt?: number;
  /** Of a destruction: what it deletes. */
  parts?: PartView[];
  endedAt?: number;
  result?: ClaimAnswer | ReleaseAnswer | ActionAnswer;
  error?: Failure;
}

export interface TenantStatus {
  tenantId: TenantId;
  assigned: boolean;
  assignment: null | "pending" | "assigned" | "releasing";
  state: TenantState;
  desired: Desired;
  containerId?: ContainerId;
  poolId?: PoolId;
  epoch: Epoch;
  tier: Tier | null;
  /** The tenant's own tier, where the running container has another. */
  pendingTier?: Tier;
  health: "healthy" | "unhealthy" | "starting" | "stopped";
  /** Of the workload that the container runs. */
  version?: number;
  /** The next container would be another than the one that runs; `drift` says in what. */
  pendingRestart?: true;
  drift?: Drift[];
  /** How its latest container ended that ended by itself; absent while none did. */
  lastExit?: ContainerEnd & { containerId: ContainerId };
  /** Containers that took the place of one that ended by itself. */
  restarts: number;
  /** Absent while no container ran out of memory in the last day. */
  oom?: OutOfMemory;
  /** What was saved and is not there any more. */
  missing?: { at: number; generation: number };
  /** The object that keeps it lost its record, which was made anew; `needs` is to be given again before it starts. */
  rebuilt?: { at: number; needs: ("config" | "secrets")[] };
  suspended?: { at: number; actor: string; reason?: string };
  /** While it has no container. */
  stoppedReason?: StoppedReason;
  operation?: OperationView;
  lastError?: Failure & { at: number };
  /** The latest container that ended with changes that no generation has. */
  lastLoss?: { containerId: ContainerId; at: number; unsavedSince: number; generation: number; detail: string };
  generation: number;
  /** Since when the running container may hold changes that no generation has; also set, and kept, when a container was lost with them. */
  unsavedSince: number | null;
  lastActivityAt: number | null;
  syncStatus: { lastSync: number | null; pending: boolean; errors: { at: number; code: string; detail: string }[] };
}

/** One spec at one tenant. */
export interface TenantSyncState {
  tenantId: TenantId;
  state: SpecState;
  /** Whether a container may hold what was not synchronised. */
  pending: boolean;
  /** What the saves of the state volume came to, for a spec whose syncs they are. */
  saves: Pick<TenantStatus, "tenantId" | "operation" | "syncStatus">;
  /** Under way since, and as far as it is known what it is at. */
  running: { startedAt: number; progress: SpecProgress | null } | null;
}
