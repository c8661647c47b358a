import { z } from "@hono/zod-openapi";
import { Problem } from "../errors/problem.ts";
import { type FilePath, type Parsed, parsePath, percentDecoded } from "../files/path.ts";
import { SOURCES, type Source } from "../files/place.ts";
import type { ReadOptions } from "../files/tenant-files.ts";
import { generation } from "../ids.ts";

/** What requests about files have in common. */

const flag = z.enum(["true", "false"]).optional();
const sourceWord = z.string().max(20).optional();

/** Where to look. A wrong word is a 400 (contract: S1's), so it is judged below. */
export const placeQuery = {
  source: sourceWord.openapi({
    type: "string",
    enum: Object.keys(SOURCES),
    description: "Default auto: the container where one runs, else what is saved. r2 is vault.",
  }),
  prefer: sourceWord.openapi({ type: "string", enum: Object.keys(SOURCES), description: "S1's word for source." }),
  wake: flag.openapi({ description: "Wake a sleeping tenant for it; default false." }),
};
export const readQuery = {
  ...placeQuery,
  generation: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "must be the number of a generation")
    .transform(Number)
    .optional()
    .openapi({ type: "integer", minimum: 1, description: "A saved generation instead of the latest; vault only." }),
};
export const rawFlag = flag.openapi({ description: "The bytes themselves instead of JSON." });
/** Beside what makes an answer from the API: where it comes from, and how old it may be. */
export const originShape = {
  source: z.enum(["container", "vault"]),
  generation: z.int().nullable().openapi({ description: "Of the vault; null in a container." }),
  asOf: z.iso.datetime(),
  ageMs: z.int(),
  stale: z.boolean().openapi({ description: "A running container may hold something newer." }),
  woke: z.literal(true).optional(),
};

/** @throws Problem `bad_request` for a word that names no source */
export function sourceOf({ source, prefer }: { source?: string | undefined; prefer?: string | undefined }): Source {
  const word = source ?? prefer ?? "auto";
  const found = Object.hasOwn(SOURCES, word) ? SOURCES[word] : undefined;
  if (found) return found;
  throw new Problem("bad_request", `There is no such source; there are ${Object.keys(SOURCES).join(", ")}.`);
}

export const optionsOf = (query: {
  source?: string | undefined;
  prefer?: string | undefined;
  wake?: string | undefined;
  generation?: number | undefined;
}): ReadOptions => ({
  source: sourceOf(query),
  wake: query.wake === "true",
  generation: query.generation === undefined ? null : generation(query.generation),
});

/** The path behind `…/files/`, byte for byte: names need not be UTF-8. @throws Problem `bad_request` */
export const pathInUrl = (url: string): FilePath =>
  parsed(percentDecoded(new URL(url).pathname.split("/").slice(6).join("/")), (bytes) => parsePath(bytes));

/** `?path=` of a listing; left out, it is the state volume. @throws Problem `bad_request` */
export function pathInQuery(url: string): FilePath {
  const pair = new URL(url).search
    .slice(1)
    .split("&")
    .find((one) => one.startsWith("path="));
  const text = (pair ?? "path=").slice("path=".length).replaceAll("+", " ");
  return parsed(percentDecoded(text), (bytes) => parsePath(bytes, "the state volume"));
}

function parsed(bytes: Uint8Array | null, parse: (bytes: Uint8Array) => Parsed): FilePath {
  const found: Parsed = bytes ? parse(bytes) : { ok: false, detail: "The path is not percent-encoded." };
  if (!found.ok) throw new Problem("bad_request", found.detail);
  return found.value;
}
