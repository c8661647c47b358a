import type { Argument, Input, RouteCommand } from "../command.ts";
import { UsageError } from "../exit.ts";
import { durationOf, wholeNumberOf } from "../parse.ts";
import { stateCommands } from "./state.ts";

/** What is done with tenants: their containers, their settings, what they hold. */

const TENANT: Argument = { name: "id", kind: "tenant" };
const TIERS = ["lite", "basic", "standard-1", "standard-2", "standard-3", "standard-4"];
const DIRECTIONS = ["outward", "inward", "both"];

const at = (rest: string): { path: string; args: readonly Argument[] } => ({
  path: `/api/v1/tenants/{id}${rest}`,
  args: [TENANT],
});

const force = (input: Input) => (input.is("force") ? { force: true } : {});

const claims: readonly RouteCommand[] = [
  {
    words: "claim",
    about: "give a tenant its container",
    method: "POST",
    ...at("/claim"),
    options: ["pool", "config", "secrets", "allow-fresh"],
    waits: true,
    body: async (input) => ({
      ...(input.value("pool") === undefined ? {} : { poolId: input.value("pool") }),
      ...(input.value("config") === undefined ? {} : { config: await input.json("config") }),
      ...(input.value("secrets") === undefined ? {} : { secrets: await input.json("secrets") }),
      ...(input.is("allow-fresh") ? { allowFresh: true } : {}),
    }),
  },
  {
    words: "release",
    about: "save a tenant's state and take its container away",
    method: "POST",
    ...at("/release"),
    options: ["no-sync", "force"],
    waits: true,
    body: (input) => ({ ...(input.is("no-sync") ? { sync: false } : {}), ...force(input) }),
  },
  { words: "status", about: "how a tenant is; wakes nothing", method: "GET", ...at("/status") },
];

const running: readonly RouteCommand[] = [
  {
    words: "tenants list",
    about: "tenants, searched, filtered and sorted",
    method: "GET",
    path: "/api/v1/tenants",
    options: ["query", "state", "pool", "sort"],
    query: { query: "q", state: "state", pool: "poolId", sort: "sort" },
    columns: [
      { head: "TENANT", path: "tenantId" },
      { head: "STATE", path: "state" },
      { head: "DESIRED", path: "desired" },
      { head: "POOL", path: "poolId" },
      { head: "CONTAINER", path: "containerId" },
      { head: "GENERATION", path: "generation" },
      { head: "LAST ACTIVITY", path: "lastActivityAt" },
    ],
  },
  { words: "tenants get", about: "a tenant with its settings", method: "GET", ...at("") },
  { words: "tenants start", about: "wake it", method: "POST", ...at("/start"), waits: true, body: () => ({}) },
  {
    words: "tenants stop",
    about: "save it and put it to sleep",
    method: "POST",
    ...at("/stop"),
    options: ["force"],
    waits: true,
    body: force,
  },
  {
    words: "tenants restart",
    about: "its process, its container, or its container on the workload's present version",
    method: "POST",
    ...at("/restart"),
    options: ["scope", "force"],
    waits: true,
    body: (input) => ({ scope: input.value("scope") ?? "container", ...force(input) }),
  },
  {
    words: "tenants sync",
    about: "save it while it runs, or take what was saved",
    method: "POST",
    path: "/api/v1/tenants/{id}/sync",
    args: [TENANT, { name: "direction", kind: "word", values: DIRECTIONS }],
    waits: true,
    body: ({ args }) => ({ direction: args.direction }),
  },
  {
    words: "tenants suspend",
    about: "save it, stop it, and refuse to start it",
    method: "POST",
    ...at("/suspend"),
    options: ["reason"],
    waits: true,
    body: (input) => (input.value("reason") === undefined ? {} : { reason: input.value("reason") }),
  },
  {
    words: "tenants resume",
    about: "let it start again",
    method: "POST",
    ...at("/resume"),
    waits: true,
    body: () => ({}),
  },
  {
    words: "tenants destroy",
    about: "its container and everything of it; its saved state stays for 30 days",
    method: "POST",
    ...at("/destroy"),
    options: ["delete-data"],
    waits: true,
    confirm: "everything of this tenant ends",
    body: (input) => ({ deleteData: input.is("delete-data") }),
  },
];

