import { z } from "@hono/zod-openapi";

export const MAX_WAIT_MS = 300_000;

/** `?wait=` in ms: `<n>s` or `<n>ms`, at most 300 s (contract: API conventions). */
export const waitSchema = (defaultMs: number, description = "How long to wait for the end.") =>
  z
    .string()
    .regex(/^\d{1,9}(?:ms|s)$/, "must be a number of seconds or milliseconds, as in 10s or 500ms")
    .transform((text) => (text.endsWith("ms") ? Number(text.slice(0, -2)) : Number(text.slice(0, -1)) * 1000))
    .refine((ms) => ms <= MAX_WAIT_MS, "must be at most 300s")
    .optional()
    .transform((ms) => ms ?? defaultMs)
    .openapi({
      param: { description },
      type: "string",
      example: "60s",
      default: `${defaultMs / 1000}s`,
    });
