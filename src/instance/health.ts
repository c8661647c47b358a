import type { Workload } from "../registry/specs.ts";
import type { EndCause, Health } from "./types.ts";

/**
 * When a running workload counts as hung. Pure; times in ms since 1970.
 *
 * A healthy one is asked every `intervalMs`. After the first failure it is asked again sooner, so that `retries` failures in
 * a row fit into one more interval: a hang is found within two (P-HEAL), as long as `retries` × `timeoutMs` is no longer
 * than the interval.
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

/** The least time between two probes of one that failed. */
const LEAST_PAUSE_MS = 250;
/** How much earlier than its interval a probe may come, so that containers that started together spread out. */
const JITTER = 0.1;

export function afterProbe(before: Watched, probe: Probe, check: Check, now: number): Watched {
  switch (probe.kind) {
    case "healthy":
      return { health: changed(before.health, "healthy", 0, now), graceUntil: 0, known: true };
    case "excused":
      return { ...before, health: { ...before.health, failures: 0 } };
    case "failed": {
      if (now < before.graceUntil) return before;
      const failures = before.health.failures + 1;
      const status = failures >= needed(before, check) ? "unhealthy" : before.health.status;
      return { ...before, health: changed(before.health, status, failures, now) };
    }
  }
}

/** Whether so many probes failed that the container is given up. */
export const isGivenUp = ({ health }: Watched): boolean => health.status === "unhealthy";

/** @param random 0 to 1 */
export function nextProbeMs({ health }: Watched, { intervalMs, timeoutMs, retries }: Check, random: number): number {
  if (health.failures === 0) return Math.ceil(intervalMs * (1 - JITTER * random));
  return Math.max(LEAST_PAUSE_MS, Math.floor((intervalMs - retries * timeoutMs) / retries));
}

const needed = ({ known }: Watched, { retries }: Check): number => Math.max(retries, known ? 1 : 2);

const changed = (before: Health, status: Health["status"], failures: number, now: number): Health => ({
  status,
  failures,
  since: status === before.status ? before.since : now,
});
