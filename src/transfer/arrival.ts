import type { TarEntry } from "../gateway/storage/tar/header.ts";
import type { ManifestEntry } from "../vault/types.ts";

/** What a tar is made into: the manifest of a state directory, as its entries come. Pure; contents are for whoever reads them. */

export interface ArrivalOptions {
  /** `export`: ours, `tree/…` with `sums` and `parts`. `auto` takes a tar for one that begins with `tree/`. */
  format: "auto" | "export" | "plain";
  /** Whom everything belongs to; null: as the tar says. */
  owner: { uid: number; gid: number } | null;
}

/** An entry that no state directory is made of, by the name that the tar has for it. */
export interface Refused {
  entry: string;
  reason: string;
}

/** What is done with an entry: made part of the directory, read as one of the two files to verify an export by, or passed over. */
export type Accepted = { as: "entry"; entry: TarEntry } | { as: "sums" | "parts" } | { as: "nothing" };

/** The most that one request is made into: a manifest travels to the vault in memory. */
export const MOST_ENTRIES = 100_000;
/** Of one name of a path, in bytes (ext4, overlayfs). */
const LONGEST_NAME = 255;
/** Refusals that are told one by one. */
const MOST_TOLD = 100;

export class Arrival {
  readonly refused: Refused[] = [];
  refusals = 0;
  /** Of files and symlinks; bytes of files. */
  files = 0;
  bytes = 0;
  /** The name of the entry that was read last, for who asks how far it went. */
  last: string | null = null;
  readonly #options: ArrivalOptions;
  readonly #manifest = new Map<string, ManifestEntry>();
  #isExport: boolean | null;

  constructor(options: ArrivalOptions) {
    this.#options = options;
    this.#isExport = options.format === "auto" ? null : options.format === "export";
  }

  get isExport(): boolean {
    return this.#isExport === true;
  }

  accept(entry: TarEntry): Accepted {
    this.last = entry.path;
    this.#isExport ??= entry.path === "tree" && entry.kind === "directory";
    if (!this.#isExport) return this.#keep(entry, entry.path);
    if (entry.kind === "file" && (entry.path === "sums" || entry.path === "parts")) return { as: entry.path };
    if (entry.path === "tree") return this.#keep({ ...entry, path: "" }, entry.path);
    if (entry.path.startsWith("tree/")) return this.#keep({ ...entry, path: entry.path.slice(5) }, entry.path);
    return this.refuse(entry.path, "lies outside `tree/`, where an export has everything");
  }

  refuse(entry: string, reason: string): { as: "nothing" } {
    this.last = entry;
    this.refusals += 1;
    if (this.refused.length < MOST_TOLD) this.refused.push({ entry, reason });
    return { as: "nothing" };
  }

  /** The whole manifest, the root first; directories that only paths speak of are added. What cannot lie where it lies is refused. */
  manifest(): Map<string, ManifestEntry> {
    const whole = new Map<string, ManifestEntry>();
    const add = (path: string, of: ManifestEntry) => {
      const known = this.#manifest.get(path);
      if (known && known.kind !== "directory") this.refuse(of.path, `lies under ${path}, which is no directory`);
      else if (!whole.has(path)) whole.set(path, known ?? directory(path, of));
    };
    const [first] = this.#manifest.values();
    if (first) add("", first);
    for (const entry of this.#manifest.values()) {
      for (let at = entry.path.indexOf("/"); at !== -1; at = entry.path.indexOf("/", at + 1)) {
        add(entry.path.slice(0, at), entry);
      }
      whole.set(entry.path, entry);
    }
    return whole;
  }

  #keep(entry: TarEntry, name: string): Accepted {
    const known = this.#manifest.get(entry.path);
    if (known && !(known.kind === "directory" && entry.kind === "directory")) return this.refuse(name, "comes twice");
    if (entry.path === "" && entry.kind !== "directory") return this.refuse(name, "is no name");
    if (entry.path.split("/").some((part) => encoder.encode(part).length > LONGEST_NAME)) {
      return this.refuse(name.slice(0, 200), `has a name of more than ${LONGEST_NAME} bytes`);
    }
    if (this.#manifest.size >= MOST_ENTRIES) return this.refuse(name, `is more than ${MOST_ENTRIES} entries`);
    const { path, kind, mode, uid, gid, size, mtimeNs, target } = entry;
    const owner = this.#options.owner ?? { uid, gid };
    this.#manifest.set(path, {
      path,
      kind,
      mode,
      ...owner,
      size,
      mtimeNs,
      ctimeNs: mtimeNs,
      inode: "0",
      ...(kind === "symlink" ? { target } : {}),
    });
    if (kind !== "directory") this.files += 1;
    this.bytes += size;
    return { as: "entry", entry };
  }
}

const encoder = new TextEncoder();

const directory = (path: string, { uid, gid, mtimeNs }: ManifestEntry): ManifestEntry => ({
  path,
  kind: "directory",
  mode: 0o755,
  uid,
  gid,
  size: 0,
  mtimeNs,
  ctimeNs: mtimeNs,
  inode: "0",
});
