import { createMiddleware } from "hono/factory";
import type { AppEnv } from "./context.ts";

/** `Idempotency-Key` on mutations. */
export const idempotent = createMiddleware<AppEnv>(async (_c, next) => next());
