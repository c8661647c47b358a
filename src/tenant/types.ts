import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { Failure, Outcome } from "../outcome.ts";
import type { Tier } from "../runtime/port.ts";
import type { Committed, GenerationSummary } from "../vault/types.ts";

export type TenantState =
  | "idle"
  | "claiming"
  | "active"
  | "sleeping"
  | "asleep"
  | "waking"
  | "recovering"
  | "releasing"
  | "release_failed"
  | "error"
  | "suspended"
  | "destroying"
  | "destroyed";
export type Desired = "active" | "asleep" | "idle" | "destroyed";
export type OperationKind = "claim" | "release" | "sleep" | "wake" | "recover";
export type Launch = "existing" | "warm" | "cold";

export interface ClaimRequest {
  tenantId: TenantId;
  /** May be left out once the tenant has a pool. */
  poolId?: PoolId;
  config?: unknown;
  secrets?: Record<string, string>;
  allowFresh?: boolean;
  /** The tenant's own address, for the workload's environment. */
  publicUrl?: string;
}

export interface ReleaseRequest {
  /** False gives up what was not saved; for admins. Default true. */
  sync?: boolean;
  /** Accepts what a guard refuses. */
  force?: boolean;
}

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
  /** Milliseconds by step. */
  timings: Record<string, number>;
}

export interface ReleaseAnswer {
  tenantId: TenantId;
  state: TenantState;
  saved: Committed | null;
  /** Milliseconds by step. */
  timings: Record<string, number>;
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
  endedAt?: number;
  result?: ClaimAnswer | ReleaseAnswer;
  error?: Failure;
}

/** A waited-for operation: its end, or that it still runs. */
export type Awaited<T> = { kind: "done"; value: T; fresh: boolean } | { kind: "pending"; operation: OperationView };

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

/** Where the proxy sends a request. */
export type Route =
  | { kind: "ready"; containerId: ContainerId; epoch: Epoch; port: number }
  | { kind: "starting"; operation: OperationView }
  | { kind: "failed"; failure: Failure };

/** What a container is to its tenant. Admission is closed while it is being left, or kept after a failed save. */
export interface Served {
  epoch: Epoch;
  admission: "open" | "closed";
}

/** What the RPC surface of the Tenant object looks like to the API, the Pool and the proxy. */
export interface TenantApi {
  /** Waits at most `waitMs` for the end. `fresh` is false when the tenant was active already (200 existing). */
  claim(request: ClaimRequest, waitMs: number): Promise<Outcome<Awaited<ClaimAnswer>>>;
  release(tenantId: TenantId, request: ReleaseRequest, waitMs: number): Promise<Outcome<Awaited<ReleaseAnswer>>>;
  /** Never wakes anything. `not_found` for a tenant never seen. */
  status(tenantId: TenantId): Promise<Outcome<TenantStatus>>;
  operation(operationId: string): Promise<Outcome<OperationView>>;
  /**
   * For the proxy: where to send a request, waking a sleeping tenant. `stale` is the route that was just found not to
   * work; the Tenant looks, and recovers a dead container. Waits at most `waitMs` for an operation to end.
   */
  route(tenantId: TenantId, stale: { containerId: ContainerId; epoch: Epoch } | null, waitMs: number): Promise<Route>;
  /** Whether this container serves the tenant; null while an operation of this epoch may yet decide so. */
  owns(containerId: ContainerId, epoch: Epoch): Promise<boolean | null>;
  /** What this container serves now; null when it serves nobody. */
  servedBy(containerId: ContainerId): Promise<Served | null>;
}
