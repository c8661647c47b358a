import { createHash } from "node:crypto";
import { decodeName } from "../../vault/names.ts";
import { type Owner, ROOT, type VirtualDirectory, VirtualFiles } from "./files.ts";
import { readTar, type TarEntry } from "./tar.ts";

/** What a claim says of the bundle it wants restored. */
export interface RestoreOrder {
  path: string;
  files: number;
  bytes: number;
}

/** Unpacks a restore bundle beside the state directory and checks it (docs/container.md). @throws Error naming what does not fit */
export function unpackBundle(tar: Uint8Array<ArrayBuffer>, order: RestoreOrder, now: () => number): VirtualDirectory {
  const staging = new VirtualFiles(now);
  staging.makeDirectory("/tree", ROOT, 0o700);
  const later: (() => void)[] = [];
  for (const entry of readTar(tar)) unpack(staging, entry, later);
  // Directories last: every file that is put into one moves its mod-time.
  for (const finish of later.reverse()) finish();
  if (!staging.stat("/sums")) throw new Error("the bundle is truncated");
  verifySums(staging);
  verifyParts(staging);
  verifyTotals(staging, order);
  const tree = staging.stat("/tree");
  if (tree?.kind !== "directory") throw new Error("the bundle has no tree");
  return tree;
}

function unpack(staging: VirtualFiles, entry: TarEntry, later: (() => void)[]): void {
  const path = `/${entry.name.replace(/^\.?\/+/, "").replace(/\/+$/, "")}`;
  const owner: Owner = { uid: entry.uid, gid: entry.gid };
  if (entry.type === "directory") {
    staging.makeDirectory(path, owner, entry.mode);
    later.push(() => staging.change(path, { mode: entry.mode, ...owner, mtimeNs: entry.mtimeNs }));
    return;
  }
  staging.makeDirectory(path.replace(/\/[^/]*$/, "") || "/");
  if (entry.type === "symlink") staging.symlink(path, entry.linkName, owner);
  else {
    const body = entry.type === "hardlink" ? staging.read(`/${entry.linkName}`) : entry.body;
    staging.put(path, { kind: "file", body, ...staging.attributes(owner, entry.mode) });
  }
  staging.change(path, { mtimeNs: entry.mtimeNs });
}

/** Lines of sha256sum(1); a name with a backslash or newline is escaped and its line begins with a backslash. */
function verifySums(staging: VirtualFiles): void {
  for (const line of lines(staging, "/sums")) {
    const [, escaped, hash, name = ""] = /^(\\?)([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
    if (!hash) throw new Error("sums: a line that is not sha256sum's");
    const path = escaped ? unescapeName(name) : name;
    if (sha256(contentOf(staging, path)) !== hash) throw new Error(`the files do not match their sums: ${path}`);
  }
}

/** Lines `PARTSIZE HASH PATH`, escaped in the same way: the hash of the parts' hashes. */
function verifyParts(staging: VirtualFiles): void {
  if (!staging.stat("/parts")) return;
  for (const line of lines(staging, "/parts")) {
    const [, escaped, size = "", hash, name = ""] = /^(\\?)(\d+) ([0-9a-f]{64}) (.+)$/.exec(line) ?? [];
    const path = escaped ? unescapeName(name) : name;
    const step = Number(size);
    if (!hash || step <= 0) throw new Error("parts: a line of another form");
    const body = contentOf(staging, path);
    let sums = "";
    for (let offset = 0; offset < body.length; offset += step)
      sums += `${sha256(body.subarray(offset, offset + step))}\n`;
    if (sha256(new TextEncoder().encode(sums)) !== hash) throw new Error(`${path}: does not match its parts`);
  }
}

function verifyTotals(staging: VirtualFiles, order: RestoreOrder): void {
  let files = 0;
  let bytes = 0;
  for (const { node } of staging.walk("/tree")) {
    if (node.kind !== "directory") files += 1;
    if (node.kind === "file") bytes += node.body.length;
  }
  if (files === order.files && bytes === order.bytes) return;
  throw new Error(`${files} files of ${bytes} bytes instead of ${order.files} of ${order.bytes}`);
}

const lines = (staging: VirtualFiles, path: string): string[] =>
  decodeName(staging.read(path))
    .split("\n")
    .filter((line) => line !== "");
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r" };
const unescapeName = (name: string): string => name.replace(/\\(.)/g, (_all, letter) => ESCAPES[letter] ?? letter);
const contentOf = (staging: VirtualFiles, path: string): Uint8Array => staging.read(`/tree/${path}`);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
