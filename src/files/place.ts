import type { Failure } from "../outcome.ts";
import type { TenantStatus } from "../tenant/views.ts";
import type { TenantState } from "../tenant/vocabulary.ts";

/** Where a file is looked for: `auto` is the container where one runs, and what is saved where none does. */
export type Source = "auto" | "vault" | "container";
/** As requests may name it; `r2` is S1's word for the vault. */
export const SOURCES: Readonly<Record<string, Source>> = {
  auto: "auto",
  vault: "vault",
  r2: "vault",
  container: "container",
};

export interface Wanted {
  source: Source;
  /** A generation was asked for by its number. */
  pinned: boolean;
  /** A tenant that sleeps may be woken for it. */
  wake: boolean;
}

export type Standing = Pick<TenantStatus, "state" | "containerId" | "epoch" | "unsavedSince">;

/** `fallback`: what is saved answers, marked stale, when the container does not. `stale`: the container may hold something newer. */
export type Place =
  | { from: "container"; fallback: "vault" | "none" }
  | { from: "vault"; stale: boolean }
  | { from: "wake" }
  | { from: "nowhere"; failure: Failure };

/** States whose container holds the files, whether or not it is served. */
const HOLDING: readonly TenantState[] = ["active", "saving", "sleeping", "releasing", "release_failed"];
const STARTING: readonly TenantState[] = ["claiming", "waking", "recovering"];

/** Where to read. What runs is never answered with what is saved unless that is asked for, or nothing else can be had. Pure. */
export function placeToRead(standing: Standing, { source, pinned, wake }: Wanted): Place {
  const { state, containerId, unsavedSince } = standing;
  if (pinned && source === "container") {
    const detail = "A generation is in the vault; the container holds what is there now.";
    return { from: "nowhere", failure: { code: "bad_request", detail } };
  }
  const holds = containerId !== undefined && HOLDING.includes(state);
  if (pinned) return { from: "vault", stale: false };
  if (source === "vault") return { from: "vault", stale: holds && unsavedSince !== null };
  if (holds) return { from: "container", fallback: source === "auto" ? "vault" : "none" };
  if (wake && (state === "asleep" || STARTING.includes(state))) return { from: "wake" };
  if (source === "auto") return { from: "vault", stale: false };
  return { from: "nowhere", failure: notRunning(state) };
}

/** Whether a tenant that a write finds like this is to be woken first. Pure. */
export const wakesToWrite = ({ state }: Standing, wake: boolean): boolean =>
  wake && (state === "asleep" || STARTING.includes(state));

const notRunning = (state: TenantState): Failure => ({
  code: "not_running",
  detail: `The tenant is ${state}; no container of its own runs.`,
  extra: { state },
});

/** Failures of a container after which what is saved may answer a read instead: it says nothing of the file. */
const UNREACHABLE: readonly Failure["code"][] = [
  "container_unavailable",
  "operation_interrupted",
  "deadline_exceeded",
  "stale_epoch",
  "invalid_transition",
  "unsupported",
];
export const isUnreachable = ({ code }: Failure): boolean => UNREACHABLE.includes(code);
