import type { ContainerId, Epoch } from "../ids.ts";
import type { Fetched } from "../instance/types.ts";
import type { Failure } from "../outcome.ts";
import type { SyncProblem } from "../sync/classify.ts";
import type { Way, Why } from "../sync/run.ts";

/** What a tenant remembers of its pool's sync specs; a part of its record, which is absent where there never were any. */
export interface Syncs {
  /** As they were when they were looked up last. */
  specs: SpecBrief[];
  /** By the spec's id; of those in `specs` only. */
  states: Record<string, SpecState>;
  /** One that the interval brought; it is no operation. */
  running: RunningSync | null;
  /** Specs that ever had a vault of this tenant's: what is to be erased with it. */
  used: string[];
}

/** What decides when a spec is synchronised. */
export interface SpecBrief {
  id: string;
  version: number;
  /** `state`: its syncs are saves of the state volume. `vault`: it has a vault of its own. */
  kind: "state" | "vault" | "s3";
  intervalMs: number | null;
  onRelease: boolean;
  manual: boolean;
  /** Whether anything goes out, and comes in. */
  outward: boolean;
  inward: boolean;
}

export interface SpecState {
  /** ms since 1970; null without an interval. */
  dueAt: number | null;
  /** Of the latest run that ended well. */
  lastSync: number | null;
  last: SyncTotals | null;
  /** What the container held then (`SpecRan.fingerprint`); worth something for that container only. */
  fingerprint: { of: string; containerId: ContainerId } | null;
  /** The ten latest, newest first. */
  errors: SyncFailure[];
}

export interface SyncTotals {
  files: number;
  bytes: number;
  deleted: number;
  durationMs: number;
}

export interface SyncFailure {
  at: number;
  code: string;
  detail: string;
  problem?: SyncProblem;
}

export interface RunningSync {
  runId: string;
  specId: string;
  startedAt: number;
  deadlineAt: number;
  containerId: ContainerId;
  epoch: Epoch;
}

/** One line of a spec's history at a tenant. */
export interface SyncRun {
  runId: string;
  specId: string;
  why: Why;
  way: Way;
  result: "succeeded" | "unchanged" | "failed" | "cancelled";
  startedAt: number;
  endedAt: number;
  totals: SyncTotals | null;
  error?: SyncFailure;
}

/** The runs that an operation still has before it, the first of which is under way. */
export interface SyncsToDo {
  todo: string[];
  why: Exclude<Why, "claim" | "interval">;
  way: Way;
  /** Of the first of them. */
  runId: string;
  startedAt: number;
  ran: ({ specId: string } & Omit<SyncTotals, "durationMs">)[];
}

export const NO_SYNCS: Syncs = { specs: [], states: {}, running: null, used: [] };

const NEW_STATE: SpecState = { dueAt: null, lastSync: null, last: null, fingerprint: null, errors: [] };
const MAX_ERRORS = 10;

export const stateOf = (syncs: Syncs, specId: string): SpecState => syncs.states[specId] ?? NEW_STATE;

/**
 * Takes up what the registry says now. A spec that is new, or whose interval changed, is due one interval from now; the
 * same specs again change nothing, not even the object. Undefined while there never were any. Pure.
 */
export function takenUp(before: Syncs | undefined, specs: readonly SpecBrief[], now: number): Syncs | undefined {
  if (!before && specs.length === 0) return undefined;
  const syncs = before ?? NO_SYNCS;
  if (JSON.stringify(specs) === JSON.stringify(syncs.specs)) return before;
  const states: Record<string, SpecState> = {};
  for (const spec of specs) {
    const known = syncs.specs.find(({ id }) => id === spec.id);
    const state = stateOf(syncs, spec.id);
    const same = known?.intervalMs === spec.intervalMs && state.dueAt !== null;
    states[spec.id] = { ...state, dueAt: same ? state.dueAt : spec.intervalMs && now + spec.intervalMs };
  }
  const vaults = specs.filter(({ kind }) => kind === "vault").map(({ id }) => id);
  const used = [...new Set([...syncs.used, ...vaults])];
  return { ...syncs, specs: [...specs], states, used };
}

/** A container comes: what is due is due one interval from now. */
export function scheduledAnew(syncs: Syncs | undefined, now: number): Syncs | undefined {
  if (!syncs) return undefined;
  const states = { ...syncs.states };
  for (const { id, intervalMs } of syncs.specs) {
    states[id] = { ...stateOf(syncs, id), dueAt: intervalMs && now + intervalMs };
  }
  return { ...syncs, states, running: null };
}

/** The spec whose interval is over for the longest time. */
export function dueSpec(syncs: Syncs, now: number): SpecBrief | null {
  const due = syncs.specs.filter(({ id }) => (stateOf(syncs, id).dueAt ?? Infinity) <= now);
  const at = ({ id }: SpecBrief) => stateOf(syncs, id).dueAt ?? 0;
  return due.sort((a, b) => at(a) - at(b))[0] ?? null;
}

/** When the next one is due. */
export const nextDue = (syncs: Syncs): number =>
  Math.min(...syncs.specs.map(({ id }) => stateOf(syncs, id).dueAt ?? Infinity), Infinity);

/** What a run came to, in the state of its spec. `jitter` in [0, 1) spreads the next one by up to a tenth. */
export function recorded(
  syncs: Syncs,
  run: SyncRun,
  more: { fingerprint: SpecState["fingerprint"]; jitter: number },
): Syncs {
  const spec = syncs.specs.find(({ id }) => id === run.specId);
  if (!spec) return syncs;
  const before = stateOf(syncs, run.specId);
  const well = run.result === "succeeded" || run.result === "unchanged";
  const state: SpecState = {
    ...before,
    dueAt: spec.intervalMs && Math.ceil(run.endedAt + spec.intervalMs * (1 + more.jitter / 10)),
    ...(well ? { lastSync: run.endedAt } : {}),
    ...(run.result === "succeeded" ? { last: run.totals, fingerprint: more.fingerprint } : {}),
    ...(run.error ? { errors: [run.error, ...before.errors].slice(0, MAX_ERRORS) } : {}),
  };
  return { ...syncs, states: { ...syncs.states, [run.specId]: state } };
}

/** What a claim brought, as a line of the history. */
export function claimRun({ runId, specId, startedAt, endedAt, ran }: Fetched): SyncRun {
  const { files, bytes, deleted } = ran;
  const totals = { files, bytes, deleted, durationMs: endedAt - startedAt };
  return { runId, specId, why: "claim", way: "down", result: "succeeded", startedAt, endedAt, totals };
}

/** What a tenant's status says of them together: the latest sync that ended well, and errors since each spec's own. */
export function summaryOf(syncs: Syncs | undefined): { lastSync: number | null; errors: SyncFailure[] } {
  const states = Object.values(syncs?.states ?? {});
  const times = states.flatMap(({ lastSync }) => lastSync ?? []);
  const errors = states.flatMap(({ errors, lastSync }) => errors.filter(({ at }) => at > (lastSync ?? 0)));
  return { lastSync: times.length === 0 ? null : Math.max(...times), errors };
}

export function failureOf(failure: Failure, at: number): SyncFailure {
  const { problem } = failure.extra ?? {};
  return {
    at,
    code: failure.code,
    detail: failure.detail,
    ...(typeof problem === "string" ? { problem: problem as SyncProblem } : {}),
  };
}
