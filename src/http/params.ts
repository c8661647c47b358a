import { z } from "@hono/zod-openapi";
import { SLUG, TENANT_ID, type TenantId } from "../ids.ts";

/** Ids in paths (contract: API conventions). What names nothing that could exist is refused, or simply not found. */
export const slugParam = z.object({
  id: z
    .string()
    .regex(SLUG, "must be 1–63 characters of a–z, 0–9 and -, not starting or ending with -")
    .openapi({ param: { name: "id", in: "path" }, example: "demo" }),
});

export const tenantParam = z.object({
  id: z
    .string()
    .regex(TENANT_ID, "must be 1–128 characters of A–Z, a–z, 0–9 and _.:@-, starting with a letter or digit")
    .transform((id) => id as TenantId)
    .openapi({ param: { name: "id", in: "path" }, type: "string", example: "alice" }),
});

const GENERATION = /^[1-9]\d{0,14}$/;
const number = z.string().regex(GENERATION, "must be the number of a generation").transform(Number);

/** A save of a tenant. */
export const generationParam = tenantParam.extend({
  n: number.openapi({ param: { name: "n", in: "path" }, type: "integer", minimum: 1, example: 1 }),
});

/** `?generation`, `?to`. */
export const generationQuery = number.optional().openapi({ type: "integer", minimum: 1 });

/** Ids that we make: any other text names nothing. */
export const ownIdParam = z.object({
  id: z
    .string()
    .max(512)
    .openapi({ param: { name: "id", in: "path" } }),
});
