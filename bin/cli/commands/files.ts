import type { Argument, RouteCommand } from "../command.ts";

/** What lies in a tenant's volumes, in its container or as it was saved. */

const FILE = {
  path: "/api/v1/tenants/{id}/files/{path}",
  args: [
    { name: "id", kind: "tenant" },
    { name: "path", kind: "word" },
  ] satisfies Argument[],
};
const WHERE = { source: "source", generation: "generation" } as const;

export const fileCommands: readonly RouteCommand[] = [
  {
    words: "files ls",
    about: "what lies in a directory; . is the state volume",
    method: "GET",
    path: "/api/v1/tenants/{id}/files",
    args: FILE.args,
    options: ["source", "generation", "wake", "recursive"],
    query: WHERE,
    argumentQuery: { path: "path" },
    flags: { wake: "wake", recursive: "recursive" },
    columns: [
      { head: "KIND", path: "kind" },
      { head: "MODE", path: "mode" },
      { head: "SIZE", path: "size" },
      { head: "MODIFIED", path: "lastModified" },
      { head: "PATH", path: "path" },
    ],
  },
  {
    words: "files get",
    about: "a file, byte for byte",
    method: "GET",
    ...FILE,
    options: ["source", "generation", "wake"],
    query: WHERE,
    flags: { wake: "wake" },
    fixed: { raw: "true" },
    raw: true,
  },
  {
    words: "files put",
    about: "write a file, from another or from standard input",
    method: "PUT",
    ...FILE,
    options: ["file", "wake", "if-match"],
    flags: { wake: "wake" },
    sends: "file",
  },
  {
    words: "files rm",
    about: "remove a file",
    method: "DELETE",
    ...FILE,
    options: ["wake", "if-match"],
    flags: { wake: "wake" },
  },
];
