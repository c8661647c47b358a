import { sleep } from "../durable/deadline.ts";
import { stopwatch } from "../durable/stopwatch.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { literalGlob } from "../sync/glob.ts";
import type { OpenAnswer, SaveRef, VaultApi } from "../vault/types.ts";
import type { Inside } from "./inside.ts";
import { changedSince, disguisedSince, tooManyFiles, tornSince } from "./manifest.ts";
import { preSave } from "./pre-save.ts";
import { type Selection, selectionOf } from "./selection.ts";
import type { Saved, SaveRequest } from "./types.ts";

/** How long a workload may take to stop before it is killed. */
const STOP_GRACE_MS = 10_000;

/** A running workload writes while it is saved: what was torn is saved again, after these pauses. */
const LIVE_PAUSES_MS = [50, 200, 800];

/**
 * Saves a state volume as one generation: preSave → stop → list → open → send → commit. What was sent without a commit is
 * never visible. The save id makes every step repeatable. A live save leaves the workload running, and what it commits is
 * still the directory as it was at one moment (`wasOneMoment`): where that cannot be said, all is done again.
 */
export async function saveState(
  inside: Inside,
  vault: VaultApi,
  ref: SaveRef,
  request: SaveRequest,
): Promise<Outcome<Saved>> {
  const deadline = Date.now() + request.timeoutMs;
  const left = () => Math.max(1, deadline - Date.now());
  const timings: Record<string, number> = {};
  const lap = stopwatch();
  const flushed = await preSave(inside, request);
  if (!flushed.ok) return flushed;
  if (inside.boot.plan.workload.preSave) timings.preSave = lap();
  if (!request.live) {
    const stopped = await inside.control.stop(STOP_GRACE_MS);
    if (!stopped.ok) return stopped;
    timings.stop = lap();
  }
  for (const pauseMs of request.live ? [...LIVE_PAUSES_MS, null] : [null]) {
    const outcome = await saveOnce(inside, vault, ref, { ...request, timeoutMs: left() }, timings);
    const isTorn = !outcome.ok && outcome.failure.code === "save_failed";
    if (!isTorn || pauseMs === null || Date.now() + pauseMs >= deadline) return outcome;
    await sleep(pauseMs);
  }
  return failed("internal", "A save ended without an outcome.");
}

async function saveOnce(
  inside: Inside,
  vault: VaultApi,
  ref: SaveRef,
  request: SaveRequest,
  before: Readonly<Record<string, number>>,
): Promise<Outcome<Saved>> {
  const deadline = Date.now() + request.timeoutMs;
  const left = () => Math.max(1, deadline - Date.now());
  const timings: Record<string, number> = { ...before };
  const lap = stopwatch();
  const listed = await inside.control.manifest(left());
  if (!listed.ok) return listed;
  const { exclude } = inside.boot.plan.workload;
  const selection = selectionOf(listed.value.entries, exclude);
  timings.list = lap();
  const tooMany = tooManyFiles(selection.kept);
  if (tooMany) return tooMany;
  const opened = await vault.open(ref, selection.kept, { changedSinceNs: changedSince(listed.value) });
  if (!opened.ok) return opened;
  timings.open = lap();
  const options = { force: request.force, exclude, skipUnchanged: request.skipUnchanged === true };
  if (opened.value.how === "done") {
    const { outcome } = opened.value;
    // A refusal that nobody heard of is accepted by the force that comes with this request.
    return outcome.ok || !request.force ? outcome : vault.commit(ref, options);
  }
  const sent = await send(inside, opened.value, selection, left(), request.live ? "exact" : "seconds");
  if (sent.ok) timings.send = lap();
  const isLive = request.live === true && opened.value.how !== "unchanged";
  const whole = sent.ok && isLive ? await wasOneMoment(inside, opened.value, selection, left()) : sent;
  if (!whole.ok) {
    await vault.abort(ref);
    return whole;
  }
  if (isLive) timings.check = lap();
  const committed = await vault.commit(ref, options);
  if (!committed.ok) return committed;
  timings.commit = lap();
  // Should this get lost, the next save only sends more than it has to.
  if (request.live) await inside.control.baseline(listed.value.listedAtNs);
  const { excluded } = selection;
  return done({ ...committed.value, timings, ...(excluded.files > 0 ? { excluded } : {}) });
}

/** Most of the tree new: one tar. Else what rclone finds different, after what it would not find. */
async function send(
  inside: Inside,
  opened: Exclude<OpenAnswer, { how: "done" }>,
  { kept, exclude }: Selection,
  timeoutMs: number,
  times: "exact" | "seconds",
): Promise<Outcome<unknown>> {
  const directory = inside.boot.plan.workload.volumes.state?.containerPath ?? "";
  switch (opened.how) {
    case "unchanged":
      return done(null);
    case "bundle":
      return inside.control.bundle(
        timeoutMs,
        kept.map(({ path }) => path),
        times,
      );
    case "incremental": {
      const deadline = Date.now() + timeoutMs;
      const job = { directory, backend: "vault", send: opened.send } as const;
      if (opened.suspects.length > 0) {
        const only = { include: opened.suspects.map(literalGlob), ignoreTimes: true };
        const suspects = await inside.agent.sync({ ...job, mode: "copy", ...only }, timeoutMs);
        if (!suspects.ok) return suspects;
      }
      const rest = { exclude, deleteExcluded: true };
      return inside.agent.sync({ ...job, mode: "sync", ...rest }, Math.max(1, deadline - Date.now()));
    }
  }
}

/**
 * Whether all that a live save commits was so together, when the listing had ended. A file that is sent arrives with the
 * size and the mod-time that were listed, or the Vault refuses it: it may be written again afterwards, but must not look as
 * if it had not been. What is believed without being sent must be as it was listed still. So a file that is written all the
 * time spoils a save only if it is hit between its listing and its sending.
 */
async function wasOneMoment(
  inside: Inside,
  opened: Exclude<OpenAnswer, { how: "done" }>,
  { kept }: Selection,
  timeoutMs: number,
): Promise<Outcome<null>> {
  const now = await inside.control.manifest(timeoutMs);
  if (!now.ok) return now;
  const sent = opened.how === "incremental" ? new Set(opened.paths) : null;
  const unsent = sent ? kept.filter(({ path }) => !sent.has(path)) : [];
  const torn = tornSince(unsent, now.value.entries) ?? disguisedSince(kept, now.value.entries);
  return torn === null ? done(null) : failed("save_failed", `${torn} changed while it was saved.`);
}
