import { OpenAPIHono, z } from "@hono/zod-openapi";
import type { Principal } from "../auth/principal.ts";
import { type FieldError, invalid, Problem } from "../errors/problem.ts";

/** What every handler finds: the bindings, the request's id, and (behind the doors) who asks. */
export interface AppEnv {
  Bindings: Env;
  Variables: { requestId: string; principal: Principal };
}

/** A part of the API. Whatever does not match its schema is refused with one pointer per field. */
export const resource = () =>
  new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      const { issues } = result.error;
      const errors = fieldErrors(issues, PREFIX[result.target] ?? "");
      // `never` marks what is known and cannot be had (registry/specs.ts).
      const unsupported = issues.every((issue) => issue.code === "invalid_type" && issue.expected === "never");
      throw unsupported
        ? new Problem("unsupported", "Cloudflare cannot do this.", { extra: { errors } })
        : invalid(errors);
    },
  });

/** Pointers lead into the body; what is wrong elsewhere says where. */
const PREFIX: Record<string, string> = { json: "", param: "/path", query: "/query", header: "/header" };

/** Pure; one error for a field, also when several rules speak of it. */
export function fieldErrors(issues: readonly z.core.$ZodIssue[], prefix: string): FieldError[] {
  const byPointer = new Map<string, FieldError>();
  const add = (path: readonly PropertyKey[], detail: string) => {
    const pointer = prefix + path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
    if (!byPointer.has(pointer)) byPointer.set(pointer, { pointer, detail });
  };
  for (const issue of issues) {
    if (issue.code === "unrecognized_keys")
      for (const key of issue.keys) add([...issue.path, key], "is not a known field");
    else if (issue.code === "invalid_key") add(issue.path, issue.issues[0]?.message ?? issue.message);
    else add(issue.path, issue.message);
  }
  return [...byPointer.values()];
}

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    suggestion: z.string().optional(),
    requestId: z.string(),
    retryAfterMs: z.int().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  })
  .openapi("Problem");

/** The refusals that every route shares, for the OpenAPI document. */
export const refusals = {
  default: {
    description: "A problem document (RFC 9457); `code` names it.",
    content: { "application/problem+json": { schema: problemSchema } },
  },
} as const;

export const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { "application/json": { schema } },
});
