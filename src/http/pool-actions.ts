import { z } from "@hono/zod-openapi";
import { poolOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import type { PoolId } from "../ids.ts";
import type { Outcome } from "../outcome.ts";
import type { PoolApi, PoolDescription } from "../pool/types.ts";
import { findPool, type RegisteredPool } from "../registry/store.ts";
import { jsonBody } from "./body.ts";
import { json, refusals, resource } from "./context.ts";
import { by, guarded } from "./guarded.ts";
import { slugParam } from "./params.ts";
import { type PoolView, poolView, rolloutBody, rolloutOf, viewOf } from "./pool-views.ts";
import { known, nothing } from "./registered.ts";

const action = <Path extends string>(path: Path, summary: string) =>
  guarded("registry:write", {
    method: "post",
    path: `/api/v1/pools/{id}/${path}` as const,
    summary,
    tags: ["registry"],
    request: { params: slugParam },
    responses: { 200: json(poolView, "Done"), ...refusals },
  });

const pause = action("pause", "Stop refilling and shrinking a pool; claims go on");
const resume = action("resume", "Refill and shrink a pool again");
const reset = action("breaker/reset", "Close a pool's breaker: its refill goes on at once");

const scale = guarded("registry:write", {
  method: "post",
  path: "/api/v1/pools/{id}/scale",
  summary: "Keep so many slots warm, until minSize or maxSize change",
  tags: ["registry"],
  middleware: [known("pool", findPool), jsonBody("required")],
  request: {
    params: slugParam,
    body: {
      required: true,
      content: {
        "application/json": {
          schema: z
            .strictObject({
              target: z
                .int()
                .min(0)
                .max(10_000)
                .openapi({ description: "From minSize to maxSize without what is claimed." }),
            })
            .openapi("ScaleRequest"),
        },
      },
    },
  },
  responses: { 200: json(poolView, "Done; the slots follow"), ...refusals },
});

const getRollout = guarded("registry:read", {
  method: "get",
  path: "/api/v1/pools/{id}/rollout",
  operationId: "getPoolRollout",
  summary: "How a pool's tenants come to the present version of its workload",
  tags: ["registry"],
  request: { params: slugParam },
  responses: { 200: json(rolloutBody, "As it is"), ...refusals },
});

const steerRollout = guarded("registry:write", {
  method: "post",
  path: "/api/v1/pools/{id}/rollout",
  operationId: "steerPoolRollout",
  summary: "Halt a pool's rollout, or go on with it; whoever failed is then asked again",
  tags: ["registry"],
  middleware: [known("pool", findPool), jsonBody("required")],
  request: {
    params: slugParam,
    body: {
      required: true,
      content: { "application/json": { schema: z.strictObject({ action: z.enum(["halt", "resume"]) }) } },
    },
  },
  responses: { 200: json(rolloutBody, "Done; a tenant that is on its way goes on"), ...refusals },
});

export const poolActions = resource()
  .openapi(getRollout, async (c) =>
    c.json(rolloutOf(await described(c.env, c.req.valid("param").id, (pool) => pool.describe()).then(last)), 200),
  )
  .openapi(steerRollout, async (c) => {
    const { action } = c.req.valid("json");
    const steer = (pool: PoolApi) => pool.rollout(action, by(c));
    return c.json(rolloutOf(await described(c.env, c.req.valid("param").id, steer).then(last)), 200);
  })
  .openapi(pause, async (c) =>
    c.json(await change(c.env, c.req.valid("param").id, (pool) => pool.pause("paused", by(c))), 200),
  )
  .openapi(resume, async (c) =>
    c.json(await change(c.env, c.req.valid("param").id, (pool) => pool.pause("running", by(c))), 200),
  )
  .openapi(reset, async (c) =>
    c.json(await change(c.env, c.req.valid("param").id, (pool) => pool.resetBreaker(by(c))), 200),
  )
  .openapi(scale, async (c) => {
    const { target } = c.req.valid("json");
    return c.json(await change(c.env, c.req.valid("param").id, (pool) => pool.scale(target, by(c))), 200);
  });

async function change(
  env: Env,
  id: string,
  perform: (pool: PoolApi) => Promise<Outcome<PoolDescription>>,
): Promise<PoolView> {
  return viewOf(...(await described(env, id, perform)));
}

async function described(
  env: Env,
  id: string,
  perform: (pool: PoolApi) => Promise<Outcome<PoolDescription>>,
): Promise<[RegisteredPool, PoolDescription]> {
  const registered = await findPool(env.DB, id);
  if (!registered) throw nothing("pool", id);
  const description = await perform(poolOf(env, id as PoolId));
  if (!description.ok) throw Problem.of(description.failure);
  return [registered, description.value];
}

const last = ([, description]: [RegisteredPool, PoolDescription]): PoolDescription => description;
