import { z } from "@hono/zod-openapi";

/** Times are numbers of ms inside, and ISO 8601 for clients. */
export const time = z.iso.datetime();
export const iso = (ms: number): string => new Date(ms).toISOString();
export const isoOrNull = (ms: number | null): string | null => (ms === null ? null : iso(ms));
