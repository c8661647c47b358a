import type { OptionName, RouteCommand } from "../command.ts";

/** What happened: operations, events, and the audit. */

const AUDIT_FILTERS: readonly OptionName[] = ["subject", "action", "actor", "request", "since", "until"];
const AUDIT_QUERY = {
  subject: "subject",
  action: "action",
  actor: "actor",
  request: "requestId",
  since: "since",
  until: "until",
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
    about: "what happened, the newest first",
    method: "GET",
    path: "/api/v1/events",
    options: ["tenant", "type"],
    query: { tenant: "tenantId", type: "type" },
    columns: [
      { head: "AT", path: "at" },
      { head: "TYPE", path: "type" },
      { head: "SUBJECT", path: "subject" },
      { head: "RESULT", path: "result" },
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
    about: "the same as one file",
    method: "GET",
    path: "/api/v1/audit/export",
    options: AUDIT_FILTERS,
    query: AUDIT_QUERY,
    raw: true,
  },
];
