import { z } from "@hono/zod-openapi";
import { configOf } from "../config.ts";
import { tenantOf } from "../durable/stubs.ts";
import { invalid, Problem } from "../errors/problem.ts";
import { TENANT_ID, type TenantId } from "../ids.ts";
import { domainCache } from "../proxy/domain-cache.ts";
import { isDomain, isPlatform, isUnder } from "../proxy/target.ts";
import { type Domain, deleteDomain, findDomain, insertDomain, listDomains } from "../registry/domains.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { cursorOf, encodeCursor, pageQuery } from "./paging.ts";
import { nothing } from "./registered.ts";

const HOST = /^[a-z0-9.-]{4,253}$/;
const hostName = z
  .string()
  .max(253)
  .refine(isDomain, "must be a full host name in lower case, without scheme, port or path")
  .openapi({ type: "string", example: "app.example.com" });
const tenantId = z
  .string()
  .regex(TENANT_ID, "is no tenant's id")
  .transform((id) => id as TenantId)
  .openapi({ type: "string" });

const domainInput = z.strictObject({ host: hostName, tenantId }).openapi("DomainRequest");
const domainView = z.object({ host: z.string(), tenantId: z.string(), createdAt: z.iso.datetime() }).openapi("Domain");
const hostParam = z.object({
  host: z
    .string()
    .max(253)
    .openapi({ param: { name: "host", in: "path" } }),
});

const viewOf = ({ host, tenantId, createdAt }: Domain): z.output<typeof domainView> => ({
  host,
  tenantId,
  createdAt: new Date(createdAt).toISOString(),
});

const create = guarded("registry:write", {
  method: "post",
  path: "/api/v1/domains",
  summary: "Give a tenant a host of its own; its DNS has to lead here",
  tags: ["registry"],
  middleware: jsonBody("required"),
  request: { body: { required: true, content: { "application/json": { schema: domainInput } } } },
  responses: { 201: json(domainView, "Registered"), ...refusals },
});

const list = guarded("registry:read", {
  method: "get",
  path: "/api/v1/domains",
  summary: "List domains",
  tags: ["registry"],
  request: { query: pageQuery.extend({ cursor: cursorOf(HOST), tenantId: tenantId.optional() }) },
  responses: {
    200: json(z.object({ items: z.array(domainView), nextCursor: z.string().nullable() }), "By host"),
    ...refusals,
  },
});

const get = guarded("registry:read", {
  method: "get",
  path: "/api/v1/domains/{host}",
  summary: "One domain",
  tags: ["registry"],
  request: { params: hostParam },
  responses: { 200: json(domainView, "Found"), ...refusals },
});

const remove = guarded("registry:write", {
  method: "delete",
  path: "/api/v1/domains/{host}",
  summary: "Take a host away from its tenant; it is served for at most 30 s more",
  tags: ["registry"],
  request: { params: hostParam },
  responses: { 204: { description: "Deleted" }, ...refusals },
});

export const domains = resource()
  .openapi(create, async (c) => {
    const { host, tenantId } = c.req.valid("json");
    const config = configOf(c.env);
    const refuse = (pointer: string, detail: string) => invalid([{ pointer, detail }]);
    const { hostname } = new URL(c.req.url);
    if (isPlatform(host, config) || host === hostname) throw refuse("/host", "is the platform's own");
    if (host === config.tenantDomain || isUnder(host, config.tenantDomain)) {
      throw refuse("/host", `is under ${config.tenantDomain}, where every tenant has its host already`);
    }
    if (!(await tenantOf(c.env, tenantId).access())) throw refuse("/tenantId", "there is no such tenant");
    const domain = await insertDomain(c.env.DB, host, tenantId, by(c), Date.now());
    domainCache.forget(host);
    if (!domain) throw new Problem("already_exists", `The host ${host} belongs to a tenant already.`);
    return c.json(viewOf(domain), 201, { location: `/api/v1/domains/${host}` });
  })
  .openapi(list, async (c) => {
    const { limit, cursor, tenantId } = c.req.valid("query");
    const page = await listDomains(c.env.DB, tenantId ?? null, cursor ?? "", limit);
    return c.json({ items: page.items.map(viewOf), nextCursor: encodeCursor(page.next) }, 200);
  })
  .openapi(get, async (c) => {
    const { host } = c.req.valid("param");
    const domain = await findDomain(c.env.DB, host);
    if (!domain) throw nothing("domain", host);
    return c.json(viewOf(domain), 200);
  })
  .openapi(remove, async (c) => {
    const { host } = c.req.valid("param");
    const domain = await findDomain(c.env.DB, host);
    const deleted = domain !== null && (await deleteDomain(c.env.DB, domain, by(c), Date.now()));
    domainCache.forget(host);
    if (!deleted) throw nothing("domain", host);
    return c.body(null, 204);
  });
