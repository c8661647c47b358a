import { FileError, type Owner, parent, ROOT, type VirtualFiles } from "./files.ts";

/** Directories of the workload's in a simulated container: no symlink is followed into or through them. */

/** Creates what is missing, the workload's. @throws FileError for a path that a symlink or a file is in */
export function ownDirectory(files: VirtualFiles, path: string, user: Owner): { created: boolean } {
  let at = "";
  let created = false;
  for (const name of path.split("/").slice(1)) {
    at += `/${name}`;
    const node = files.lstat(at);
    if (node === null) {
      const last = at === path;
      files.makeDirectory(at, last ? user : ROOT, 0o755);
      created = true;
    } else if (node.kind !== "directory") throw new FileError("ENOTDIR", at);
  }
  return { created };
}

/** Moves what was fetched into a directory and deletes names from it, as the workload's user. */
export function place(files: VirtualFiles, from: string, path: string, deletes: readonly string[], user: Owner): void {
  for (const { path: name, node } of files.walk(from)) {
    if (node.kind !== "file") continue;
    const target = `${path}/${name}`;
    ownDirectory(files, parent(target), user);
    files.remove(target);
    files.put(target, { ...node, uid: user.uid, gid: user.gid });
  }
  files.remove(from);
  for (const name of deletes) files.remove(`${path}/${name}`);
}
