import type { Outcome } from "../outcome.ts";
import type { Leg } from "../sync/run.ts";
import { uploadCall } from "../sync/transfer.ts";
import type { Committed, KeepRule, ManifestEntry, SaveRef, VaultApi } from "../vault/types.ts";
import type { ListedFile } from "./agent.ts";
import { tooManyFiles } from "./manifest.ts";
import { cancelled, type RunContext, sizeOf, transferOf } from "./spec-context.ts";
import type { SpecRun } from "./types.ts";

/** The outward legs of a spec in the vault: together they are one save of the spec's own vault (docs/adr/0004). */

/** A running workload writes while it is saved: what arrived torn is sent again this often. */
const LIVE_ATTEMPTS = 4;

/** What the container holds of each leg. */
export type Lists = ReadonlyMap<Leg, readonly ListedFile[]>;

export async function saveLegs(
  run: SpecRun,
  vault: VaultApi,
  list: () => Promise<Outcome<Lists>>,
  first: Lists,
  context: RunContext,
): Promise<Outcome<Committed>> {
  const attempts = run.why === "release" ? 1 : LIVE_ATTEMPTS;
  let lists = first;
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await saveOnce(run, vault, lists, attempt, context);
    const isTorn = !outcome.ok && outcome.failure.code === "save_failed";
    if (!isTorn || attempt === attempts || context.steps.cancelled || Date.now() >= context.deadlineAt) return outcome;
    const again = await list();
    if (!again.ok) return again;
    lists = again.value;
  }
}

async function saveOnce(
  run: SpecRun,
  vault: VaultApi,
  lists: Lists,
  attempt: number,
  { inside, steps, deadlineAt }: RunContext,
): Promise<Outcome<Committed>> {
  const ref: SaveRef = { epoch: run.epoch, incarnation: inside.boot.plan.containerId, saveId: run.runId };
  const force = run.force === true;
  const manifest = manifestOf(lists);
  const tooMany = tooManyFiles(manifest);
  if (tooMany) return tooMany;
  const opened = await vault.open(ref, manifest, { keep: [...lists.keys()].map(ruleOf) });
  if (!opened.ok) return opened;
  if (opened.value.how === "done") {
    const { outcome } = opened.value;
    return outcome.ok || !force ? outcome : vault.commit(ref, { force });
  }
  // One tar would be of the state directory; mappings go by rclone, also when most of them is new.
  const legs = opened.value.how === "unchanged" ? [] : [...lists];
  for (const [number, [leg, files]] of legs.entries()) {
    const upload = {
      directory: leg.mapping.containerPath,
      deletes: leg.deletes,
      versions: null,
      maxDelete: null,
      send: sizeOf(files),
    };
    const sent = await steps.job(`${attempt}:${number}`, uploadCall(transferOf(run, leg), upload), deadlineAt);
    if (!sent.ok || steps.cancelled) {
      await vault.abort(ref);
      return sent.ok ? cancelled() : sent;
    }
  }
  return vault.commit(ref, { force });
}

const ruleOf = ({ mapping, place, deletes }: Leg): KeepRule => ({
  prefix: place.prefix,
  mode: deletes ? "sync" : "copy",
  ...(mapping.pattern === undefined ? {} : { pattern: mapping.pattern }),
  exclude: mapping.exclude,
});

/** Everything that the mappings name, as the vault lists a tree. Changes are told by size and mod-time here. */
function manifestOf(lists: Lists): ManifestEntry[] {
  const root = { path: "", kind: "directory", mode: 0o755, uid: 0, gid: 0, size: 0, mtimeNs: "0" } as const;
  const unknown = { ctimeNs: "0", inode: "0" };
  const files = [...lists].flatMap(([{ place }, files]) =>
    files.map(({ path, size, modifiedAt, metadata }) => ({
      path: place.prefix + path,
      kind: "file" as const,
      mode: Number.parseInt(metadata.mode ?? "644", 8) & 0o7777,
      uid: Number(metadata.uid ?? 0),
      gid: Number(metadata.gid ?? 0),
      size,
      mtimeNs: nanoseconds(modifiedAt),
      ...unknown,
    })),
  );
  return [{ ...root, ...unknown }, ...new Map(files.map((file) => [file.path, file])).values()];
}

/** Of RFC 3339 with up to nine decimals. */
export function nanoseconds(time: string): string {
  const [, seconds = "", fraction = "", zone = ""] = /^([^.Z+]*?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(time) ?? [];
  return String(BigInt(Date.parse(seconds + zone)) * 1_000_000n + BigInt(fraction.padEnd(9, "0")));
}
