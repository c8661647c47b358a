import type { OwnHead } from "../audit/verify.ts";
import type { By } from "../auth/principal.ts";
import type { AlarmStanding } from "../durable/alarm.ts";
import type { ErrorCode } from "../errors/codes.ts";
import type { Counted } from "../fleet/types.ts";
import type { ContainerId, Epoch, PoolId, TenantId } from "../ids.ts";
import type { ContainerEnd } from "../instance/types.ts";
import type { Outcome } from "../outcome.ts";
import type { PoolSpec, Workload } from "../registry/specs.ts";
import type { Tier } from "../runtime/port.ts";
import type { BreakerState } from "./breaker.ts";
import type { RecommendedSize } from "./recommend.ts";
import type { Registration } from "./record.ts";
import type { Window } from "./schedule.ts";

export type SlotState = "starting" | "warm" | "assigned" | "draining" | "gone" | "failed";

export interface LeaseRequest {
  tenantId: TenantId;
  epoch: Epoch;
  /** The tenant's own tier, if it has one. */
  tier?: Tier;
  /** Slots that were started with an earlier version of the workload are passed over. */
  minWorkloadVersion?: number;
  /** What the tenant ran last, and keeps where the pool's policy says so. */
  runs?: number;
  /** How long the caller waits where the pool or the fleet is full, in ms; absent: not at all. */
  waitMs?: number;
  /** The pools that had nothing, and sent the tenant on; the first is its own. */
  via?: PoolId[];
  /** What those run: another pool by the name of a fallback that was deleted may run something else. */
  workloadId?: string;
}

export interface Lease {
  containerId: ContainerId;
  /** Whose container it is: the tenant's own pool's, or its fallback's. */
  poolId: PoolId;
  launch: "warm" | "cold";
  /** Why the launch was not warm, or that it is another pool's. */
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
  /** What is started from now on; slots may run an earlier one. */
  workloadVersion: number;
  minSize: number;
  maxSize: number;
  /** How many slots are kept warm now: what `scale` asked for, else what the schedule says, else minSize. */
  target: number;
  /** Of the windows that are open now; null while none is. */
  scheduledMinSize: number | null;
  schedule?: readonly Window[];
  fallbackPoolId?: PoolId;
  idleTimeoutMs: number;
  tier: Tier;
  network?: { name: Workload["network"] };
  /** No refill and no shrinking. */
  paused: boolean;
  size: number;
  warm: number;
  claimed: number;
  starting: number;
  unhealthy: number;
  draining: number;
  /** Of those, the ones whose end was asked for too often (src/pool/plan-ending.ts). */
  abandoned: number;
  /** Claims that wait for room. */
  waiting: number;
  status: "healthy" | "degraded" | "error" | "draining";
  claims: number;
  hits: number;
  misses: number;
  /** Of all claims since the pool exists, the share that found a warm slot; null before the first. */
  hitRate: number | null;
  /** What claims of warm slots did not wait for. */
  secondsSaved: number;
  recommendedSize: RecommendedSize;
  /** Of the slots that are kept warm. */
  monthlyCostUsd: number;
  breaker: {
    state: BreakerState;
    /** Why it is open. */
    reason: "failures" | "permanent" | null;
    failures: number;
    openedAt: number | null;
    retryAt: number | null;
    lastError: string | null;
  };
  lastError: string | null;
  rollout: RolloutView;
  /** Set while the pool is being deleted. */
  deletion?: { operationId: string; since: number; failed: ReleaseFailure[] };
}

/** How the pool's tenants come to the present version of its workload; times in ms since 1970. */
export interface RolloutView {
  policy: "onRestart" | "rolling" | "pinned";
  concurrency: number;
  maxFailures: number;
  healthyMs: number;
  state: "idle" | "rolling" | "halted" | "done";
  /** The version that is started from now on. */
  to: number;
  /** Tenants' containers that run an earlier one. */
  outdated: number;
  moving: { tenantId: TenantId; since: number; step: "asked" | "restarting" | "watched" }[];
  upgraded: number;
  failed: (ReleaseFailure & { at: number })[];
  halted: { at: number; actor: string; reason: string } | null;
  startedAt: number | null;
  endedAt: number | null;
}

export interface ReleaseFailure {
  tenantId: TenantId;
  code: ErrorCode;
  detail: string;
}

/** A container as lists show it; times in ms since 1970. */
export interface SlotView {
  containerId: ContainerId;
  poolId: PoolId;
  workloadId: string;
  workloadVersion: number;
  image: string;
  state: SlotState;
  tier: Tier;
  tenantId: TenantId | null;
  epoch: Epoch | null;
  startedAt: number;
  since: number;
}

