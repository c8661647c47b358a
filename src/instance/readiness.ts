import { DeadlineError, sleep, within } from "../durable/deadline.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { ContainerRuntime } from "../runtime/port.ts";

/** Between two probes, in ms: often at first, since a start is waited for, then less and less. */
const FIRST_PAUSE_MS = 5;
const LAST_PAUSE_MS = 250;
const PROBE_MS = 1_000;

/** Asks `probe` until it says yes, the container ends, or `timeoutMs` are over. */
export async function until(
  runtime: ContainerRuntime,
  what: string,
  timeoutMs: number,
  probe: () => Promise<boolean>,
): Promise<Outcome<null>> {
  const deadline = Date.now() + timeoutMs;
  let pause = FIRST_PAUSE_MS;
  for (;;) {
    try {
      if (await within(PROBE_MS, "probe", probe())) return done(null);
    } catch (error) {
      if (!(error instanceof DeadlineError)) throw error;
    }
    if (!runtime.running) return failed("container_unavailable", `The container ended before ${what}.`);
    if (Date.now() >= deadline) return failed("start_failed", `The container was not ${what} within ${timeoutMs} ms.`);
    await sleep(pause);
    pause = Math.min(LAST_PAUSE_MS, pause * 1.5);
  }
}

/** Ready is any HTTP answer on the port; with a `path`, a 2xx or 3xx one on it (contract: Workload). */
export async function answers(runtime: ContainerRuntime, port: number, path: string | undefined): Promise<boolean> {
  try {
    const response = await runtime.fetch(port, new Request(`http://container${path ?? "/"}`, { redirect: "manual" }));
    await response.body?.cancel();
    return path === undefined || response.status < 400;
  } catch {
    return false; // nothing listens yet
  }
}
