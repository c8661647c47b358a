import { expect, it } from "vitest";
import { textOf } from "../../src/gateway/storage/xml.ts";
import { type Container, keysOf, r2Keys } from "./vault-kit.ts";

/** One clause of what S3 says: a request, and what it is answered with. */
export interface Row {
  clause: string;
  /** `METHOD /path?query` */
  ask: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** Status, and for a refusal S3's code (not of a HEAD, which has no body). */
  answer: [status: number, code?: string];
  /** Headers of the answer. */
  has?: Record<string, string | null>;
  /** What the body is, or what it matches. */
  gives?: string | RegExp;
}

/** Runs a table against one container, row by row; whatever is refused must leave keys and R2 as they were. */
export function itAnswers(rows: readonly Row[], container: () => Promise<Container>): void {
  for (const row of rows) {
    it(row.clause, async () => {
      const asked = await container();
      const before = await stored(asked);
      const [method = "", path = ""] = row.ask.split(" ");
      const init = { method, headers: row.headers ?? {}, ...(row.body !== undefined && { body: row.body }) };
      const response = await asked.fetch(path, init);
      const text = Buffer.from(await response.bytes()).toString();
      const code = response.status >= 400 && method !== "HEAD" ? textOf(text, "Code") : null;
      expect([response.status, ...(code === null ? [] : [code])], text.slice(0, 300)).toEqual(row.answer);
      if (row.gives !== undefined) expect(text).toMatch(typeof row.gives === "string" ? exactly(row.gives) : row.gives);
      for (const [name, value] of Object.entries(row.has ?? {})) expect(response.headers.get(name), name).toBe(value);
      expect(response.headers.get("x-amz-request-id")).toMatch(/^[0-9a-f-]{36}$/);
      if (method === "HEAD") expect(text).toBe("");
      if (response.status >= 400) {
        if (method !== "HEAD") expect(response.headers.get("content-type")).toBe("application/xml");
        expect(await stored(asked), "nothing may be stored by what is refused").toEqual(before);
      }
    });
  }
}

const exactly = (text: string): RegExp => new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);

const stored = async (container: Container) => [await keysOf(container), (await r2Keys(container)).length];
