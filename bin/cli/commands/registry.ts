import type { Argument, RouteCommand } from "../command.ts";
import { wholeNumberOf } from "../parse.ts";
import { CONTAINER_COLUMNS } from "./storage.ts";

/** What operators register: workloads, pools, and the keys that open the API. */

const WORKLOAD: Argument = { name: "id", kind: "workload" };
const POOL: Argument = { name: "id", kind: "pool" };
const KEY: Argument = { name: "id", kind: "key" };

const workloads: readonly RouteCommand[] = [
  {
    words: "workloads list",
    about: "every workload",
    method: "GET",
    path: "/api/v1/workloads",
    columns: [
      { head: "ID", path: "id" },
      { head: "IMAGE", path: "image" },
      { head: "PORT", path: "port" },
      { head: "START", path: "start" },
      { head: "STATE", path: "volumes.state.containerPath" },
      { head: "VERSION", path: "version" },
      { head: "UPDATED", path: "updatedAt" },
    ],
  },
  { words: "workloads get", about: "one workload", method: "GET", path: "/api/v1/workloads/{id}", args: [WORKLOAD] },
  {
    words: "workloads create",
    about: "register a workload",
    method: "POST",
    path: "/api/v1/workloads",
    options: ["file"],
    required: ["file"],
    body: (input) => input.json("file"),
  },
  {
    words: "workloads validate",
    about: "whether a workload could be registered, without doing so",
    method: "POST",
    path: "/api/v1/workloads",
    options: ["file"],
    required: ["file"],
    fixed: { dryRun: "true" },
    body: (input) => input.json("file"),
  },
  {
    words: "workloads versions",
    about: "every version of a workload, the newest first",
    method: "GET",
    path: "/api/v1/workloads/{id}/versions",
    args: [WORKLOAD],
    columns: [
      { head: "VERSION", path: "version" },
      { head: "AT", path: "at" },
      { head: "BY", path: "actor" },
      { head: "IMAGE", path: "spec.image" },
    ],
  },
  {
    words: "workloads update",
    about: "a new version of a workload, for what starts from now on",
    method: "PUT",
    path: "/api/v1/workloads/{id}",
    args: [WORKLOAD],
    options: ["file", "if-match"],
    required: ["file"],
    body: (input) => input.json("file"),
  },
  {
    words: "workloads rollback",
    about: "an earlier version of a workload, as its next one",
    method: "POST",
    path: "/api/v1/workloads/{id}/rollback",
    args: [WORKLOAD, { name: "version", kind: "word" }],
    options: ["if-match"],
    body: ({ args }) => ({ version: wholeNumberOf(args.version ?? "", "VERSION") }),
  },
  {
    words: "workloads delete",
    about: "a workload that no pool uses",
    method: "DELETE",
    path: "/api/v1/workloads/{id}",
    args: [WORKLOAD],
    options: ["if-match"],
  },
];

const pools: readonly RouteCommand[] = [
  {
    words: "pools list",
    about: "every pool with its counts",
    method: "GET",
    path: "/api/v1/pools",
    columns: [
      { head: "ID", path: "id" },
      { head: "WORKLOAD", path: "workloadId" },
      { head: "STATUS", path: "status" },
      { head: "WARM", path: "warm" },
      { head: "CLAIMED", path: "claimed" },
      { head: "STARTING", path: "starting" },
      { head: "MIN", path: "minSize" },
      { head: "MAX", path: "maxSize" },
      { head: "PAUSED", path: "paused" },
    ],
  },
  { words: "pools get", about: "one pool", method: "GET", path: "/api/v1/pools/{id}", args: [POOL] },
  {
    words: "pools create",
    about: "create a pool and start its warm slots",
    method: "POST",
    path: "/api/v1/pools",
    options: ["file"],
    required: ["file"],
    body: (input) => input.json("file"),
  },
  {
    words: "pools update",
    about: "sizes, idle time, tier and upgrade policy of a pool",
    method: "PUT",
    path: "/api/v1/pools/{id}",
    args: [POOL],
    options: ["file", "if-match"],
    required: ["file"],
    body: (input) => input.json("file"),
  },
  {
    words: "pools delete",
    about: "drain a pool and delete it",
    method: "DELETE",
    path: "/api/v1/pools/{id}",
    args: [POOL],
    options: ["force"],
    flags: { force: "force" },
    waits: true,
  },
  {
    words: "pools scale",
    about: "how many warm slots a pool keeps",
    method: "POST",
    path: "/api/v1/pools/{id}/scale",
    args: [POOL, { name: "target", kind: "word" }],
    body: ({ args }) => ({ target: wholeNumberOf(args.target ?? "", "TARGET") }),
  },
  {
    words: "pools pause",
    about: "stop refilling and shrinking; claims go on",
    method: "POST",
    path: "/api/v1/pools/{id}/pause",
    args: [POOL],
  },
  {
    words: "pools resume",
    about: "refill and shrink again",
    method: "POST",
    path: "/api/v1/pools/{id}/resume",
    args: [POOL],
  },
  {
    words: "pools breaker-reset",
    about: "start containers again after failed starts",
    method: "POST",
    path: "/api/v1/pools/{id}/breaker/reset",
    args: [POOL],
  },
  {
    words: "pools rollout",
    about: "how a pool's tenants come to the present version of its workload",
    method: "GET",
    path: "/api/v1/pools/{id}/rollout",
    args: [POOL],
  },
  {
    words: "pools rollout-halt",
    about: "move no more tenants to the present version",
    method: "POST",
    path: "/api/v1/pools/{id}/rollout",
    args: [POOL],
    body: () => ({ action: "halt" }),
  },
  {
    words: "pools rollout-resume",
    about: "go on, also with those that failed",
    method: "POST",
    path: "/api/v1/pools/{id}/rollout",
    args: [POOL],
    body: () => ({ action: "resume" }),
  },
  {
    words: "pools containers",
    about: "the containers of a pool",
    method: "GET",
    path: "/api/v1/pools/{id}/containers",
    args: [POOL],
    options: ["state"],
    query: { state: "state" },
    columns: CONTAINER_COLUMNS,
  },
];

const keys: readonly RouteCommand[] = [
  {
    words: "keys list",
    about: "every key, without the keys themselves",
    method: "GET",
    path: "/api/v1/keys",
    columns: [
      { head: "ID", path: "id" },
      { head: "NAME", path: "name" },
      { head: "ROLE", path: "role" },
      { head: "TENANT", path: "tenantId" },
      { head: "EXPIRES", path: "expiresAt" },
      { head: "LAST USED", path: "lastUsedAt" },
      { head: "REVOKED", path: "revokedAt" },
    ],
  },
  {
    words: "keys create",
    about: "a new key; it is shown once",
    method: "POST",
    path: "/api/v1/keys",
    options: ["name", "role", "tenant", "expires"],
    required: ["name", "role"],
    body: (input) => {
      const [tenantId, expiresAt] = [input.value("tenant"), input.value("expires")];
      return {
        name: input.value("name"),
        role: input.value("role"),
        ...(tenantId === undefined ? {} : { tenantId }),
        ...(expiresAt === undefined ? {} : { expiresAt }),
      };
    },
  },
  {
    words: "keys rotate",
    about: "another key in place of this one; it is shown once",
    method: "POST",
    path: "/api/v1/keys/{id}/rotate",
    args: [KEY],
  },
  {
    words: "keys revoke",
    about: "a key that opens nothing from now on",
    method: "DELETE",
    path: "/api/v1/keys/{id}",
    args: [KEY],
  },
];

export const registryCommands: readonly RouteCommand[] = [...workloads, ...pools, ...keys];