/** How the deletion of a pool goes. `failed`: those whose release failed, which keep it from ending. */
export interface DeletionView {
  operationId: string;
  poolId: PoolId;
  status: "running" | "succeeded" | "failed";
  startedAt: number;
  endedAt: number | null;
  /** Slots that are left. */
  left: number;
  failed: ReleaseFailure[];
}

/** A command that somebody ran in a container, without its arguments. */
export interface ExecNote {
  containerId: ContainerId;
  program: string;
  /** SHA-256 over the whole command, in hex. */
  commandHash: string;
  timeoutMs: number;
}

/** What the RPC surface of the Pool object looks like to Tenant, Instance and the API. */
export interface PoolApi {
  /** Creates or changes the pool; the same again changes nothing. Refused while it is being deleted. */
  configure(
    spec: PoolSpec,
    workload: Workload,
    workloadVersion: number,
    by: By,
    /** Which registration that is: an older one than the pool has changes nothing of its spec. */
    registered?: Registration,
  ): Promise<Outcome<PoolDescription>>;
  /** A later version of its workload, for what is started from now on. `not_found` where there is no pool: this creates none. */
  upgrade(workload: Workload, workloadVersion: number, by: By): Promise<Outcome<PoolDescription>>;
  describe(): Promise<Outcome<PoolDescription>>;
  containers(): Promise<Outcome<SlotView[]>>;
  /** Stops or resumes refill and shrinking; claims are not affected. */
  pause(refill: "paused" | "running", by: By): Promise<Outcome<PoolDescription>>;
  /** Keeps so many slots warm, until minSize or maxSize change. `invalid` outside [minSize, maxSize − claimed]. */
  scale(target: number, by: By): Promise<Outcome<PoolDescription>>;
  /** Closes the breaker and forgets the failures; the refill goes on at once. */
  resetBreaker(by: By): Promise<Outcome<PoolDescription>>;
  /** Stops moving tenants to the present version, or goes on with it. `invalid_transition` where there is nothing to stop. */
  rollout(action: "halt" | "resume", by: By): Promise<Outcome<PoolDescription>>;
  /**
   * Begins the deletion, or joins it, and waits at most `waitMs` for its end. With `claimed: "refuse"` nothing is done while
   * tenants hold containers (`in_use`); with `release` they are released, with a save.
   */
  drain(claimed: "refuse" | "release", waitMs: number, by: By): Promise<Outcome<DeletionView>>;
  deletion(operationId: string): Promise<Outcome<DeletionView>>;
  /**
   * Gives the tenant a slot for this epoch; idempotent. A higher epoch retires the tenant's older slot. Failure:
   * `capacity_exhausted`, `start_failed`; with `refused` in its extra members nothing was begun: there is no such pool
   * (`no_pool`), or it is being deleted (`pool_draining`).
   */
  lease(request: LeaseRequest): Promise<Outcome<Lease>>;
  /** What the fleet has to count of this pool; null where nothing is known of it. */
  counted(): Promise<Counted[] | null>;
  /** The fleet counts these containers as this pool's, which said nothing lately: it says what it has, and ends the others. */
  recount(poolId: PoolId, ids: readonly ContainerId[]): Promise<void>;
  /** Whom a container serves: the durable record behind the Instance's copy. */
  holder(containerId: ContainerId): Promise<{ tenantId: TenantId; epoch: Epoch } | null>;
  /**
   * Its Instance says that this container, which serves nobody, ended. A hint: the Pool looks at its slot. Legal for any
   * container, and any number of times.
   */
  ended(containerId: ContainerId, end: ContainerEnd): Promise<void>;
  /** Whether this container has a slot here, in whatever state. Reads only. */
  has(containerId: ContainerId): Promise<boolean>;
  /** Destroys the container and removes the slot; legal for unknown containers. Resolves when it is gone or will be swept. */
  retire(containerId: ContainerId, reason: string): Promise<Outcome<null>>;
  /** The same at somebody's wish, recorded. With `claimed: "refuse"` a container that serves a tenant stays (`in_use`). */
  remove(containerId: ContainerId, claimed: "refuse" | "give-up", by: By): Promise<Outcome<{ gone: boolean }>>;
  /** Records a command before it runs. `not_found` for a container that is not this pool's. */
  noteExec(note: ExecNote, by: By): Promise<Outcome<null>>;
  /** Every tenant that ever leased from here, by id, after `after`; also of a pool that was deleted. */
  tenants(after: string, limit: number): Promise<TenantId[]>;
  /** The tenant is erased. */
  forget(tenantId: TenantId): Promise<void>;
  /** The end of its audit chain, for whoever verifies D1's copy. Reads only. */
  chain(): Promise<OwnHead>;
  /** For a sweep: whether its alarm is set; `mend` sets one again that was lost. */
  touch(mode: "look" | "mend"): Promise<AlarmStanding>;
  /** Sends D1 what it lacks and the whole projection of the pool's containers again. */
  project(): Promise<Outcome<null>>;
}
