import type { By } from "../auth/principal.ts";
import type { ContainerId, Epoch, Generation, PoolId } from "../ids.ts";
import type { Assigned, ContainerEnd, Observation, SaveOutcome, SpecRan } from "../instance/types.ts";
import type { Failure, Outcome } from "../outcome.ts";
import type { Lease } from "../pool/types.ts";
import type { Tier } from "../runtime/port.ts";
import type { Way, Why } from "../sync/run.ts";
import type { Committed, ErasureProof } from "../vault/types.ts";
import type { Given } from "./delivery.ts";
import type { Part } from "./destruction.ts";
import type { Made, TenantRecord } from "./record.ts";
import type { Action, FileNote, ImportRequest, ReleaseRequest } from "./requests.ts";
import type { SealedSecrets } from "./secrets.ts";
import type { SpecBrief, SyncRun } from "./syncs.ts";
import type { OperationView } from "./views.ts";
import type { Lifecycle } from "./vocabulary.ts";

/** Fresh random names, drawn by the shell before planning, so that a plan is a function of its arguments. */
export interface Fresh {
  operationId: string;
  saveId: string;
}

/** How long things may take, in ms; from configuration. */
export interface Limits {
  startMs: number;
  saveMs: number;
  syncMs: number;
  guardHoldMs: number;
  importMs: number;
}

export type TenantEvent =
  | { type: "claim"; poolId: PoolId | null; delivery: Given | null; allowFresh: boolean; capacityWaitMs?: number }
  | { type: "release"; request: ReleaseRequest }
  | { type: "act"; action: PlannedAction; by: By }
  | { type: "change"; change: PlannedChange; ifMatch: number | null }
  | { type: "import"; request: ImportRequest }
  /** Recorded, and nothing else. */
  | { type: "noted"; entry: JournalEntry }
  | { type: "files"; note: FileNote }
  | { type: "wake" }
  /** The platform is about to end this container. */
  | { type: "drain"; containerId: ContainerId }
  /** The container of this assignment is certainly gone. */
  | { type: "lost"; containerId: ContainerId; epoch: Epoch; detail: string; end?: ContainerEnd }
  /** The alarm. `running`: this object is performing the operation in flight. */
  /** `syncing`: and the sync that the interval brought. */
  | { type: "tick"; running: boolean; syncing?: boolean }
  /** `specs`: of the pool, as the registry has them now; `workloadVersion`: what its next container would run. */
  | {
      type: "observed";
      containerId: ContainerId;
      observation: Observation;
      specs?: SpecBrief[];
      workloadVersion?: number;
    }
  /** A run of a spec ended; `isState`: it was a save. */
  | { type: "synced"; runId: string; specId: string; isState: boolean; outcome: Outcome<SpecRan> }
  | { type: "cancel_sync"; specId: string }
  | { type: "retired"; containerId: ContainerId }
  | { type: "not_retired"; containerId: ContainerId; failure: Failure }
  /** What became of a part of a destruction. */
  | { type: "withdrawn"; part: Part; failure: Failure | null }
  | { type: "settled" }
  /** The Vault holds nothing of the tenant any more. */
  | { type: "erased"; proof: ErasureProof }
  | { type: "erase_failed"; failure: Failure }
  /** What a step of an operation came to. */
  | ({ operationId: string } & StepResult);

/**
 * An action with what the shell looked up for it: the version of the workload that a restart of the image is to reach,
 * the sync specs of the pool; and how long what it starts may wait for capacity.
 */
export type PlannedAction = Action & { minWorkloadVersion?: number; specs?: SpecBrief[]; capacityWaitMs?: number };

/** A change with what the shell prepared: secrets sealed, an earlier config read. */
export type PlannedChange =
  | { kind: "tier"; tier: Tier | null }
  | { kind: "lifecycle"; lifecycle: Lifecycle }
  | { kind: "config"; config: unknown; rolledBackTo?: number }
  /** `before`: the version that these were made from, when they were made by changing one of them. */
  | { kind: "secrets"; sealed: SealedSecrets; before?: number }
  | { kind: "revoke-tokens" }
  | { kind: "rewrap"; key: SealedSecrets["key"]; before: number };

