import type { Generation, PoolId, TenantId } from "../ids.ts";
import type { Tier } from "../runtime/port.ts";
import type { Lifecycle } from "./vocabulary.ts";

/** What a tenant can be asked for. */

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

/** Which files are about to be changed, for the record. */
export interface FileNote {
  kind: "write" | "delete" | "batch";
  paths: string[];
}

/** A single-use secret for a browser: `code` becomes a cookie on the tenant's host, `ticket` opens one WebSocket. */
export interface Admission {
  /** As audit rows and the session name whoever asked for it. */
  actor: string;
  /** ms since 1970, of the session that it leads to. */
  sessionExpiresAt: number;
}
