import { createMiddleware } from "hono/factory";
import { Problem } from "../errors/problem.ts";
import { SLUG } from "../ids.ts";
import type { AppEnv } from "./context.ts";

/** Refuses what is about nothing before anything looks at its body (contract: order of refusals). */
export const known = (noun: string, find: (db: D1Database, id: string) => Promise<unknown>) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const id = c.req.param("id") ?? "";
    if (SLUG.test(id) && (await find(c.env.DB, id)) === null) throw nothing(noun, id);
    await next();
  });

export const nothing = (noun: string, id: string): Problem => new Problem("not_found", `There is no ${noun} ${id}.`);

/** A change that named another version than there is. */
export const changedSince = (noun: string, id: string, version: number): Problem =>
  new Problem("version_mismatch", `The ${noun} ${id} is at version ${version}.`, { extra: { version } });