export type StepResult =
  | { type: "leased"; lease: Lease }
  | {
      type: "assigned";
      lease: Lease;
      assigned: Assigned;
      fingerprint: string;
      timings: Record<string, number>;
      specs?: SpecBrief[];
    }
  | { type: "start_failed"; failure: Failure; lease: Lease | null }
  | { type: "resumed"; failure: Failure | null }
  | { type: "restarted"; failure: Failure | null }
  | { type: "quiesced"; busy: boolean; failure: Failure | null; specs?: SpecBrief[] }
  | { type: "saved"; outcome: SaveOutcome }
  | { type: "promoted"; committed: Committed | null; failure: Failure | null }
  | { type: "restored"; outcome: Outcome<Made> }
  | { type: "imported"; outcome: Outcome<Committed> };

/** What the shell is to do after the commit. Each is idempotent and carries the epoch that it acts for. */
export type Step =
  | { do: "lease"; operationId: string; poolId: PoolId; epoch: Epoch }
  | { do: "assign"; operationId: string; lease: Lease; epoch: Epoch; fresh: boolean }
  | { do: "restart"; operationId: string; containerId: ContainerId; epoch: Epoch }
  | { do: "resume"; operationId: string; containerId: ContainerId; epoch: Epoch }
  | { do: "quiesce"; operationId: string; containerId: ContainerId; epoch: Epoch; idleSince?: number }
  | {
      do: "save";
      operationId: string;
      containerId: ContainerId;
      epoch: Epoch;
      saveId: string;
      force: boolean;
      live?: true;
    }
  /** Carries its own name, by which it goes on where it was. */
  | {
      do: "sync";
      runId: string;
      spec: SpecBrief;
      containerId: ContainerId;
      poolId: PoolId;
      epoch: Epoch;
      why: Why;
      way: Way;
      startedAt: number;
      unless?: string;
      force?: true;
    }
  | { do: "cancel"; runId: string; containerId: ContainerId }
  /** Without a `generation`: the latest that a guard refused. */
  | { do: "promote"; operationId: string; epoch: Epoch; generation?: Generation }
  /** Makes a generation the head again, under an epoch of its own. */
  | { do: "restore"; operationId: string; epoch: Epoch; generation: Generation }
  /** Ends an import of which nobody told the end: `epoch` shuts out whoever writes under `imported`. */
  | { do: "conclude"; operationId: string; epoch: Epoch; imported: Epoch }
  | { do: "retire"; containerId: ContainerId; poolId: PoolId; reason: string }
  | { do: "observe"; containerId: ContainerId }
  | { do: "erase"; epoch: Epoch }
  /** Deletes a part of the tenant that somebody else keeps. Not found is done. */
  | { do: "withdraw"; part: Exclude<Part, "state">; epoch: Epoch }
  /** Nothing but a look at whether everything has ended. */
  | { do: "settle" }
  /** Sockets of sessions of lower token versions are closed. */
  | { do: "revoke"; containerId: ContainerId; tokenVersion: number };

/** One line of the tenant's history, written with the change itself (P-AUDIT). */
export interface JournalEntry {
  type: string;
  detail?: Record<string, unknown>;
}

export type Plan =
  | { kind: "refuse"; failure: Failure }
  /** Another operation decides first. `again`: this event is to be planned anew when it ended. */
  | { kind: "wait"; operationId: string; again: boolean }
  /** `record` is what to store; the same object as before means that nothing durable changed. */
  | {
      kind: "go";
      record: TenantRecord;
      steps: Step[];
      ended?: OperationView;
      /** Operations that ended with it, beside the one that was asked for. */
      also?: OperationView[];
      journal: JournalEntry[];
      newConfig?: { version: number; config: unknown };
      /** Lines for the history of syncs. */
      synced?: SyncRun[];
    };

export type Going = Extract<Plan, { kind: "go" }>;
