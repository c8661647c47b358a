import type { Argument, RouteCommand } from "../command.ts";
import { wholeNumberOf } from "../parse.ts";

/** What is done with what a tenant saved, whether it runs or not. */

const TENANT: Argument = { name: "id", kind: "tenant" };
const NUMBER: Argument = { name: "n", kind: "word" };
const at = (rest: string): { path: string; args: readonly Argument[] } => ({
  path: `/api/v1/tenants/{id}${rest}`,
  args: [TENANT],
});

const exported = {
  about: "one of its saves as a tar",
  method: "GET",
  ...at("/export"),
  options: ["generation"],
  query: { generation: "generation" },
  raw: true,
} as const;

export const stateCommands: readonly RouteCommand[] = [
  {
    words: "tenants generations",
    about: "its saves",
    method: "GET",
    ...at("/generations"),
    cursor: null,
    columns: [
      { head: "GENERATION", path: "generation" },
      { head: "STATUS", path: "status" },
      { head: "AT", path: "at" },
      { head: "FILES", path: "files" },
      { head: "BYTES", path: "bytes" },
      { head: "CHANGED", path: "changed" },
      { head: "PINNED", path: "pinned" },
    ],
  },
  { words: "tenants export", ...exported },
  { words: "export", ...exported },
  {
    words: "import",
    about: "a tar as its next save, while it has no container",
    method: "POST",
    ...at("/import"),
    options: ["file", "dry-run", "force", "as", "owner"],
    required: ["file"],
    query: { as: "format", owner: "owner" },
    flags: { "dry-run": "dryRun", force: "force" },
    sends: "tar",
  },
  {
    words: "restore",
    about: "make one of its saves the latest again; what runs is saved first",
    method: "POST",
    path: "/api/v1/tenants/{id}/restore",
    args: [TENANT, { name: "generation", kind: "word" }],
    options: ["force"],
    waits: true,
    body: ({ args, is }) => ({
      generation: wholeNumberOf(args.generation ?? "", "GENERATION"),
      ...(is("force") ? { force: true } : {}),
    }),
  },
  {
    words: "clone",
    about: "copy one of its saves to another tenant, as that one's next",
    method: "POST",
    path: "/api/v1/tenants/{id}/clone",
    args: [TENANT, { name: "to", kind: "tenant" }],
    options: ["generation", "force"],
    body: ({ args, value, is }) => {
      const generation = value("generation");
      return {
        to: args.to,
        ...(generation === undefined ? {} : { generation: wholeNumberOf(generation, "--generation") }),
        ...(is("force") ? { force: true } : {}),
      };
    },
  },
  {
    words: "pin",
    about: "keep one of its saves",
    method: "POST",
    path: "/api/v1/tenants/{id}/generations/{n}/pin",
    args: [TENANT, NUMBER],
  },
  {
    words: "unpin",
    about: "keep it no longer than others",
    method: "DELETE",
    path: "/api/v1/tenants/{id}/generations/{n}/pin",
    args: [TENANT, NUMBER],
  },
  {
    words: "diff",
    about: "what is different between two of its saves",
    method: "GET",
    path: "/api/v1/tenants/{id}/generations/{n}/diff",
    args: [TENANT, NUMBER],
    options: ["with"],
    query: { with: "to" },
    columns: [
      { head: "CHANGE", path: "change" },
      { head: "KIND", path: "kind" },
      { head: "BEFORE", path: "before" },
      { head: "AFTER", path: "after" },
      { head: "PATH", path: "path" },
    ],
  },
];
