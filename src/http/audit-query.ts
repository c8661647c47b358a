import { z } from "@hono/zod-openapi";
import type { AuditFilter } from "../audit/read.ts";
import { SLUG, TENANT_ID, type TenantId } from "../ids.ts";

/** What the records of the past are asked for by: `?limit`, places, times. */

export const limitUpTo = (max: number, fallback: number) =>
  z
    .string()
    .regex(/^\d{1,5}$/, "must be a number")
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= max, `must be from 1 to ${max}`)
    .optional()
    .transform((limit) => limit ?? fallback)
    .openapi({ type: "integer", minimum: 1, maximum: max, default: fallback });

const PLACE = /^(?:0|[1-9]\d{0,14})$/;

/** The id of a record. */
export const place = z
  .string()
  .regex(PLACE, "must be the id of a record")
  .transform(Number)
  .openapi({ type: "integer", minimum: 0 });

/** Opaque to clients. */
export const encodePlace = (id: number): string => btoa(String(id)).replaceAll("=", "");

export const placeCursor = z
  .string()
  .max(32)
  .transform((cursor, context) => {
    const text = decoded(cursor);
    if (PLACE.test(text)) return Number(text);
    context.addIssue({ code: "custom", message: "is not a cursor of this list" });
    return z.NEVER;
  })
  .openapi({ type: "string" });

function decoded(cursor: string): string {
  try {
    return atob(cursor);
  } catch {
    return "";
  }
}

const text = z.string().min(1).max(256);
const time = z.iso
  .datetime({ offset: true })
  .transform((at) => Date.parse(at))
  .openapi({ type: "string", format: "date-time" });

export const tenantIdQuery = z
  .string()
  .regex(TENANT_ID, "is no tenant's id")
  .transform((id) => id as TenantId)
  .openapi({ type: "string" });
export const poolIdQuery = z.string().regex(SLUG, "is no pool's id");

export const auditFilters = {
  subject: text.optional().openapi({ example: "tenant:alice" }),
  tenantId: tenantIdQuery.optional(),
  actor: text.optional().openapi({ example: "key:ops" }),
  action: text.optional().openapi({ description: "How it begins.", example: "tenant." }),
  requestId: text.optional(),
  result: text.optional().openapi({ description: "`ok`, or a problem's code." }),
  from: time.optional(),
  to: time.optional(),
};

/** What of a query was given; null when nothing can match, since it asks for two subjects. Pure. */
export function filterOf(query: z.output<z.ZodObject<typeof auditFilters>>): AuditFilter | null {
  const { subject, tenantId, actor, action, requestId, result, from, to } = query;
  const ofTenant = tenantId === undefined ? undefined : `tenant:${tenantId}`;
  if (subject !== undefined && ofTenant !== undefined && subject !== ofTenant) return null;
  const asked = { subject: subject ?? ofTenant, actor, action, requestId, result, from, to };
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
}
