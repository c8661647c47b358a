import { createMiddleware } from "hono/factory";
import { instanceOf } from "../durable/stubs.ts";
import { Problem } from "../errors/problem.ts";
import { type ContainerId, type PoolId, parseContainerId } from "../ids.ts";
import { poolOfContainer } from "../stats/containers.ts";
import type { AppEnv } from "./context.ts";

/** A container that is there, or that its pool still has to end, and the pool. @throws Problem `not_found` */
export async function poolIdOf(env: Env, id: string): Promise<{ containerId: ContainerId; poolId: PoolId }> {
  const containerId = parseContainerId(id);
  if (!containerId) throw noContainer(id);
  const described = await instanceOf(env, containerId).describe();
  const poolId = described.ok ? described.value.poolId : await poolOfContainer(env.DB, containerId);
  if (!poolId) throw noContainer(id);
  return { containerId, poolId };
}

/** Refuses what is about no container before its body is looked at (contract: order of refusals). */
export const knownContainer = createMiddleware<AppEnv>(async (c, next) => {
  await poolIdOf(c.env, c.req.param("id") ?? "");
  await next();
});

export const noContainer = (id: string): Problem => new Problem("not_found", `There is no container ${id}.`);
