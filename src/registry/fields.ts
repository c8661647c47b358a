import { z } from "@hono/zod-openapi";
import { SLUG } from "../ids.ts";
import { globProblem } from "../sync/glob.ts";

/** What the specs of workloads, pools and syncs are made of. */

export const slug = z.string().regex(SLUG, "must be 1–63 characters of a–z, 0–9 and -, not starting or ending with -");

export const text = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\0]*$/, "must not contain NUL");

export const durationMs = (min: number, max: number) => z.int().min(min).max(max);

/** Where the image and init live: a directory of ours there would hide them. */
const SYSTEM_PATH = /^\/(?:bin|boot|dev|etc|lib|lib64|proc|sbin|sys|usr|run\/boilerhouse)(?:\/|$)/;
export const absolutePath = z
  .string()
  .max(512)
  .regex(/^(?:\/[A-Za-z0-9._@-]+)+$/, "must be an absolute path without a slash at the end")
  .refine((path) => !path.split("/").some((part) => part === "." || part === ".."), "must not contain . or ..")
  .refine((path) => !SYSTEM_PATH.test(path), "belongs to the system");

/** A glob of rclone's filters. */
export const glob = z
  .string()
  .min(1)
  .max(512)
  .regex(/^[^\0\r\n]*$/, "must be one line")
  .superRefine((pattern, context) => {
    const problem = globProblem(pattern);
    if (problem !== null) context.addIssue({ code: "custom", message: problem });
  })
  .openapi({ type: "string", description: "A glob of rclone.", example: "**/*.log" });

/** A field known from other systems: refused with the reason, instead of being ignored. */
export const unsupported = (reason: string) =>
  z
    .never({ error: reason })
    .optional()
    .openapi({ type: "null", description: `Refused: ${reason}.` });

/** Inside a refinement: this value cannot be had here. Answered with `unsupported` (http/context.ts). */
export function refuse(context: z.core.$RefinementCtx, input: unknown, reason: string, path: PropertyKey[] = []): void {
  context.addIssue({ code: "invalid_type", expected: "never", input, message: reason, path });
}

/** Every NAME of `${NAME}` in a text, whatever it is, also where the brace stays open. */
export function variablesIn(template: string): string[] {
  return [...template.matchAll(/\$\{([^}]*)\}?/g)].map((match) => match[1] ?? "");
}
