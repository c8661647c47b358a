import type { OwnHead } from "../audit/verify.ts";
import type { By } from "../auth/principal.ts";
import type { AlarmStanding } from "../durable/alarm.ts";
import type { ContainerId, Epoch, Generation, PoolId, TenantId } from "../ids.ts";
import type { ContainerEnd, SavedView, SpecProgress } from "../instance/types.ts";
import type { Failure, Outcome } from "../outcome.ts";
import type { Tier } from "../runtime/port.ts";
import type { GatewayGrant } from "../sessions/gateway-token.ts";
import type { Committed, ErasureProof, GenerationSummary, SaveRef } from "../vault/types.ts";
import type { PartView } from "./destruction.ts";
import type { OutOfMemory } from "./ends.ts";
import type { SpecState, SyncRun } from "./syncs.ts";

export type TenantState =
  | "idle"
  | "claiming"
  | "active"
  | "saving"
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
export type OperationKind =
  | "claim"
  | "release"
  | "sleep"
  | "wake"
  | "recover"
  | "restart"
  | "sync"
  | "restore"
  | "import"
  | "suspend"
  | "destroy";
export type Launch = "existing" | "warm" | "cold";

export interface ClaimRequest {
  tenantId: TenantId;
  /** May be left out once the tenant has a pool. */
  poolId?: PoolId;
  config?: unknown;
  secrets?: Record<string, string>;
  allowFresh?: boolean;
  /** How long it may wait for capacity, in ms; absent: it does not. */
  capacityWaitMs?: number;
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

/** What a tenant can be asked to do, beside claim and release. */
export type Action =
  /** Saves and puts the container away; the next request wakes it. */
  | { kind: "stop"; force?: boolean }
  | { kind: "start" }
  /** `process`: the workload alone. `container`: saved, and restored into a fresh one. `image`: the same, on the workload's present version. */
  | { kind: "restart"; scope: "process" | "container" | "image"; force?: boolean }
  /**
   * Outward and both: a save while the workload runs. Inward: the head into a fresh container, after a save. With them
   * go the pool's sync specs that may be triggered; `spec`: that one alone.
   */
  | { kind: "sync"; direction: "outward" | "inward" | "both"; spec?: string }
  /** Makes an earlier generation the head again, as a new one. What runs is saved first, and goes on in a fresh container. */
  | { kind: "restore"; generation: Generation; force?: boolean }
  | { kind: "suspend"; reason?: string }
  | { kind: "resume" }
  | { kind: "destroy"; deleteData: boolean };

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

/** Where state comes from that no container of the tenant saved. `rebuild`: a vault itself, from what R2 has; that of a sync spec, or the state's. */
export type ImportSource =
  | { kind: "tar" }
  | { kind: "rebuild"; spec?: string }
  | { kind: "clone"; tenantId: TenantId; generation: Generation };

export interface ImportRequest {
  source: ImportSource;
  /** Accepts state that is there. */
  force: boolean;
  /** Drawn by whoever asks, so that asking again after a lost answer gives the same grant. */
  token: string;
}

/** What whoever brings state in acts by: the epoch and the names under which the vault takes it. */
export interface ImportGrant {
  operation: OperationView;
  save: SaveRef;
  /** ms since 1970; after it the operation is over, whatever became of it. */
  deadlineAt: number;
}

/** Why a tenant has no container, or is about to have none. `breaker`: its containers ended again and again. */
export type StoppedReason = "idle" | "user" | "policy" | "breaker" | "capacity" | "failure" | "deploy";

/** In what the next container would differ from the one that runs: the workload's version, what it is given, its size. */
export type Drift = "image" | "config" | "secrets" | "tier";

export type LifecycleMode = "on-demand" | "always-on" | "scheduled";
export interface Lifecycle {
  mode: LifecycleMode;
  /** Of `on-demand` and `scheduled`; the pool's when absent. */
  idleTimeoutMs?: number;
  /** Of `scheduled`: times of day in UTC, `HH:MM`. */
  wakeTimes?: string[];
}

/** What operators and tenants set; all of it holds from the next start on. */
export type Change =
  | { kind: "tier"; tier: Tier | null }
  | { kind: "lifecycle"; lifecycle: Lifecycle }
  | { kind: "config"; config: unknown }
  /** Makes an earlier config the latest, as a new version. */
  | { kind: "rollback"; version: number }
  /** The whole set. */
  | { kind: "secrets"; secrets: Record<string, string> }
  | { kind: "secret"; name: string; value: string | null }
  /** Tokens of lower versions open nothing any more. */
  | { kind: "revoke-tokens" };

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

/** Which files are about to be changed, for the record. */
export interface FileNote {
  kind: "write" | "delete" | "batch";
  paths: string[];
}
/** The container that may be asked to change them, now. */
export interface FileGrant {
  containerId: ContainerId;
  epoch: Epoch;
}

/** What authentication has to know of a tenant. */
export interface TenantAccess {
  tokenVersion: number;
  suspended: boolean;
}

/** A single-use secret for a browser: `code` becomes a cookie on the tenant's host, `ticket` opens one WebSocket. */
export interface Admission {
  /** As audit rows and the session name whoever asked for it. */
  actor: string;
  /** ms since 1970, of the session that it leads to. */
  sessionExpiresAt: number;
}

/** What a sweep has to know of a tenant. */
export interface TenantStanding {
  state: TenantState;
  /** Whether an operation is under way. */
  operation: boolean;
  /** Destroyed, with data that is kept for a while. */
  keepsData: boolean;
  alarm: AlarmStanding;
}

/** What a tenant answers that is to run at least a version of its workload. */
export type UpgradeAnswer =
  /** It does. */
  | { kind: "current" }
  /** It restarts onto it. */
  | { kind: "begun"; operationId: string }
  /** It is not active, or busy; nothing changed. */
  | { kind: "later"; state: TenantState | null };

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

/** Where the proxy sends a request. */
export type Route =
  | { kind: "ready"; containerId: ContainerId; epoch: Epoch; port: number }
  | { kind: "starting"; operation: OperationView }
  | { kind: "failed"; failure: Failure };

/** What a container is to its tenant. Admission is closed while it is being left, or kept after a failed save. */
export interface Served {
  epoch: Epoch;
  admission: "open" | "closed";
  /** What its assignment said of its gateway token. */
  gateway?: GatewayGrant;
}

/** What the RPC surface of the Tenant object looks like to the API, the Pool and the proxy. */
export interface TenantApi {
  /** Waits at most `waitMs` for the end. `fresh` is false when the tenant was active already (200 existing). */
  claim(request: ClaimRequest, waitMs: number, by: By): Promise<Outcome<Awaited<ClaimAnswer>>>;
  release(
    tenantId: TenantId,
    request: ReleaseRequest,
    waitMs: number,
    by: By,
  ): Promise<Outcome<Awaited<ReleaseAnswer>>>;
  /** Like claim and release: an operation that can be waited for; an identical request joins it. */
  act(tenantId: TenantId, action: Action, waitMs: number, by: By): Promise<Outcome<Awaited<ActionAnswer>>>;
  /** Restarts an active tenant onto at least this version of its workload, with a save; nobody waits for the end. Asked again, it joins. */
  upgrade(toVersion: number): Promise<UpgradeAnswer>;
  /**
   * Begins an import: nothing else is done with the tenant until `endImport`, or until its deadline. A tenant never seen
   * comes to be by it.
   */
  beginImport(tenantId: TenantId, request: ImportRequest, by: By): Promise<Outcome<ImportGrant>>;
  /** What became of it. Late, after the deadline: how the operation ended. */
  endImport(operationId: string, outcome: Outcome<Committed>): Promise<Outcome<ActionAnswer>>;
  /** Keeps a generation from retention, or no longer. */
  pin(tenantId: TenantId, generation: Generation, pinned: boolean, by: By): Promise<Outcome<null>>;
  /** Leaves a record that changes nothing of the tenant. `not_found` for a tenant never seen. */
  note(tenantId: TenantId, action: string, detail: Record<string, unknown>, by: By): Promise<Outcome<null>>;
  /** `ifMatch`: the version that the caller knows (of config, or of secrets); another one is `version_mismatch`. */
  change(tenantId: TenantId, change: Change, ifMatch: number | null, by: By): Promise<Outcome<Settings>>;
  settings(tenantId: TenantId): Promise<Outcome<Settings>>;
  /** The newest first. */
  configs(tenantId: TenantId): Promise<Outcome<ConfigVersion[]>>;
  /** Null for a tenant never seen. Reads only. */
  access(): Promise<TenantAccess | null>;
  /** A random single-use secret for this tenant, valid for `ttlMs`. Its hash is stored, and what it leads to; that it was issued is recorded. */
  admit(
    kind: "code" | "ticket",
    admission: Admission,
    ttlMs: number,
    requestId?: string | null,
  ): Promise<Outcome<{ secret: string }>>;
  /** Uses one up; null for one that is unknown, used or too old. */
  redeem(kind: "code" | "ticket", secret: string): Promise<Admission | null>;
  /** For a sweep: how it stands; `mend` sets an alarm again that was lost. Null for a tenant never seen. */
  touch(mode: "look" | "mend"): Promise<TenantStanding | null>;
  /** Sends D1 what it lacks and the whole projection again. */
  project(): Promise<Outcome<null>>;
  /** The end of its audit chain, for whoever verifies D1's copy. Reads only. */
  chain(): Promise<OwnHead>;
  /** Wraps the tenant's data key under the current SECRETS_KEY. Idempotent. */
  rewrap(): Promise<Outcome<{ rewrapped: boolean }>>;
  /**
   * Records that files are about to be changed, counts it as activity, and says which container to ask. Failures: `not_running`,
   * `starting`, `operation_in_progress`, `not_found`.
   */
  noteFiles(tenantId: TenantId, note: FileNote, by: By): Promise<Outcome<FileGrant>>;
  /** Never wakes anything. `not_found` for a tenant never seen. */
  status(tenantId: TenantId): Promise<Outcome<TenantStatus>>;
  /** What one sync spec of its pool is at. Reads only. */
  syncState(tenantId: TenantId, specId: string): Promise<Outcome<TenantSyncState>>;
  /** The newest first, of those that ended by `until` (ms since 1970). */
  syncRuns(specId: string, until: number, limit: number): Promise<SyncRun[]>;
  /** Ends the sync of a spec that is under way; `not_found` when none is. */
  cancelSync(tenantId: TenantId, specId: string, by: By): Promise<Outcome<null>>;
  operation(operationId: string): Promise<Outcome<OperationView>>;
  /**
   * For the proxy: where to send a request, waking a sleeping tenant. `stale` is the route that was just found not to
   * work; the Tenant looks, and recovers a dead container. Waits at most `waitMs` for an operation to end.
   */
  route(tenantId: TenantId, stale: { containerId: ContainerId; epoch: Epoch } | null, waitMs: number): Promise<Route>;
  /** Whether this container serves the tenant; null while an operation of this epoch may yet decide so. */
  owns(containerId: ContainerId, epoch: Epoch): Promise<boolean | null>;
  /**
   * The platform is about to end this container: the tenant falls asleep, saved, and the next request wakes it. True
   * when nothing in the container is to be waited for any more; asked again otherwise.
   */
  drain(containerId: ContainerId, waitMs: number): Promise<boolean>;
  /**
   * Its Instance says that this container ended. A hint: the Tenant looks at the container that it holds. Legal for any
   * other container, and any number of times.
   */
  ended(containerId: ContainerId, epoch: Epoch, end: ContainerEnd): Promise<void>;
  /** What this container serves now; null when it serves nobody. */
  servedBy(containerId: ContainerId): Promise<Served | null>;
}
