import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { configOf } from "../config.ts";
import { tenantOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import type { TenantId } from "../ids.ts";
import { ENTER } from "../proxy/pages.ts";
import { localPath } from "../sessions/next.ts";
import { ticketProtocol } from "../sessions/ticket.ts";
import { jsonBody } from "./body.ts";
import { type AppEnv, json, refusals, resource } from "./context.ts";
import { addressOf } from "./endpoints.ts";
import { guarded } from "./guarded.ts";
import { knownTenantFirst } from "./known-tenant.ts";
import { tenantParam } from "./params.ts";

/** What lets a browser in without a key: a code becomes a cookie on the tenant's host, a ticket opens one WebSocket. */

const HOUR_MS = 3_600_000;
const asked = z.strictObject({
  ttlMs: z
    .int()
    .min(1_000)
    .max(300_000)
    .default(60_000)
    .openapi({ description: "How long the secret waits to be used." }),
  sessionMs: z
    .int()
    .min(1_000)
    .max(30 * 24 * HOUR_MS)
    .default(24 * HOUR_MS)
    .openapi({ description: "How long what it opens lasts; never longer than a tenant's own key or token that asks." }),
});

const codeRequest = asked
  .extend({
    next: z
      .string()
      .max(2_048)
      .refine((next) => localPath(next, "http://tenant.invalid") !== null, "must be a path on the tenant's host")
      .default("/")
      .openapi({ description: "Where the browser goes with its cookie." }),
  })
  .openapi("AccessCodeRequest");
const ticketRequest = asked.openapi("TicketRequest");

const codeView = z
  .object({
    code: z.string(),
    url: z.url().openapi({ description: "Open it in the browser: it sets the cookie and leads to `next`." }),
    expiresAt: z.iso.datetime(),
    sessionExpiresAt: z.iso.datetime(),
  })
  .openapi("AccessCode");
const ticketView = z
  .object({
    ticket: z.string(),
    protocol: z
      .string()
      .openapi({ description: "The first of the WebSocket's protocols; the container does not see it." }),
    expiresAt: z.iso.datetime(),
    sessionExpiresAt: z.iso.datetime(),
  })
  .openapi("Ticket");

const createCode = guarded("tenants:access", {
  method: "post",
  path: "/api/v1/tenants/{id}/access-codes",
  operationId: "createAccessCode",
  summary: "A code that a browser exchanges for a cookie on the tenant's host, once",
  tags: ["tenants"],
  middleware: [knownTenantFirst, jsonBody("optional")],
  request: { params: tenantParam, body: { content: { "application/json": { schema: codeRequest } } } },
  responses: { 201: json(codeView, "Issued"), ...refusals },
});

const createTicket = guarded("tenants:access", {
  method: "post",
  path: "/api/v1/tenants/{id}/tickets",
  operationId: "createTicket",
  summary: "A ticket that opens one WebSocket to the tenant's container",
  tags: ["tenants"],
  middleware: [knownTenantFirst, jsonBody("optional")],
  request: { params: tenantParam, body: { content: { "application/json": { schema: ticketRequest } } } },
  responses: { 201: json(ticketView, "Issued"), ...refusals },
});

export const access = resource()
  .openapi(createCode, async (c) => {
    const { id } = c.req.valid("param");
    const { next, ...wanted } = c.req.valid("json");
    const { secret: code, ...times } = await issue(c, id, "code", wanted);
    const { endpoints } = await addressOf(id, configOf(c.env), new URL(c.req.url));
    const url = `${endpoints.http}${ENTER}?${new URLSearchParams({ code, next })}`;
    return c.json({ code, url, ...times }, 201);
  })
  .openapi(createTicket, async (c) => {
    const { secret: ticket, ...times } = await issue(c, c.req.valid("param").id, "ticket", c.req.valid("json"));
    return c.json({ ticket, protocol: ticketProtocol(ticket), ...times }, 201);
  });

async function issue(
  c: Context<AppEnv>,
  tenantId: TenantId,
  kind: "code" | "ticket",
  { ttlMs, sessionMs }: z.output<typeof asked>,
): Promise<{ secret: string; expiresAt: string; sessionExpiresAt: string }> {
  const { actor, role, expiresAt } = c.get("principal");
  const now = Date.now();
  // What a tenant's own credential opens does not outlast it. The platform's principals vouch for others.
  const latest = role === "tenant" && expiresAt !== null ? expiresAt : Number.POSITIVE_INFINITY;
  const sessionExpiresAt = Math.min(now + sessionMs, latest);
  const issued = await tenantOf(c.env, tenantId).admit(kind, { actor, sessionExpiresAt }, ttlMs, c.get("requestId"));
  if (!issued.ok) throw Problem.of(issued.failure);
  return {
    secret: issued.value.secret,
    expiresAt: new Date(now + ttlMs).toISOString(),
    sessionExpiresAt: new Date(sessionExpiresAt).toISOString(),
  };
}
