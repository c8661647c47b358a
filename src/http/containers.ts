import { z } from "@hono/zod-openapi";
import { instanceOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { parseContainerId } from "../ids.ts";
import { TIERS } from "../runtime/port.ts";
import { json, refusals, resource } from "./context.ts";
import { guarded } from "./guarded.ts";
import { ownIdParam } from "./params.ts";

const containerView = z
  .object({
    id: z.string(),
    durableObjectId: z.string().openapi({ description: "Locally a part of the container's name in Docker." }),
    poolId: z.string(),
    workloadId: z.string(),
    workloadVersion: z.int(),
    tenantId: z.string().optional(),
    epoch: z.int().optional(),
    state: z.enum(["starting", "warm", "assigning", "assigned", "saving", "draining", "gone", "failed"]),
    tier: z.enum(TIERS),
    image: z.string(),
    startedAt: z.iso.datetime(),
  })
  .openapi("Container");

const get = guarded("containers:read", {
  method: "get",
  path: "/api/v1/containers/{id}",
  summary: "One container",
  tags: ["containers"],
  request: { params: ownIdParam },
  responses: { 200: json(containerView, "Found"), ...refusals },
});

export const containers = resource().openapi(get, async (c) => {
  const { id } = c.req.valid("param");
  const containerId = parseContainerId(id);
  if (!containerId) throw new Problem("not_found", `There is no container ${id}.`);
  const outcome = await instanceOf(c.env, containerId).describe();
  if (!outcome.ok) throw Problem.of(outcome.failure);
  return c.json(outcome.value, 200);
});