const settings: readonly RouteCommand[] = [
  {
    words: "tenants tier",
    about: "its instance size, or `default` for its workload's; from its next start on",
    method: "PUT",
    path: "/api/v1/tenants/{id}/tier",
    args: [TENANT, { name: "tier", kind: "word", values: [...TIERS, "default"] }],
    body: ({ args }) => ({ tier: args.tier === "default" ? null : args.tier }),
  },
  {
    words: "tenants lifecycle",
    about: "when it runs",
    method: "PUT",
    ...at("/lifecycle"),
    options: ["mode", "idle", "wake-at"],
    required: ["mode"],
    body: (input) => {
      const [idle, wakeAt] = [input.value("idle"), input.value("wake-at")];
      return {
        mode: input.value("mode"),
        ...(idle === undefined ? {} : { idleTimeoutMs: durationOf(idle) }),
        ...(wakeAt === undefined ? {} : { wakeTimes: wakeAt.split(",") }),
      };
    },
  },
  { words: "tenants config get", about: "its config", method: "GET", ...at("/config") },
  {
    words: "tenants config set",
    about: "its config, as a new version",
    method: "PUT",
    ...at("/config"),
    options: ["file", "if-match"],
    required: ["file"],
    body: (input) => input.json("file"),
  },
  {
    words: "tenants config versions",
    about: "its configs, the newest first",
    method: "GET",
    ...at("/config/versions"),
    cursor: null,
    columns: [
      { head: "VERSION", path: "version" },
      { head: "AT", path: "at" },
      { head: "BY", path: "actor" },
      { head: "CONFIG", path: "config" },
    ],
  },
  {
    words: "tenants config rollback",
    about: "an earlier config, as a new version",
    method: "POST",
    path: "/api/v1/tenants/{id}/config/rollback",
    args: [TENANT, { name: "version", kind: "word" }],
    options: ["if-match"],
    body: ({ args }) => ({ version: wholeNumberOf(args.version ?? "", "VERSION") }),
  },
  {
    words: "tenants secrets list",
    about: "the names of its secrets, with masked tails",
    method: "GET",
    ...at("/secrets"),
    cursor: null,
    columns: [
      { head: "NAME", path: "name" },
      { head: "VALUE", path: "masked" },
      { head: "UPDATED", path: "updatedAt" },
    ],
  },
  {
    words: "tenants secrets set",
    about: "the whole set, from a JSON file of names and values",
    method: "PUT",
    ...at("/secrets"),
    options: ["file", "if-match"],
    required: ["file"],
    body: (input) => input.json("file"),
  },
  {
    words: "tenants secrets put",
    about: "one secret, from standard input or a file",
    method: "PUT",
    path: "/api/v1/tenants/{id}/secrets/{name}",
    args: [TENANT, { name: "name", kind: "word" }],
    options: ["value-file", "if-match"],
    body: async (input) => {
      const value = await input.secretText("value-file");
      if (value === "") throw new UsageError("The value is empty; `tenants secrets delete` removes a secret.");
      return { value };
    },
  },
  {
    words: "tenants secrets delete",
    about: "one secret",
    method: "DELETE",
    path: "/api/v1/tenants/{id}/secrets/{name}",
    args: [TENANT, { name: "name", kind: "word" }],
    options: ["if-match"],
  },
];

const held: readonly RouteCommand[] = [
  {
    words: "tenants revoke-tokens",
    about: "no token of it opens anything any more",
    method: "POST",
    ...at("/revoke-tokens"),
  },
];

export const tenantCommands: readonly RouteCommand[] = [...claims, ...running, ...settings, ...held, ...stateCommands];
