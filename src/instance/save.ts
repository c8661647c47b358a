import { type Outcome } from "../outcome.ts";
import type { Committed, SaveRef, VaultApi } from "../vault/types.ts";
import type { Inside } from "./inside.ts";
import type { SaveRequest } from "./types.ts";

/** How long a workload may take to stop before it is killed. */
const STOP_GRACE_MS = 10_000;

/**
 * Saves a stopped workload's state volume as one generation: stop → list → open → send → commit. What was sent without a
 * commit is never visible. The save id makes every step repeatable.
 */
export async function saveState(inside: Inside, vault: VaultApi, ref: SaveRef, request: SaveRequest): Promise<Outcome<Committed>> {
  const deadline = Date.now() + request.timeoutMs;
  const left = () => Math.max(1, deadline - Date.now());
  const stopped = await inside.control.stop(STOP_GRACE_MS, STOP_GRACE_MS + 5_000);
  if (!stopped.ok) return stopped;
  const manifest = await inside.control.manifest(left());
  if (!manifest.ok) return manifest;
  const opened = await vault.open(ref, manifest.value);
  if (!opened.ok) return opened;
  if (opened.value.how === "done") return opened.value.outcome;
  const sent = opened.value.how === "bundle" ? await inside.control.bundle(left()) : await inside.agent.save(manifest.value, left());
  if (!sent.ok) {
    await vault.abort(ref);
    return sent;
  }
  return vault.commit(ref, { force: request.force });
}
