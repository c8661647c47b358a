import { createHash } from "node:crypto";
import type { ByteSource, Pull } from "../gateway/storage/source.ts";
import type { Generation } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import type { PageCursor, PageEntry, VaultStorage } from "../vault/storage.ts";
import type { ManifestEntry } from "../vault/types.ts";
import type { ArrivalOptions, Refused } from "./arrival.ts";
import { type Layout, layoutsOf } from "./layout.ts";
import { readTarOf } from "./read.ts";

/** What an import would do. Nothing is stored, and no epoch is given out. */
export interface Report {
  format: "export" | "plain";
  /** Regular files and symlinks, bytes of regular files, and directories. */
  files: number;
  bytes: number;
  directories: number;
  /** Against the head, by content; of files and symlinks. */
  added: number;
  changed: number;
  removed: number;
  /** How many entries are refused, and the first of them: with any, an import is refused as a whole. */
  refusals: number;
  refused: Refused[];
  layouts: Layout[];
}

/** @throws Problem `invalid` for what is no tar, or breaks off */
export async function dryRun(
  body: Pull,
  options: ArrivalOptions,
  vault: Pick<VaultStorage, "exported">,
  head: Generation | null,
): Promise<Report> {
  const hashes = new Map<string, string>();
  const { arrival, sums } = await readTarOf(body, options, async (entry, content) => {
    if (entry.kind === "file") hashes.set(entry.path, await hashed(content, entry.size));
  });
  const manifest = arrival.manifest();
  for (const [path, sha256] of hashes) {
    const sum = sums?.get(path);
    if (sums && !sum) arrival.refuse(path, "is not in `sums` or `parts`");
    else if (sum && sum.partSize === null && sum.sha256 !== sha256) {
      arrival.refuse(path, "is not what the export says of it");
    }
  }
  const files = [...manifest.values()].filter(({ kind }) => kind !== "directory");
  const counts = { added: files.length, changed: 0, removed: 0 };
  for await (const before of entriesOf(vault, head)) {
    if (before.kind === "directory") continue;
    const now = manifest.get(before.path);
    if (!now || now.kind === "directory") counts.removed += 1;
    else {
      counts.added -= 1;
      if (!isSame(before, now, hashes.get(before.path))) counts.changed += 1;
    }
  }
  return {
    format: arrival.isExport ? "export" : "plain",
    files: arrival.files,
    bytes: arrival.bytes,
    directories: manifest.size - files.length,
    ...counts,
    refusals: arrival.refusals,
    refused: arrival.refused,
    layouts: layoutsOf(
      files.map(({ path }) => path),
      arrival.isExport,
    ),
  };
}

/** What is stored in parts has a hash of their hashes: there the time counts. */
function isSame(before: PageEntry, now: ManifestEntry, sha256: string | undefined): boolean {
  if (before.kind !== now.kind) return false;
  if (before.kind === "symlink") return before.target === (now.target ?? "");
  if (before.content?.size !== now.size) return false;
  return before.content.partSize === null ? before.content.sha256 === sha256 : before.mtimeNs === now.mtimeNs;
}

async function hashed(content: ByteSource, size: number): Promise<string> {
  const hash = createHash("sha256");
  for (let left = size; left > 0; ) {
    const chunk = await content.some(left);
    hash.update(chunk);
    left -= chunk.length;
  }
  return hash.digest("hex");
}

async function* entriesOf(vault: Pick<VaultStorage, "exported">, head: Generation | null): AsyncGenerator<PageEntry> {
  let after: PageCursor | null = null;
  while (head !== null) {
    const page: Outcome<Awaited<ReturnType<typeof vault.exported>> extends Outcome<infer P> ? P : never> =
      await vault.exported(head, after);
    if (!page.ok) throw new Error(page.failure.detail);
    yield* page.value.entries;
    if (page.value.next === null) return;
    after = page.value.next;
  }
}
