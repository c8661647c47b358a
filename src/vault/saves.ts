import { failed, type Outcome } from "../outcome.ts";
import type { Source } from "./entries.ts";
import { after, type SaveEvent } from "./lifecycle.ts";
import { Refused, type VaultParts } from "./parts.ts";
import type { GenerationRow, Save } from "./store.ts";
import type { Tree } from "./tree.ts";
import type { Committed, GenerationSummary } from "./types.ts";

/** What every action that decides something does with saves and their generations. */
/** What nobody waits for comes later, so that it never competes with the release or the claim that made it necessary. */
export const PACK_SOON_MS = 5 * 1000;
export const COLLECT_SOON_MS = 60 * 1000;

/** Inside a commit. */
export function abortOpen(parts: VaultParts, which: (save: Save) => boolean): void {
  for (const save of parts.store.openSaves().filter(which)) {
    parts.store.updateSave({ ...save, state: step(save, "abort") });
    parts.arm(parts.now() + COLLECT_SOON_MS);
  }
}

export function step(save: Save, event: SaveEvent): Save["state"] {
  const next = after(save.state, event);
  if (next === null) throw new Refused(failed("invalid_transition", `A save that is ${save.state} cannot ${event}.`));
  return next;
}

export function outcomeOf(save: Save): Outcome<Committed> {
  return save.outcome ?? failed("internal", `The outcome of save ${save.saveId} was not recorded.`);
}

export const sourceOf = ({ generation, status }: GenerationRow): Source => ({ generation, aside: status !== "kept" });

/** The whole tree of a generation of any status. */
export const treeOf = (parts: VaultParts, { generation, status }: GenerationRow): Tree =>
  status === "kept" ? parts.entries.tree(generation) : parts.entries.asideTree(generation);

export const summary = ({ generation, files, bytes }: GenerationRow): GenerationSummary => ({
  generation,
  files,
  bytes,
});
export const committedOf = (row: GenerationRow): Committed => ({ ...summary(row), changed: row.changed });
