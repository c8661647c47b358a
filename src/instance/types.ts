import type { FileAnswers, FileRequest } from "../files/types.ts";
import type { ContainerId, Epoch, Generation, PoolId, TenantId } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import type { Workload } from "../registry/specs.ts";
import type { Tier } from "../runtime/port.ts";
import type { GatewayGrant } from "../sessions/gateway-token.ts";
import type { Way, Why } from "../sync/run.ts";
import type { SyncSpec } from "../sync/spec.ts";
import type { Committed, GenerationSummary, Size } from "../vault/types.ts";
import type { WorkloadExit } from "./ending.ts";
import type { ExecAnswer, ExecRequest } from "./exec.ts";

/** What a Pool tells an Instance once, when it starts the container; static for the container's life. */
export interface BootPlan {
  containerId: ContainerId;
  poolId: PoolId;
  workload: Workload;
  /** Of a container that was started before versions were: absent. */
  workloadVersion?: number;
  tier: Tier;
  /** How long the start may take, in ms. */
  startTimeoutMs: number;
}

/** What a Tenant tells the Instance that it leased. */
export interface Assignment {
  tenantId: TenantId;
  epoch: Epoch;
  /** Delivered as config.json; absent: no file. */
  config?: unknown;
  /** Plain values by name; they are never stored by the Instance. */
  secrets?: Record<string, string>;
  environment: Record<string, string>;
  /** From what the container's gateway token is derived; absent: it gets none. */
  gateway?: GatewayGrant;
  /** Begin with an empty state directory although there are generations; an admin said so. */
  fresh: boolean;
  /** What the tenant has saved: where its vault has nothing any more, the assignment fails (`state_missing`). Absent: nothing. */
  saved?: Generation;
  /** Sync specs whose files are fetched before the tenant is served. */
  specs?: SpecRun[];
  restoreTimeoutMs: number;
  startTimeoutMs: number;
}

export interface Assigned {
  restored: GenerationSummary | null;
  /** What sync specs brought; absent: there are none. */
  fetched?: Fetched[];
  /** Of the gateway token that was delivered; absent: none was. */
  gateway?: GatewayGrant;
  /** Milliseconds by step: fence, deliver, restore, ready. */
  timings: Record<string, number>;
}

export interface SaveRequest {
  epoch: Epoch;
  saveId: string;
  force: boolean;
  timeoutMs: number;
  /** While the workload runs and is served: nothing is stopped. */
  live?: true;
  /** Nothing changed: no new generation. The answer is then the head, as `unchanged`. */
  skipUnchanged?: true;
}
/** What was saved, and the milliseconds of every step: preSave, stop, list, open, send, check, commit. */
export interface Saved extends Committed {
  timings?: Record<string, number>;
  /** What the workload's `exclude` left out; absent when that is nothing. */
  excluded?: Size;
}
/** As it is shown. */
export type SavedView = Omit<Saved, "timings">;
export type SaveOutcome = Outcome<Saved | null>;

/** One run of a sync spec, as a Tenant asks for it. Asked for again by the same `runId`, it goes on where it was. */
export interface SpecRun {
  epoch: Epoch;
  tenantId: TenantId;
  runId: string;
  spec: SyncSpec;
  /** Of the spec. */
  version: number;
  why: Why;
  way: Way;
  /** ms since 1970, when the Tenant decided on it. */
  startedAt: number;
  timeoutMs: number;
  /** Nothing is done while the container holds what this names (`SpecRan.fingerprint`). */
  unless?: string;
  /** Accepts what a guard refuses. */
  force?: true;
}
export interface SpecRan {
  /** What was transferred, and deleted on the other side. */
  files: number;
  bytes: number;
  deleted: number;
  unchanged: boolean;
  /** Names what was sent, by paths, sizes and mod-times; null for what only comes in. */
  fingerprint: string | null;
  /** Of a spec in the vault. */
  generation?: Generation;
}
/** One spec's files came with a claim. Times in ms since 1970. */
export interface Fetched {
  runId: string;
  specId: string;
  startedAt: number;
  endedAt: number;
  ran: SpecRan;
}
/** What a run is at. */
export interface SpecProgress {
  runId: string;
  files: number;
  bytes: number;
  totalFiles: number;
  totalBytes: number;
}

/** The lifecycle of an Instance (design §3, "Slot / instance"). */
export type InstanceState = "starting" | "warm" | "assigning" | "assigned" | "saving" | "draining" | "gone" | "failed";

/**
 * How a container came to its end, or why it is as good as ended. `oom`: exit 137 that nobody asked for. `hung`: its
 * probe found no answer, `unhealthy`: an answer that is not a healthy one, as often as its health check says. `lost`: it is
 * gone, nobody knows how. `start_dead`: counted as started, but nothing of it ever answered. `rebooted`: another boot answers.
 */
