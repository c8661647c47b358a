import { failed } from "../outcome.ts";
import { decodeName, encodeName } from "../vault/names.ts";
import type { ManifestEntry } from "../vault/types.ts";

/** The records of find(1) that the control port answers (docs/container.md): `%y %m %U %G %s %T@ %C@ %i %P\0%l\0`. */
const HEAD = /^([a-zA-Z]) ([0-7]+) (\d+) (\d+) (\d+) (-?\d+)\.(\d{9})\d* (-?\d+)\.(\d{9})\d* (\d+) $/;
const KINDS: Readonly<Record<string, ManifestEntry["kind"]>> = { f: "file", d: "directory", l: "symlink" };
const SPACE = 0x20;
const FIELDS_BEFORE_PATH = 8;

/** The record after the last: without it, a listing is not whole. */
const END = new Uint8Array([0x65, 0x6e, 0x64, 0, 0]); // end

/** A listing of the state directory (docs/container.md). Times in ns by the container's clock. */
export interface Listing {
  entries: ManifestEntry[];
  /** What is changed from now on, is changed later than this. */
  listedAtNs: string;
  /** What has not been changed since is as the vault has it; null when nobody knows. */
  baselineNs: string | null;
}

/** @throws SyntaxError when the listing is not whole */
export function parseListing(body: Uint8Array, headers: Headers): Listing {
  const at = body.length - END.length;
  if (at < 0 || END.some((byte, index) => body[at + index] !== byte)) throw new SyntaxError("the listing broke off");
  const ns = (name: string) => /^\d{1,19}$/.exec(headers.get(name) ?? "")?.[0] ?? null;
  const listedAtNs = ns("x-listed-at");
  if (listedAtNs === null) throw new SyntaxError("the listing does not say when it was made");
  return { entries: parseManifest(body.subarray(0, at)), listedAtNs, baselineNs: ns("x-baseline") };
}

/** The inverse, for containers that are simulated. */
export function listingResponse({ entries, listedAtNs, baselineNs }: Listing): Response {
  const records = formatManifest(entries);
  const body = new Uint8Array(records.length + END.length);
  body.set(records);
  body.set(END, records.length);
  const headers = { "x-listed-at": listedAtNs, "x-baseline": baselineNs ?? "" };
  return new Response(body, { headers: { "content-type": "application/octet-stream", ...headers } });
}

/**
 * Since when files may differ from the vault's although they look the same; null: all of them may. A clock that ran
 * backwards says nothing of what was changed under it.
 */
export const changedSince = ({ listedAtNs, baselineNs }: Listing): string | null =>
  baselineNs === null || BigInt(listedAtNs) < BigInt(baselineNs) ? null : baselineNs;

/** A file or symlink that is not in a later listing as it was in this one; null: nothing changed in between. Pure. */
export const tornSince = (before: readonly ManifestEntry[], now: readonly ManifestEntry[]): string | null =>
  firstPath(before, now, (entry, later) => entry.kind !== "directory" && !isSame(entry, later));

/**
 * A file that a later listing has as it looked in this one, and that was changed or replaced meanwhile: its mod-time was put
 * back. Null: there is none. Pure.
 */
export const disguisedSince = (before: readonly ManifestEntry[], now: readonly ManifestEntry[]): string | null =>
  firstPath(
    before,
    now,
    (entry, later) => entry.kind === "file" && later !== undefined && looksSame(entry, later) && !isSame(entry, later),
  );

function firstPath(
  before: readonly ManifestEntry[],
  now: readonly ManifestEntry[],
  isMeant: (entry: ManifestEntry, later: ManifestEntry | undefined) => boolean,
): string | null {
  if (before.length === 0) return null; // of a large tree even the map is work
  const later = new Map(now.map((entry) => [entry.path, entry]));
  return before.find((entry) => isMeant(entry, later.get(entry.path)))?.path ?? null;
}

const looksSame = (a: ManifestEntry, b: ManifestEntry): boolean =>
  a.kind === b.kind && a.size === b.size && a.mtimeNs === b.mtimeNs;

