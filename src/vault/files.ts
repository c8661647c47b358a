import type { Generation } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import { contentOf } from "./contents.ts";
import { diffPage } from "./diff.ts";
import { type Source, START } from "./entries.ts";
import { behind } from "./listing.ts";
import { lease } from "./pages.ts";
import type { VaultParts } from "./parts.ts";
import { sourceOf } from "./saves.ts";
import type { PageCursor } from "./storage.ts";
import type { GenerationRow } from "./store.ts";
import { type Entry, keyOf } from "./tree.ts";
import type { DiffPage, FileContent, FileInfo, FilePage, Looked, PageRequest } from "./types.ts";

/** Looking into generations without a container. Nothing of them is changed. */

export function stat(parts: VaultParts, path: string, wanted: Generation | null): Outcome<Looked<FileInfo | null>> {
  return looked(parts, wanted, (of, row) => {
    const found = at(parts, of, row, path);
    return found && infoOf(found);
  });
}

export async function readFile(
  parts: VaultParts,
  path: string,
  wanted: Generation | null,
): Promise<Outcome<Looked<FileContent | null>>> {
  const entry = looked(parts, wanted, (of, row) => at(parts, of, row, path));
  if (!entry.ok) return entry;
  const { found, ...where } = entry.value;
  if (found === null) return done({ ...where, found });
  const { content } = found;
  if (content === null) return done({ ...where, found: { info: infoOf(found), body: null, object: null } });
  // Whoever reads an R2 object does it after this answer.
  if (content.object !== null) lease(parts, where.generation);
  const body = await contentOf(parts, content);
  return done({ ...where, found: { info: infoOf(found), body, object: content.object } });
}

export function listFiles(
  parts: VaultParts,
  directory: string,
  page: PageRequest & { recursive: boolean },
  wanted: Generation | null,
): Outcome<Looked<FilePage | null>> {
  return looked(parts, wanted, (of, row) => {
    if (at(parts, of, row, directory)?.kind !== "directory") return null;
    const prefix = keyOf(directory, "directory");
    const entries: FileInfo[] = [];
    let next: PageCursor | null = null;
    let from: PageCursor | null = page.after ?? { key: prefix, kind: "directory" };
    // A directory that was shown is passed over whole.
    if (!page.recursive && page.after?.kind === "directory") from = behindAll(page.after.key);
    scanning: while (from !== null) {
      const begin: PageCursor = from;
      from = null;
      for (const entry of parts.entries.rows(of, begin)) {
        const key = keyOf(entry.path, entry.kind);
        if (!key.startsWith(prefix)) break scanning;
        if (entries.length === page.limit) return { entries, next };
        const slash = page.recursive ? -1 : key.indexOf("/", prefix.length);
        if (slash === -1) {
          entries.push(infoOf(entry));
          next = { key, kind: entry.kind };
          continue;
        }
        const inner = key.slice(0, slash + 1);
        entries.push(infoOf(key === inner ? entry : implied(inner.slice(0, -1), row)));
        next = { key: inner, kind: "directory" };
        from = behindAll(inner);
        continue scanning;
      }
    }
    return { entries, next: null };
  });
}

export function diff(parts: VaultParts, from: Generation, to: Generation, page: PageRequest): Outcome<DiffPage> {
  const [before, after] = [find(parts, from), find(parts, to)];
  if (!before.ok) return before;
  if (!after.ok) return after;
  const [old, now] = [sourceOf(before.value), sourceOf(after.value)];
  const begin = page.after ?? START;
  // Rows of the history that both share need no look.
  const linear = !old.aside && !now.aside;
  const rows = (of: Source, but: Source) => parts.entries.rows(of, begin, linear ? but.generation : null);
  return done(diffPage(rows(old, now), rows(now, old), page));
}

function find(parts: VaultParts, wanted: Generation | null): Outcome<GenerationRow> {
  const record = parts.store.record();
  if (record === null || (wanted === null && record.head === 0)) return failed("not_found", "Nothing was ever saved.");
  const row = parts.store.generation(wanted ?? record.head);
  return row === null ? failed("not_found", `There is no generation ${wanted}.`) : done(row);
}

function looked<T>(
  parts: VaultParts,
  wanted: Generation | null,
  look: (of: Source, row: GenerationRow) => T,
): Outcome<Looked<T>> {
  const row = find(parts, wanted);
  if (!row.ok) return row;
  const { generation, at } = row.value;
  return done({ generation, at, found: look(sourceOf(row.value), row.value) });
}

/** The root is always there, and so is a directory with something in it, whether or not it was listed. */
function at(parts: VaultParts, of: Source, row: GenerationRow, path: string): Entry | null {
  const found = parts.entries.at(of, path);
  if (found !== null) return found;
  if (path === "") return implied("", row);
  const prefix = keyOf(path, "directory");
  const [first] = parts.entries.rows(of, { key: prefix, kind: "directory" });
  return first !== undefined && keyOf(first.path, first.kind).startsWith(prefix) ? implied(path, row) : null;
}

const implied = (path: string, { at: atMs }: GenerationRow): Entry => ({
  path,
  kind: "directory",
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtimeNs: `${atMs}000000`,
  target: "",
  content: null,
  metadata: null,
});

const behindAll = (prefix: string): PageCursor | null => {
  const from = behind(prefix);
  return from && { ...START, key: from.key };
};

function infoOf({ path, kind, mode, uid, gid, mtimeNs, target, content }: Entry): FileInfo {
  const { size = 0, sha256 = null, partSize = null } = content ?? {};
  return { path, kind, size, mode, uid, gid, mtimeNs, target, sha256, partSize };
}
