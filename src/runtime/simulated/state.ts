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

/**
 * The state directory, or the named parts of it, as one tar; names begin with `./`. `missing`: one that is not there.
 * `exact`: with mod-times to the nanosecond (pax).
 */
export function bundleOf(
  files: VirtualFiles,
  stateDir: string,
  names: readonly string[] | null,
  exact: boolean,
): { tar: Uint8Array<ArrayBuffer>; missing: string | null } {
  const all = new Map([...files.walk(stateDir)].map(({ path, node }) => [`./${path}`, inputOf(path, node, exact)]));
  const inputs = (names ?? [...all.keys()]).map((name) => all.get(name));
  const missing = names?.find((name) => !all.has(name)) ?? null;
  return { tar: writeTar(inputs.filter((input) => input !== undefined)), missing };
}

function inputOf(path: string, node: VirtualNode, exact: boolean): TarInput {
  const { mode, uid, gid } = node;
  const common = {
    mode,
    uid,
    gid,
    mtime: Number(node.mtimeNs / 1_000_000_000n),
    ...(exact && { mtimeNs: node.mtimeNs }),
  };
  if (node.kind === "directory") return { ...common, name: path === "" ? "./" : `./${path}/`, type: "5" };
  if (node.kind === "symlink") return { ...common, name: `./${path}`, type: "2", linkName: node.target };
  return { ...common, name: `./${path}`, type: "0", body: node.body };
}
