import { z } from "@hono/zod-openapi";
import { PERMISSIONS, rolesWith } from "../auth/permissions.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded } from "./guarded.ts";

const selfView = z
  .object({
    role: z.enum(["admin", "operator", "viewer", "tenant"]),
    actor: z.string().openapi({ description: "As audit rows name it." }),
    tenantId: z.string().optional(),
    expiresAt: z.iso.datetime().optional(),
    permissions: z.array(z.string()),
  })
  .openapi("Self");

const whoami = guarded("self:read", {
  method: "get",
  path: "/api/v1/whoami",
  summary: "Who asks, and what they may do",
  tags: ["keys"],
  responses: { 200: json(selfView, "Whoever this credential stands for"), ...refusals },
});

export const self = resource().openapi(whoami, (c) => {
  const { role, actor, tenantId, expiresAt } = c.get("principal");
  const permissions = PERMISSIONS.filter((permission) => rolesWith(permission).includes(role));
  const more = {
    ...(tenantId === null ? {} : { tenantId }),
    ...(expiresAt === null ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
  };
  return c.json({ role, actor, ...more, permissions }, 200);
});
