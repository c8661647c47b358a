import type { ManifestEntry } from "../../vault/types.ts";
import type { VirtualFiles, VirtualNode } from "./files.ts";
import { type TarInput, writeTar } from "./tar.ts";

/** The state directory as find(1) lists it. */
export function* manifestOf(files: VirtualFiles, stateDir: string): Generator<ManifestEntry> {
  for (const { path, node } of files.walk(stateDir)) {
    yield {
      path,
      kind: node.kind,
      mode: node.mode,
      uid: node.uid,
      gid: node.gid,
      size: node.kind === "file" ? node.body.length : 0,
      mtimeNs: String(node.mtimeNs),
      ctimeNs: String(node.ctimeNs),
      inode: String(node.inode),
      ...(node.kind === "symlink" && { target: node.target }),
    };
  }
}

/** The state directory as one tar; names begin with `./`. */
export function bundleOf(files: VirtualFiles, stateDir: string): Uint8Array<ArrayBuffer> {
  return writeTar([...files.walk(stateDir)].map(({ path, node }) => inputOf(path, node)));
}

function inputOf(path: string, node: VirtualNode): TarInput {
  const { mode, uid, gid } = node;
  const common = { mode, uid, gid, mtime: Number(node.mtimeNs / 1_000_000_000n) };
  if (node.kind === "directory") return { ...common, name: path === "" ? "./" : `./${path}/`, type: "5" };
  if (node.kind === "symlink") return { ...common, name: `./${path}`, type: "2", linkName: node.target };
  return { ...common, name: `./${path}`, type: "0", body: node.body };
}
