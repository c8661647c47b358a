import { within } from "../durable/deadline.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { runtimeError } from "../runtime/classify.ts";
import { failedBy } from "../runtime/failure.ts";
import { isAnotherBoot } from "./ending.ts";
import { KEEP_MS, startSpec } from "./environment.ts";
import type { Inside } from "./inside.ts";
import { type Found, isReady, until } from "./readiness.ts";
import type { ContainerEnd } from "./types.ts";

export interface Started {
  /** Until the inside answered, and until it could be leased; from the start, in ms. */
  startMs: number;
  readyMs: number;
}

/** What init or the platform said meanwhile of the container's end; nothing is waited for after that. */
export type Ended = () => ContainerEnd | null;

const REGISTER_MS = 10_000;

/**
 * Starts a container, gives it its keys, and waits until it may be leased: `on-boot` workloads answer on their port by
 * then. `register` tells the platform what it is to know of a container that runs.
 */
export async function startContainer(
  inside: Inside,
  register: () => Promise<unknown>,
  ended: Ended,
): Promise<Outcome<Started>> {
  const began = Date.now();
  try {
    inside.runtime.start(startSpec(inside.boot));
    const registered = Promise.all([inside.runtime.keepFor(KEEP_MS), register()]);
    await within(REGISTER_MS, "the start of the container", registered);
  } catch (error) {
    return { ok: false, failure: startFailure(error) };
  }
  return containerUp(inside, began, ended);
}

/** Waits for a container that was started; also for one that an earlier life of the object started. */
export async function containerUp(inside: Inside, began: number, ended: Ended): Promise<Outcome<Started>> {
  const { workload, startTimeoutMs } = inside.boot.plan;
  const up = await until(inside.runtime, "up", startTimeoutMs, () => handOver(inside));
  if (!up.ok) return up;
  const startMs = Date.now() - began;
  if (workload.start === "on-boot") {
    const ready = await workloadReady(inside, Math.max(1, startTimeoutMs - startMs), ended);
    if (!ready.ok) return ready;
  }
  return done({ startMs, readyMs: Date.now() - began });
}

/** The keys of this boot. What the start itself could not say yet is said here, and a container with other keys is not ours. */
async function handOver({ control }: Inside): Promise<Found> {
  const answer = await control.boot(1_000);
  if (answer.ok) return "ready";
  const { failure } = answer;
  if (failure.code === "capacity_exhausted") return { ...failure, retryAfterMs: CAPACITY_RETRY_MS };
  if (failure.code === "start_failed") return failure;
  if (isAnotherBoot(failure)) return failed("start_failed", "Another boot of the container answers.").failure;
  return "not yet";
}

/** Waits for the workload's own readiness (contract: Workload). */
export function workloadReady(inside: Inside, timeoutMs: number, ended: Ended): Promise<Outcome<null>> {
  return until(inside.runtime, "ready", timeoutMs, async () => {
    const end = ended();
    if (end) return failed("start_failed", end.detail).failure;
    return (await isReady(inside)) ? "ready" : "not yet";
  });
}

/** Starts a workload that was stopped, and waits until it is ready. */
export async function startWorkload(inside: Inside, timeoutMs: number, ended: Ended): Promise<Outcome<null>> {
  const started = await inside.control.start();
  return started.ok ? workloadReady(inside, timeoutMs, ended) : started;
}

/** How long a workload may take to stop before it is killed. */
const STOP_GRACE_MS = 10_000;

/** Asked for again, it restarts again: harmless, but for the time. */
export async function restartWorkload(inside: Inside, timeoutMs: number, ended: Ended): Promise<Outcome<null>> {
  const stopped = await inside.control.stop(STOP_GRACE_MS);
  return stopped.ok ? startWorkload(inside, timeoutMs, ended) : stopped;
}

const CAPACITY_RETRY_MS = 30_000;

function startFailure(error: unknown): Failure {
  const { failure } = failedBy(runtimeError(error, "start_failed"), "start");
  if (failure.code === "capacity_exhausted") return { ...failure, retryAfterMs: CAPACITY_RETRY_MS };
  return { ...failure, code: "start_failed" };
}
