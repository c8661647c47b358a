import { createHash } from "node:crypto";
import type { VirtualFiles } from "../../src/runtime/simulated/files.ts";

/** One line per path with all that a restore brings back; equal texts mean equal directories. */
export interface Line {
  path: string;
  kind: string;
  mode: number;
  uid: number;
  gid: number;
  mtimeNs: string;
  target: string;
  sha256: string;
}

export const textOf = (lines: readonly Line[]): string =>
  lines
    .map(({ path, kind, mode, uid, gid, mtimeNs, target, sha256 }) =>
      JSON.stringify([path, kind, mode, uid, gid, mtimeNs, target, sha256]),
    )
    .sort()
    .join("\n");

export const sha256Of = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** A directory as it is, root included. */
export function directoryText(files: VirtualFiles, root: string): string {
  const lines: Line[] = [];
  for (const { path, node } of files.walk(root)) {
    const { kind, mode, uid, gid, mtimeNs } = node;
    const target = node.kind === "symlink" ? node.target : "";
    const sha256 = node.kind === "file" ? sha256Of(node.body) : "";
    lines.push({ path, kind, mode, uid, gid, mtimeNs: String(mtimeNs), target, sha256 });
  }
  return textOf(lines);
}
