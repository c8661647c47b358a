import type { Argument, Column, RouteCommand } from "../command.ts";

/** Containers, sync specs, and tenants' own domains. */

const CONTAINER: Argument = { name: "id", kind: "container" };
const SPEC: Argument = { name: "id", kind: "sync-spec" };
const tenantOrNone: RouteCommand["body"] = (input) =>
  input.value("tenant") === undefined ? {} : { tenantId: input.value("tenant") };
const HOST: Argument = { name: "host", kind: "domain" };

export const CONTAINER_COLUMNS: readonly Column[] = [
  { head: "ID", path: "id" },
  { head: "STATE", path: "state" },
  { head: "POOL", path: "poolId" },
  { head: "TENANT", path: "tenantId" },
  { head: "EPOCH", path: "epoch" },
  { head: "TIER", path: "tier" },
  { head: "STARTED", path: "startedAt" },
];

const containers: readonly RouteCommand[] = [
  {
    words: "containers list",
    about: "every container",
    method: "GET",
    path: "/api/v1/containers",
    options: ["pool", "state", "tenant"],
    query: { pool: "poolId", state: "state", tenant: "tenantId" },
    columns: CONTAINER_COLUMNS,
  },
  {
    words: "containers get",
    about: "one container",
    method: "GET",
    path: "/api/v1/containers/{id}",
    args: [CONTAINER],
  },
  {
    words: "containers remove",
    about: "a container, saved first; with --force as it is",
    method: "DELETE",
    path: "/api/v1/containers/{id}",
    args: [CONTAINER],
    options: ["force"],
    flags: { force: "force" },
    confirm: "whoever it serves loses it",
  },
];

const specs: readonly RouteCommand[] = [
  {
    words: "sync-specs list",
    about: "what is kept where",
    method: "GET",
    path: "/api/v1/sync-specs",
    options: ["pool"],
    query: { pool: "poolId" },
    columns: [
      { head: "ID", path: "id" },
      { head: "POOL", path: "poolId" },
      { head: "SINK", path: "sink.type" },
      { head: "VERSION", path: "version" },
      { head: "UPDATED", path: "updatedAt" },
    ],
  },
  { words: "sync-specs get", about: "one sync spec", method: "GET", path: "/api/v1/sync-specs/{id}", args: [SPEC] },
  {
    words: "sync-specs create",
    about: "say what is kept where",
    method: "POST",
    path: "/api/v1/sync-specs",
    options: ["file"],
    required: ["file"],
    body: (input) => input.json("file"),
  },
  {
    words: "sync-specs update",
    about: "a new version of a sync spec",
    method: "PUT",
    path: "/api/v1/sync-specs/{id}",
    args: [SPEC],
    options: ["file", "if-match"],
    required: ["file"],
    body: (input) => input.json("file"),
  },
  {
    words: "sync-specs delete",
    about: "a sync spec; what it kept stays",
    method: "DELETE",
    path: "/api/v1/sync-specs/{id}",
    args: [SPEC],
    options: ["if-match"],
  },
  {
    words: "sync-specs status",
    about: "its last run, errors and progress",
    method: "GET",
    path: "/api/v1/sync-specs/{id}/status",
    args: [SPEC],
  },
  {
    words: "sync-specs trigger",
    about: "run it now, for one tenant or a page of them",
    method: "POST",
    path: "/api/v1/sync-specs/{id}/trigger",
    args: [SPEC],
    options: ["tenant"],
    body: tenantOrNone,
  },
  {
    words: "sync-specs cancel",
    about: "end its syncs that are under way",
    method: "POST",
    path: "/api/v1/sync-specs/{id}/cancel",
    args: [SPEC],
    options: ["tenant"],
    body: tenantOrNone,
  },
  {
    words: "sync-specs history",
    about: "its latest syncs",
    method: "GET",
    path: "/api/v1/sync-specs/{id}/history",
    args: [SPEC],
    options: ["tenant"],
    query: { tenant: "tenantId" },
    columns: [
      { head: "ENDED", path: "endedAt" },
      { head: "TENANT", path: "tenantId" },
      { head: "WHY", path: "why" },
      { head: "RESULT", path: "result" },
      { head: "FILES", path: "files" },
      { head: "BYTES", path: "bytes" },
      { head: "DELETED", path: "deleted" },
    ],
  },
  {
    words: "sync-specs probe",
    about: "write, read and delete an object in its sink",
    method: "POST",
    path: "/api/v1/sync-specs/{id}/probe",
    args: [SPEC],
  },
];

const domains: readonly RouteCommand[] = [
  {
    words: "domains list",
    about: "hosts of tenants' own",
    method: "GET",
    path: "/api/v1/domains",
    options: ["tenant"],
    query: { tenant: "tenantId" },
    columns: [
      { head: "HOST", path: "host" },
      { head: "TENANT", path: "tenantId" },
      { head: "CREATED", path: "createdAt" },
    ],
  },
  {
    words: "domains create",
    about: "a host that leads to a tenant",
    method: "POST",
    path: "/api/v1/domains",
    options: ["host", "tenant"],
    required: ["host", "tenant"],
    body: (input) => ({ host: input.value("host"), tenantId: input.value("tenant") }),
  },
  {
    words: "domains delete",
    about: "it leads nowhere",
    method: "DELETE",
    path: "/api/v1/domains/{host}",
    args: [HOST],
  },
];

export const storageCommands: readonly RouteCommand[] = [...containers, ...specs, ...domains];