const isSame = (a: ManifestEntry, b: ManifestEntry | undefined): boolean =>
  b !== undefined && looksSame(a, b) && a.inode === b.inode && a.ctimeNs === b.ctimeNs;

/**
 * The entries in find's order, the state directory itself first. Sockets, pipes and devices are not state and are left out.
 * @throws SyntaxError when the records are not whole
 */
export function parseManifest(records: Uint8Array): ManifestEntry[] {
  const entries: ManifestEntry[] = [];
  let offset = 0;
  while (offset < records.length) {
    const nameEnd = records.indexOf(0, offset);
    const linkEnd = nameEnd < 0 ? -1 : records.indexOf(0, nameEnd + 1);
    if (linkEnd < 0) throw new SyntaxError("the manifest ends within a record");
    const entry = parseRecord(records.subarray(offset, nameEnd), records.subarray(nameEnd + 1, linkEnd));
    if (entry) entries.push(entry);
    offset = linkEnd + 1;
  }
  if (entries[0]?.path !== "") throw new SyntaxError("the manifest does not begin with the state directory");
  return entries;
}

/** The inverse of `parseManifest`, for containers that are simulated. */
export function formatManifest(entries: Iterable<ManifestEntry>): Uint8Array<ArrayBuffer> {
  let out = "";
  for (const entry of entries) {
    const kind = entry.kind === "file" ? "f" : entry.kind === "directory" ? "d" : "l";
    const times = `${seconds(entry.mtimeNs)} ${seconds(entry.ctimeNs)}`;
    const head = `${kind} ${entry.mode.toString(8)} ${entry.uid} ${entry.gid} ${entry.size} ${times} ${entry.inode}`;
    out += `${head} ${entry.path}\0${entry.target ?? ""}\0`;
  }
  return new Uint8Array(encodeName(out));
}

function parseRecord(record: Uint8Array, link: Uint8Array): ManifestEntry | null {
  let pathAt = 0;
  for (let field = 0; field < FIELDS_BEFORE_PATH; field++) pathAt = record.indexOf(SPACE, pathAt) + 1;
  const head = HEAD.exec(decodeName(record.subarray(0, pathAt)));
  if (!head) throw new SyntaxError("the manifest has a record that is not find's");
  const [, type = "", mode = "", uid, gid, size, mtime = "", mtimeNs = "", ctime = "", ctimeNs = "", inode = ""] = head;
  const kind = KINDS[type];
  if (!kind) return null;
  return {
    path: decodeName(record.subarray(pathAt)),
    kind,
    mode: Number.parseInt(mode, 8),
    uid: Number(uid),
    gid: Number(gid),
    size: kind === "file" ? Number(size) : 0,
    mtimeNs: nanoseconds(mtime, mtimeNs),
    ctimeNs: nanoseconds(ctime, ctimeNs),
    inode,
    ...(kind === "symlink" && { target: decodeName(link) }),
  };
}

/** find counts down from the second above for times before 1970: -0.5 s is `-1.5000000000`. */
const nanoseconds = (whole: string, fraction: string): string =>
  String(BigInt(whole) * 1_000_000_000n + BigInt(fraction));

function seconds(ns: string): string {
  const value = BigInt(ns);
  const fraction = BigInt.asUintN(64, ((value % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
  return `${(value - fraction) / 1_000_000_000n}.${String(fraction).padStart(9, "0")}0`;
}

/** What lists a tree goes to its Vault in one call, which takes 32 MiB (platform limit). */
const MESSAGE_BYTES = 30 * 1024 * 1024;
/** Of one entry, beside its names, which count twice, as they do in a message that is not all ASCII. */
const ENTRY_BYTES = 180;

/** The refusal of a tree that cannot be listed in one call; null for one that can. */
export function tooManyFiles(entries: readonly ManifestEntry[]): ReturnType<typeof failed> | null {
  let bytes = 0;
  for (const { path, target = "" } of entries) bytes += ENTRY_BYTES + 2 * (path.length + target.length);
  if (bytes <= MESSAGE_BYTES) return null;
  const detail = `There are ${entries.length} files and directories, more than one save can list (about 150,000): keep fewer, put some into archives, or \`exclude\` them.`;
  return failed("save_failed", detail);
}