export type EndCause = "exited" | "oom" | "hung" | "unhealthy" | "lost" | "start_dead" | "rebooted";
export interface ContainerEnd {
  /** ms since 1970, when its Instance noticed. */
  at: number;
  cause: EndCause;
  /** Null when it could not be learnt. */
  exitCode: number | null;
  detail: string;
}

export interface Health {
  status: "healthy" | "unhealthy" | "unknown";
  /** Probes in a row that failed. */
  failures: number;
  /** Since when it has this status, ms since 1970; null while unknown. */
  since: number | null;
}

export interface Observation {
  state: InstanceState;
  /** False when the container is certainly not there, or another boot than ours answers. */
  alive: boolean;
  tenantId: TenantId | null;
  epoch: Epoch | null;
  /** Milliseconds since 1970 of the last proxied request, WebSocket frame or exec. */
  lastActivityAt: number;
  openRequests: number;
  /** Why it is to be replaced, whether something of it is alive yet or not. */
  end?: ContainerEnd;
  health: Health;
  /** When init last said that the workload was killed for its memory; it may have started it again. ms since 1970. */
  lastOomAt?: number;
  detail?: string;
}

/** What the RPC surface of the Instance object looks like to Tenant, Pool and the proxy. */
export interface InstanceApi {
  /**
   * Starts the container and resolves when it may be leased; idempotent. Later than `notAfter` (ms since 1970) it begins
   * nothing: whoever asked has given the start up, and nobody would count what it makes.
   */
  boot(plan: BootPlan, notAfter: number): Promise<Outcome<{ startMs: number; readyMs: number }>>;
  /** Provisions the container for one tenant and epoch, for ever. The same assignment again answers what is recorded. */
  assign(assignment: Assignment): Promise<Outcome<Assigned>>;
  /** Closes admission, or refuses with `busy` while anything is open or activity is later than `idleSince`. Without `idleSince` it always closes. */
  quiesce(epoch: Epoch, idleSince?: number): Promise<Outcome<{ busy: boolean }>>;
  /** Stops the workload and saves its state volume; null where there is none. Admission must be closed. */
  save(request: SaveRequest): Promise<SaveOutcome>;
  /** Runs a sync spec: while the workload runs, or (`release`) after it was quiesced, when it is stopped first. */
  syncSpec(run: SpecRun): Promise<Outcome<SpecRan>>;
  /** Ends a run that is under way; legal for others. */
  cancelSync(runId: string): Promise<void>;
  /** Null when this run is not under way. */
  syncProgress(runId: string): Promise<SpecProgress | null>;
  /** Opens admission again under a new epoch, after a release that was called off; the workload is started again. May be asked for again. */
  resume(epoch: Epoch): Promise<Outcome<null>>;
  /** Stops the workload and starts it again, on what its container holds; it is not served in between. */
  restart(epoch: Epoch): Promise<Outcome<null>>;
  observe(): Promise<Observation>;
  /** Closes (4401) the sockets of sessions whose token version is lower, those included that are just being opened. */
  revoke(minVersion: number): Promise<void>;
  /** `not_found` once the container is gone. */
  describe(): Promise<Outcome<ContainerView>>;
  /** Runs a command as the workload's user; counts as activity. Only in a container that is warm or serves. */
  exec(request: ExecRequest): Promise<Outcome<ExecAnswer>>;
  /** Reads and changes files of the container's volumes as the workload's user, for the tenant that it serves. A change counts as activity. */
  files<R extends FileRequest>(epoch: Epoch, request: R): Promise<Outcome<FileAnswers[R["op"]]>>;
  /**
   * The container is about to end by itself: what its tenant has in it is saved, and the container put away. Asked again
   * until it is `done`, which it is at once where there is nothing to save; waits at most `waitMs`.
   */
  drain(waitMs: number): Promise<{ done: boolean }>;
  /** What init says of a workload that ended by itself. False when it says so too often. */
  workloadExited(exit: WorkloadExit): Promise<boolean>;
  /** Destroys the container; legal in every state, idempotent. */
  retire(reason: string): Promise<Outcome<null>>;
}

/** A container as the API shows it (contract: Container). */
export interface ContainerView {
  id: ContainerId;
  durableObjectId: string;
  poolId: PoolId;
  workloadId: string;
  workloadVersion: number;
  tenantId?: TenantId;
  epoch?: Epoch;
  state: InstanceState;
  tier: Tier;
  image: string;
  /** ISO 8601. */
  startedAt: string;
}
