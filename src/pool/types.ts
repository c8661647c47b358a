import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import type { Tier } from "../runtime/port.ts";

export type SlotState = "starting" | "warm" | "assigned" | "draining" | "gone" | "failed";

export interface LeaseRequest {
  tenantId: TenantId;
  epoch: Epoch;
  /** The tenant's own tier, if it has one. */
  tier?: Tier;
  /** Only a container that was started on this version of the workload, or a later one, will do. */
  minWorkloadVersion?: number;
}

export interface Lease {
  containerId: ContainerId;
  launch: "warm" | "cold";
  /** Why the launch was not warm. */
  reason?: string;
  tier: Tier;
  workload: Workload;
  /** Of the workload that the container was started with. */
  workloadVersion?: number;
  idleTimeoutMs: number;
}

export interface PoolDescription {
  id: PoolId;
  workloadId: string;
  minSize: number;
  maxSize: number;
  idleTimeoutMs: number;
  tier: Tier;
  /** No refill and no shrinking. */
  paused: boolean;
  size: number;
  warm: number;
  claimed: number;
  starting: number;
  unhealthy: number;
  status: "healthy" | "degraded" | "error";
  /** Of all claims since the pool exists, the share that found a warm slot; null before the first. */
  hitRate: number | null;
  lastError: string | null;
}

/** What the RPC surface of the Pool object looks like to Tenant, Instance and the API. */
export interface PoolApi {
  configure(spec: PoolSpec, workload: Workload): Promise<Outcome<PoolDescription>>;
  describe(): Promise<Outcome<PoolDescription>>;
  /** Stops or resumes refill and shrinking; claims are not affected. */
  pause(refill: "paused" | "running"): Promise<Outcome<PoolDescription>>;
  /** Gives the tenant a slot for this epoch; idempotent. A higher epoch retires the tenant's older slot. Failure: `capacity_exhausted`, `start_failed`. */
  lease(request: LeaseRequest): Promise<Outcome<Lease>>;
  /** Whom a container serves: the durable record behind the Instance's copy. */
  holder(containerId: ContainerId): Promise<{ tenantId: TenantId; epoch: Epoch } | null>;
  /** Destroys the container and removes the slot; legal for unknown containers. Resolves when it is gone or will be swept. */
  retire(containerId: ContainerId, reason: string): Promise<Outcome<null>>;
}
