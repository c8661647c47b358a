import type { OptionName, RouteCommand } from "../command.ts";

/** What happened: operations, events, and the audit. */

const AUDIT_FILTERS: readonly OptionName[] = [
  "subject",
  "tenant",
  "action",
  "actor",
  "request",
  "result",
  "from",
  "to",
];
const AUDIT_QUERY = {
  subject: "subject",
  tenant: "tenantId",
  action: "action",
  actor: "actor",
  request: "requestId",
  result: "result",
  from: "from",
  to: "to",
} as const;

export const recordCommands: readonly RouteCommand[] = [
  {
    words: "operations get",
    about: "a long action: where it is, or how it ended",
    method: "GET",
    path: "/api/v1/operations/{id}",
    args: [{ name: "id", kind: "operation" }],
  },
  {
    words: "events",
    about: "what happened, in its order: the latest, or everything since an event",
    method: "GET",
    path: "/api/v1/events",
    options: ["tenant", "pool", "type", "since"],
    query: { tenant: "tenantId", pool: "poolId", type: "type", since: "since" },
    cursor: "since",
    columns: [
      { head: "ID", path: "id" },
      { head: "AT", path: "timestamp" },
      { head: "TYPE", path: "type" },
      { head: "WHAT", path: "payload" },
    ],
  },
  {
    words: "audit list",
    about: "who changed what, the newest first",
    method: "GET",
    path: "/api/v1/audit",
    options: AUDIT_FILTERS,
    query: AUDIT_QUERY,
    columns: [
      { head: "AT", path: "at" },
      { head: "ACTION", path: "action" },
      { head: "SUBJECT", path: "subject" },
      { head: "ACTOR", path: "actor" },
      { head: "RESULT", path: "result" },
      { head: "REQUEST", path: "requestId" },
    ],
  },
  {
    words: "audit export",
    about: "the same as one file, the oldest first",
    method: "GET",
    path: "/api/v1/audit/export",
    options: [...AUDIT_FILTERS, "format"],
    query: { ...AUDIT_QUERY, format: "format" },
    raw: true,
  },
];
