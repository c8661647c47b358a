import { z } from "@hono/zod-openapi";
import { configOf } from "../config.ts";
import { poolOf, tenantOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { poolOfOperation } from "../pool/operation-id.ts";
import { tenantOfOperation } from "../tenant/operation-id.ts";
import { json, refusals, resource } from "./context.ts";
import { addressOf } from "./endpoints.ts";
import { guarded } from "./guarded.ts";
import { operation, operationView } from "./operation-views.ts";
import { ownIdParam } from "./params.ts";
import { poolOperation, poolOperationView } from "./pool-views.ts";

const get = guarded("operations:read", {
  method: "get",
  path: "/api/v1/operations/{id}",
  summary: "A long action: where it is, or how it ended",
  tags: ["operations"],
  request: { params: ownIdParam },
  responses: { 200: json(z.union([operationView, poolOperationView]), "Known"), ...refusals },
});

export const operations = resource().openapi(get, async (c) => {
  const { id } = c.req.valid("param");
  const poolId = poolOfOperation(id);
  if (poolId) {
    const deletion = await poolOf(c.env, poolId).deletion(id);
    if (!deletion.ok) throw Problem.of(deletion.failure);
    return c.json(poolOperation(deletion.value), 200);
  }
  const tenantId = tenantOfOperation(id);
  if (!tenantId) throw new Problem("not_found", `There is no operation ${id}.`);
  const outcome = await tenantOf(c.env, tenantId).operation(id);
  if (!outcome.ok) throw Problem.of(outcome.failure);
  const { endpoints } = await addressOf(tenantId, configOf(c.env), new URL(c.req.url));
  return c.json(operation(outcome.value, endpoints), 200);
});
