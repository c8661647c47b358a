import { messageOf } from "../durable/deadline.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { RuntimeError } from "../runtime/port.ts";
import { KEEP_MS, startSpec } from "./environment.ts";
import type { Inside } from "./inside.ts";
import { answers, until } from "./readiness.ts";

export interface Started {
  /** Until the inside answered, and until it could be leased; from the start, in ms. */
  startMs: number;
  readyMs: number;
}

/** Starts a container, gives it its keys, and waits until it may be leased: `on-boot` workloads answer on their port by then. */
export async function startContainer(inside: Inside): Promise<Outcome<Started>> {
  const { runtime, boot } = inside;
  const { workload, startTimeoutMs } = boot.plan;
  const began = Date.now();
  try {
    runtime.start(startSpec(boot));
    await runtime.keepFor(KEEP_MS);
  } catch (error) {
    return { ok: false, failure: startFailure(error) };
  }
  const up = await until(runtime, "up", startTimeoutMs, async () => (await inside.control.boot(1_000)).ok);
  if (!up.ok) return up;
  const startMs = Date.now() - began;
  if (workload.start === "on-boot") {
    const ready = await workloadReady(inside, Math.max(1, startTimeoutMs - startMs));
    if (!ready.ok) return ready;
  }
  return done({ startMs, readyMs: Date.now() - began });
}

/** Waits for the workload's own readiness (contract: Workload). */
export function workloadReady({ runtime, boot }: Inside, timeoutMs: number): Promise<Outcome<null>> {
  const { port, readiness } = boot.plan.workload;
  return until(runtime, "ready", timeoutMs, () => answers(runtime, port, readiness?.path));
}

/** Starts a workload that was stopped, and waits until it is ready. */
export async function startWorkload(inside: Inside, timeoutMs: number): Promise<Outcome<null>> {
  const started = await inside.control.start();
  return started.ok ? workloadReady(inside, timeoutMs) : started;
}

/** How long a workload may take to stop before it is killed. */
const STOP_GRACE_MS = 10_000;

/** Asked for again, it restarts again: harmless, but for the time. */
export async function restartWorkload(inside: Inside, timeoutMs: number): Promise<Outcome<null>> {
  const stopped = await inside.control.stop(STOP_GRACE_MS);
  return stopped.ok ? startWorkload(inside, timeoutMs) : stopped;
}

function startFailure(error: unknown): Failure {
  const full = error instanceof RuntimeError && (error.code === "capacity" || error.code === "rate_limited");
  if (full) return failed("capacity_exhausted", error.message, { retryAfterMs: 30_000 }).failure;
  return failed("start_failed", messageOf(error)).failure;
}
