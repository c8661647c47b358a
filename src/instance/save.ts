import { stopwatch } from "../durable/stopwatch.ts";
import { done, type Outcome } from "../outcome.ts";
import type { OpenAnswer, SaveRef, VaultApi } from "../vault/types.ts";
import type { Inside } from "./inside.ts";
import type { Saved, SaveRequest } from "./types.ts";

/** How long a workload may take to stop before it is killed. */
const STOP_GRACE_MS = 10_000;

/** A running workload writes while it is saved: what arrived torn is sent again this often. */
const LIVE_ATTEMPTS = 4;

/**
 * Saves a state volume as one generation: stop → list → open → send → commit. What was sent without a commit is never
 * visible. The save id makes every step repeatable. A live save leaves the workload running, and what it commits is still
 * exactly what one listing said: a file that changed since is noticed by the Vault (or by rclone), and all is done again.
 */
export async function saveState(
  inside: Inside,
  vault: VaultApi,
  ref: SaveRef,
  request: SaveRequest,
): Promise<Outcome<Saved>> {
  if (!request.live) return saveOnce(inside, vault, ref, request);
  const deadline = Date.now() + request.timeoutMs;
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await saveOnce(inside, vault, ref, { ...request, timeoutMs: Math.max(1, deadline - Date.now()) });
    const isTorn = !outcome.ok && outcome.failure.code === "save_failed";
    if (!isTorn || attempt === LIVE_ATTEMPTS || Date.now() >= deadline) return outcome;
  }
}

async function saveOnce(inside: Inside, vault: VaultApi, ref: SaveRef, request: SaveRequest): Promise<Outcome<Saved>> {
  const deadline = Date.now() + request.timeoutMs;
  const left = () => Math.max(1, deadline - Date.now());
  const timings: Record<string, number> = {};
  const lap = stopwatch();
  if (!request.live) {
    const stopped = await inside.control.stop(STOP_GRACE_MS);
    if (!stopped.ok) return stopped;
    timings.stop = lap();
  }
  const manifest = await inside.control.manifest(left());
  if (!manifest.ok) return manifest;
  timings.list = lap();
  const opened = await vault.open(ref, manifest.value);
  if (!opened.ok) return opened;
  timings.open = lap();
  if (opened.value.how === "done") {
    const { outcome } = opened.value;
    // A refusal that nobody heard of is accepted by the force that comes with this request.
    return outcome.ok || !request.force ? outcome : vault.commit(ref, { force: true });
  }
  const sent = await send(inside, opened.value, left());
  if (!sent.ok) {
    await vault.abort(ref);
    return sent;
  }
  timings.send = lap();
  const committed = await vault.commit(ref, { force: request.force });
  if (!committed.ok) return committed;
  timings.commit = lap();
  return done({ ...committed.value, timings });
}

/** Most of the tree new: one tar. Else what rclone finds different. */
async function send(
  inside: Inside,
  opened: Exclude<OpenAnswer, { how: "done" }>,
  timeoutMs: number,
): Promise<Outcome<unknown>> {
  const directory = inside.boot.plan.workload.volumes.state?.containerPath ?? "";
  switch (opened.how) {
    case "unchanged":
      return done(null);
    case "bundle":
      return inside.control.bundle(timeoutMs);
    case "incremental":
      return inside.agent.sync({ directory, mode: "sync", backend: "vault", send: opened.send }, timeoutMs);
  }
}
