import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";

/** Everything that is at rest, as text, by store: `D1 <table>`, `<CLASS> <table>`, `<CLASS> kv`, `R2`. */
export async function dumpStores(): Promise<Map<string, string>> {
  const dump = new Map<string, string>();
  const add = (store: string, content: unknown) => dump.set(store, `${dump.get(store) ?? ""}${textOf(content)}\n`);
  await dumpD1(add);
  await dumpR2(add);
  for (const [name, binding] of Object.entries(env)) {
    if (isNamespace(name, binding)) await dumpObjects(name, binding, add);
  }
  return dump;
}

type Add = (store: string, content: unknown) => void;

async function dumpD1(add: Add): Promise<void> {
  const { results } = await env.DB.prepare(TABLES).all<{ name: string }>();
  for (const { name } of results) add(`D1 ${name}`, (await env.DB.prepare(`SELECT * FROM "${name}"`).all()).results);
}

async function dumpR2(add: Add): Promise<void> {
  for (let cursor: string | undefined; ; ) {
    const page = await env.BUCKET.list({ include: ["httpMetadata", "customMetadata"], ...(cursor ? { cursor } : {}) });
    for (const { key, httpMetadata, customMetadata } of page.objects) {
      add("R2", { key, httpMetadata, customMetadata });
      const object = await env.BUCKET.get(key);
      if (object) add("R2", await object.arrayBuffer());
    }
    if (!page.truncated) return;
    cursor = page.cursor;
  }
}

async function dumpObjects(name: string, namespace: DurableObjectNamespace, add: Add): Promise<void> {
  for (const id of await listDurableObjectIds(namespace)) {
    const tables = await runInDurableObject(namespace.get(id), async (_, { storage }) => {
      const named = storage.sql.exec<{ name: string }>(TABLES).toArray();
      const rows = named.map(
        ({ name: table }) => [table, storage.sql.exec(`SELECT * FROM "${table}"`).toArray()] as const,
      );
      return [...rows, ["kv", [...(await storage.list())]] as const].map(
        ([table, content]) => [table, textOf(content)] as const,
      );
    });
    for (const [table, content] of tables) add(`${name} ${table}`, content);
  }
}

const TABLES =
  "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/** By its class: a service binding seems to have every member. The test runner's own begin with `__`. */
const isNamespace = (name: string, binding: unknown): binding is DurableObjectNamespace =>
  !name.startsWith("__") && Object.prototype.toString.call(binding) === "[object DurableObjectNamespace]";

/** Bytes one to one as characters, so that what is text in them can be found; texts as they are, without JSON's escapes. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (content instanceof ArrayBuffer) return textOf(new Uint8Array(content));
  if (ArrayBuffer.isView(content))
    return Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("latin1");
  if (typeof content !== "object" || content === null) return String(content);
  const parts = content instanceof Map ? [...content].flat() : Object.entries(content).flat();
  return parts.map(textOf).join(" ");
}

/** The forms in which a text could lie somewhere and still be read: plain, hex, and base64 wherever it begins. */
export function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const shifted = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .replaceAll("=", "");
    return text.slice(shift === 0 ? 0 : shift + 1, -2);
  });
  const urlSafe = shifted.map((text) => text.replaceAll("+", "-").replaceAll("/", "_"));
  return [...new Set([secret, encodeURIComponent(secret), bytes.toString("hex"), ...shifted, ...urlSafe])];
}
