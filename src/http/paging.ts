import { z } from "@hono/zod-openapi";
import { SLUG } from "../ids.ts";

/** `?cursor` of a list whose items are in the order of names like these; opaque to clients. */
export const cursorOf = (names: RegExp) =>
  z
    .string()
    .transform((cursor, context) => {
      const after = decodeCursor(cursor);
      if (after !== null && names.test(after)) return after;
      context.addIssue({ code: "custom", message: "is not a cursor of this list" });
      return z.NEVER;
    })
    .optional()
    .openapi({ type: "string" });

/** `?limit&cursor` of every list. */
export const pageQuery = z.object({
  limit: z
    .string()
    .regex(/^\d{1,4}$/, "must be a number")
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= 1000, "must be from 1 to 1000")
    .optional()
    .transform((limit) => limit ?? 50)
    .openapi({ type: "integer", minimum: 1, maximum: 1000, default: 50 }),
  cursor: cursorOf(SLUG),
});

/** A cursor that is more than a name: JSON, opaque to clients. */
export const jsonCursor = <T>(isOne: (value: unknown) => value is T) => ({
  encode: (cursor: T): string => Buffer.from(JSON.stringify(cursor)).toString("base64url"),
  schema: z
    .string()
    .transform((text, context): T => {
      const value = jsonOf(text);
      if (isOne(value)) return value;
      context.addIssue({ code: "custom", message: "is not a cursor of this list" });
      return z.NEVER;
    })
    .optional()
    .openapi({ type: "string" }),
});

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString());
  } catch {
    return null;
  }
}

/** Null stays null: there is no next page. */
export const encodeCursor = (after: string | null): string | null =>
  after === null ? null : btoa(after).replaceAll("=", "");

function decodeCursor(cursor: string): string | null {
  try {
    return atob(cursor);
  } catch {
    return null;
  }
}
