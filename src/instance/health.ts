import type { Workload } from "../registry/specs.ts";
import type { EndCause, Health } from "./types.ts";

/**
 * When a running workload counts as hung. Pure; times in ms since 1970.
 *
 * A healthy one is asked every `intervalMs`, in a round of one probe. Where that one has no healthy answer the round goes on,
 * to `retries` probes that begin evenly over the interval, so that the last of them has had its `timeoutMs` when the interval
 * ends: a hang is found within two (P-HEAL), whatever the check says. Where that does not fit one after the other they overlap.
 * Any healthy answer ends the round: what is slow but answers in time is never hung.
 */
export type Check = Workload["healthCheck"];

export type Probe =
  | { kind: "healthy" }
  /** Nothing answered in time, or something answered that is not healthy. */
  | { kind: "failed"; cause: Extract<EndCause, "hung" | "unhealthy">; detail: string }
  /** The workload is not to be asked now: init starts it again, or somebody stopped it. */
  | { kind: "excused" };

export interface Watched {
  health: Health;
  /** Until then a workload that was just started may be silent; an answer ends it early. */
  graceUntil: number;
  /** Whether this life of the object ever saw it healthy. Until then the first look decides nothing. */
  known: boolean;
}

export const newlyWatched = (graceUntil: number): Watched => ({
  health: { status: "unknown", failures: 0, since: null },
  graceUntil,
  known: false,
});

/** Of two probes that both failed at once, the second begins so much later, where the interval has room for it. */
const LEAST_PAUSE_MS = 250;
/** What of each interval is left for alarms and words that come late: a share of it, and what a busy machine takes. */
const slackMs = (intervalMs: number): number => 0.1 * intervalMs + Math.min(1_000, 0.2 * intervalMs);
/** What of it a probe has at least before the next one begins, unless the one before it hangs already: what refuses says so at once. */
const LOOK = 0.02;
/** How much earlier still a round may begin, so that containers that started together spread out. */
const JITTER = 0.1;

/** @param askedAt when the probe began: one of a workload that was just started says nothing, however late it failed */
export function afterProbe(before: Watched, probe: Probe, check: Check, askedAt: number, now: number): Watched {
  switch (probe.kind) {
    case "healthy":
      return { health: changed(before.health, "healthy", 0, now), graceUntil: 0, known: true };
    case "excused":
      return { ...before, health: { ...before.health, failures: 0 } };
    case "failed": {
      if (askedAt < before.graceUntil) return before;
      const failures = before.health.failures + 1;
      const status = failures >= needed(before, check) ? "unhealthy" : before.health.status;
      return { ...before, health: changed(before.health, status, failures, now) };
    }
  }
}

/** Whether so many probes failed that the container is given up. */
export const isGivenUp = ({ health }: Watched): boolean => health.status === "unhealthy";

/** From the begin of one round to the next one's. @param random 0 to 1 */
export const nextRoundMs = ({ intervalMs }: Check, random: number): number =>
  Math.ceil(intervalMs * (1 - JITTER * random) - slackMs(intervalMs));

export interface Round {
  /** Most probes of it; at most as many are under way at once. */
  probes: number;
  /** From one begin to the next while nothing answers. */
  pauseMs: number;
  /** The same after the first, or after one that followed a failure. */
  lookMs: number;
  /** The same after one that failed already: many that are refused at once are one observation. */
  pauseAfterFailureMs: number;
}

export function roundOf(watched: Watched, check: Check, now: number): Round {
  const probes = now < watched.graceUntil ? 1 : needed(watched, check);
  const spanMs = check.intervalMs - slackMs(check.intervalMs);
  const pauseMs = Math.floor(Math.max(0, spanMs - check.timeoutMs) / Math.max(1, probes - 1));
  const apartMs = Math.min(LEAST_PAUSE_MS, Math.floor(spanMs / probes));
  const lookMs = Math.max(pauseMs, Math.min(apartMs, Math.floor(check.intervalMs * LOOK)));
  return { probes, pauseMs, lookMs, pauseAfterFailureMs: Math.max(pauseMs, apartMs) };
}

const needed = ({ known }: Watched, { retries }: Check): number => Math.max(retries, known ? 1 : 2);

const changed = (before: Health, status: Health["status"], failures: number, now: number): Health => ({
  status,
  failures,
  since: status === before.status ? before.since : now,
});
