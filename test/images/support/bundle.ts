import { createHash } from "node:crypto";
import { escapeName } from "../../../src/gateway/storage/bundle-out.ts";
import { padded, type TarEntry } from "../../../src/gateway/storage/tar/header.ts";
import { END, headerOf } from "../../../src/gateway/storage/tar/write.ts";
import { concat } from "../../../src/runtime/tar-header.ts";

export interface TreeEntry {
  readonly path: string;
  readonly kind: "file" | "directory" | "symlink";
  readonly content?: string | Buffer;
  readonly target?: string;
  readonly mode?: number;
  readonly uid?: number;
  /** Sent as if it had come in parts of this many bytes. */
  readonly partSize?: number;
}

export const MTIME_NS = "1700000000123456789";

/** A restore bundle as docs/container.md describes it, with what the claim says about it. */
export function bundleOf(tree: readonly TreeEntry[]): { tar: Uint8Array<ArrayBuffer>; files: number; bytes: number } {
  const chunks: Uint8Array[] = [];
  let sums = "";
  let parts = "";
  let files = 0;
  let bytes = 0;
  const add = (entry: Partial<TarEntry> & Pick<TarEntry, "path" | "kind">, content: Buffer = Buffer.alloc(0)) => {
    const full = { mode: 0o644, uid: 10001, gid: 10001, mtimeNs: MTIME_NS, target: "", size: content.length, ...entry };
    chunks.push(headerOf(full), content, new Uint8Array(padded(content.length) - content.length));
  };
  for (const { path, kind, content = "", target = "", mode = 0o644, uid = 10001, partSize } of tree) {
    const body = Buffer.from(content);
    add({ path: path === "" ? "tree" : `tree/${path}`, kind, mode, uid, target }, body);
    if (kind !== "directory") files += 1;
    if (kind !== "file") continue;
    bytes += body.length;
    const { line, name } = escapeName(path);
    if (partSize === undefined) sums += `${line}${sha256(body)}  ${name}\n`;
    else parts += `${line}${partSize} ${sha256(hashesOfParts(body, partSize))} ${name}\n`;
  }
  add({ path: "sums", kind: "file", mode: 0o400, uid: 0, gid: 0 }, Buffer.from(sums));
  add({ path: "parts", kind: "file", mode: 0o400, uid: 0, gid: 0 }, Buffer.from(parts));
  chunks.push(END);
  return { tar: concat(chunks), files, bytes };
}

function hashesOfParts(body: Buffer, size: number): string {
  let lines = "";
  for (let at = 0; at < body.length; at += size) lines += `${sha256(body.subarray(at, at + size))}\n`;
  return lines;
}

function sha256(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
