import { DeadlineError, sleep, within } from "../durable/deadline.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import type { ContainerRuntime } from "../runtime/port.ts";
import type { Inside } from "./inside.ts";
import { askWorkload } from "./probe.ts";

/** Between two probes, in ms: often at first, since a start is waited for, then less and less. */
const FIRST_PAUSE_MS = 5;
const LAST_PAUSE_MS = 250;
const PROBE_MS = 1_000;

/** What a probe found; a failure is one that no further probe can change. */
export type Found = "ready" | "not yet" | Failure;

/** Asks `probe` until it says yes or finds a failure, the container ends, or `timeoutMs` are over. */
export async function until(
  runtime: ContainerRuntime,
  what: string,
  timeoutMs: number,
  probe: () => Promise<Found>,
): Promise<Outcome<null>> {
  const deadline = Date.now() + timeoutMs;
  let pause = FIRST_PAUSE_MS;
  for (;;) {
    try {
      const found = await within(PROBE_MS, "probe", probe());
      if (found === "ready") return done(null);
      if (found !== "not yet") return { ok: false, failure: found };
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
    }
    if (!runtime.running) return failed("container_unavailable", `The container ended before it was ${what}.`);
    if (Date.now() >= deadline) return failed("start_failed", `The container was not ${what} within ${timeoutMs} ms.`);
    await sleep(pause);
    pause = Math.min(LAST_PAUSE_MS, pause * 1.5);
  }
}

/** Ready is any HTTP answer on the port; with a `path`, a 2xx or 3xx one on it, with what is expected (contract: Workload). */
export async function isReady(inside: Inside): Promise<boolean> {
  try {
    return (await askWorkload(inside, inside.boot.plan.workload.readiness, PROBE_MS)) === null;
  } catch {
    return false; // nothing listens yet
  }
}
