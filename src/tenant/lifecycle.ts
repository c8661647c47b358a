import type { TenantState } from "./vocabulary.ts";

/** What can happen to a tenant. Everything else is a detail of how. */
export type TenantTransition =
  | "claim" // an assignment was asked for
  | "wake" // a request came for a sleeping tenant
  | "assigned" // a container serves the tenant
  | "refused" // nothing was started; back to where it was
  | "failed" // a start went wrong in a way that a person should see
  | "release"
  | "released"
  | "save_failed"
  | "resume" // a failed release is called off: same container, new epoch
  | "sleep"
  | "slept"
  | "called_off" // activity during a sleep
  | "restart" // saved, and on into a fresh container
  | "restore" // the same, and an earlier generation in between
  | "saved" // … the first half of those
  | "restored" // a generation was made current, or imported, where nothing ran
  | "suspended" // by an operator: nothing starts it
  | "resumed_idle"
  | "resumed_asleep"
  | "lost" // the container is certainly gone, or hangs
  | "recover" // the same, of one that was kept and is to run on
  | "broken" // … again and again, or nothing can take its place
  | "destroy"
  | "destroyed";

/** The whole lifecycle (design §3). What is not here is an `invalid_transition`. */
const table: { readonly [State in TenantState]: { readonly [T in TenantTransition]?: TenantState } } = {
  idle: { claim: "claiming", suspended: "suspended", destroy: "destroying" },
  claiming: { assigned: "active", refused: "idle", failed: "error", destroy: "destroying" },
  active: {
    release: "releasing",
    sleep: "sleeping",
    restart: "saving",
    restore: "saving",
    lost: "recovering",
    broken: "error",
    destroy: "destroying",
  },
  saving: { saved: "waking", save_failed: "release_failed", destroy: "destroying" },
  sleeping: {
    slept: "asleep",
    suspended: "suspended",
    called_off: "active",
    save_failed: "release_failed",
    lost: "recovering",
    destroy: "destroying",
  },
  asleep: {
    claim: "waking",
    wake: "waking",
    release: "releasing",
    released: "idle", // after what a guard had refused was accepted
    suspended: "suspended",
    destroy: "destroying",
  },
  waking: { assigned: "active", refused: "asleep", failed: "error", destroy: "destroying" },
  recovering: {
    assigned: "active",
    refused: "asleep", // no capacity for long: its next request, or its lifecycle, wakes it
    failed: "error",
    broken: "error",
    slept: "asleep", // called off between two attempts
    released: "idle",
    suspended: "suspended",
    destroy: "destroying",
  },
  releasing: { released: "idle", save_failed: "release_failed", lost: "idle", destroy: "destroying" },
  release_failed: {
    resume: "active",
    release: "releasing",
    sleep: "sleeping",
    restart: "saving",
    restore: "saving",
    lost: "idle",
    recover: "recovering",
    broken: "error", // what it is to go on with is not known
    slept: "asleep",
    released: "idle",
    suspended: "suspended", // its save failed, and there is nothing left to save
    destroy: "destroying",
  },
  error: {
    claim: "claiming",
    slept: "asleep",
    restored: "asleep",
    release: "releasing",
    suspended: "suspended",
    destroy: "destroying",
  },
  suspended: { resumed_idle: "idle", resumed_asleep: "asleep", destroy: "destroying" },
  destroying: { destroy: "destroying", destroyed: "destroyed" },
  /** Claimed again: with what was kept, or from nothing. */
  destroyed: { claim: "claiming", restored: "idle" },
};

/** The state after an event; null where the event is illegal. Total. */
export const after = (state: TenantState, event: TenantTransition): TenantState | null => table[state][event] ?? null;

/** States that wait for something and therefore carry a deadline (P-EXIT). */
export const TRANSITIONAL: readonly TenantState[] = [
  "claiming",
  "waking",
  "recovering",
  "saving",
  "sleeping",
  "releasing",
  "destroying",
];
