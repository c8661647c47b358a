import type { OwnHead } from "../audit/verify.ts";
import type { By } from "../auth/principal.ts";
import type { AlarmStanding } from "../durable/alarm.ts";
import type { ContainerId, Epoch, Generation, TenantId } from "../ids.ts";
import type { ContainerEnd } from "../instance/types.ts";
import type { Failure, Outcome } from "../outcome.ts";
import type { GatewayGrant } from "../sessions/gateway-token.ts";
import type { Committed, SaveRef } from "../vault/types.ts";
import type { Action, Admission, Change, ClaimRequest, FileNote, ImportRequest, ReleaseRequest } from "./requests.ts";
import type { SyncRun } from "./syncs.ts";
import type {
  ActionAnswer,
  ClaimAnswer,
  ConfigVersion,
  OperationView,
  ReleaseAnswer,
  Settings,
  TenantStatus,
  TenantSyncState,
} from "./views.ts";
import type { TenantState } from "./vocabulary.ts";

/** What whoever brings state in acts by: the epoch and the names under which the vault takes it. */
export interface ImportGrant {
  operation: OperationView;
  save: SaveRef;
  /** ms since 1970; after it the operation is over, whatever became of it. */
  deadlineAt: number;
}

/** The container that may be asked to change files, now. */
export interface FileGrant {
  containerId: ContainerId;
  epoch: Epoch;
}

/** What authentication has to know of a tenant. */
export interface TenantAccess {
  tokenVersion: number;
  suspended: boolean;
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

/** A waited-for operation: its end, or that it still runs. */
export type Awaited<T> = { kind: "done"; value: T; fresh: boolean } | { kind: "pending"; operation: OperationView };

/** Where the proxy sends a request. */
export type Route =
  | { kind: "ready"; containerId: ContainerId; epoch: Epoch; port: number }
  | { kind: "starting"; operation: OperationView }
  | { kind: "failed"; failure: Failure };

/** What a container is to its tenant. Admission is closed while it is being left, or kept after a failed save. */
export interface Served {
  epoch: Epoch;
  /** When it was assigned, or gone on with (ms since 1970). */
  since: number;
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
