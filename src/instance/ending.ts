import type { Failure } from "../outcome.ts";
import type { Exit } from "../runtime/port.ts";
import type { ContainerEnd, EndCause } from "./types.ts";

/** What the end of a container is called. Pure; times in ms since 1970. */

/** 128 + SIGKILL: what the kernel does when memory runs out. */
const KILLED = 137;

/** What init says of a workload that ended by itself (docs/container.md). */
export interface WorkloadExit {
  exitCode: number;
  /** How often init started it again, before this. */
  restarts: number;
  /** Init starts it once more; it gave up otherwise. */
  restarting: boolean;
  /** Whether the kernel killed something for its memory; null where that cannot be read. */
  oom: boolean | null;
}

/** `told`: somebody asked for the end, so that a kill is no accident. */
export function endOfExit({ exitCode, reason }: Exit, told: boolean, at: number): ContainerEnd {
  const cause = exitCode === null ? "lost" : exitCode === KILLED && !told ? "oom" : "exited";
  return { at, cause, exitCode, detail: reason };
}

/** Where the kernel's own count can be read it decides: not every SIGKILL is for memory. */
export const isOom = ({ exitCode, oom }: WorkloadExit): boolean => oom ?? exitCode === KILLED;

export function endOfWorkload(exit: WorkloadExit, at: number): ContainerEnd {
  const times = `after ${exit.restarts} restart${exit.restarts === 1 ? "" : "s"}`;
  const detail = `The workload ended with ${exit.exitCode} ${times}, too often to be started again.`;
  return { at, cause: isOom(exit) ? "oom" : "exited", exitCode: exit.exitCode, detail };
}

export const endFor = (cause: EndCause, detail: string, at: number): ContainerEnd => ({
  at,
  cause,
  exitCode: null,
  detail,
});

/** A failure of the control port that means another boot than ours, or none, behind it. */
export const isAnotherBoot = ({ extra }: Failure): boolean =>
  extra?.boot === "another" || ["already_booted", "not_booted", "unauthorized"].includes(String(extra?.control));

/** Whether a later word counts more: how it ended is better than that it is gone, and gone is better than that it hangs. */
export const supersedes = (later: ContainerEnd, known: ContainerEnd): boolean =>
  WEIGHT[later.cause] > WEIGHT[known.cause];

const WEIGHT: Readonly<Record<EndCause, number>> = {
  hung: 0,
  unhealthy: 0,
  lost: 1,
  start_dead: 2,
  rebooted: 2,
  exited: 3,
  oom: 3,
};
