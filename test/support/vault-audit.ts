import { env } from "cloudflare:workers";
import type { Generation } from "../../src/ids.ts";
import type { Outcome } from "../../src/outcome.ts";
import type { GenerationPage, PageCursor, PageEntry, VaultStorage } from "../../src/vault/storage.ts";
import type { VaultApi, VaultDescription } from "../../src/vault/types.ts";
import { type Line, sha256Of, textOf } from "./directory-text.ts";

/** What is saved of a tenant, read from outside and believed only where its content has the hash that the index says. */

const vaultOf = (tenant: string) => env.VAULT.getByName(tenant) as unknown as VaultApi & VaultStorage;
const value = <T>(outcome: Outcome<T>): T => {
  if (!outcome.ok) throw new Error(`${outcome.failure.code}: ${outcome.failure.detail}`);
  return outcome.value;
};

export const describeVault = (tenant: string): Promise<VaultDescription> => vaultOf(tenant).describe();

/** A whole generation. @throws Error where anything of it is missing or is not what its hash says */
export async function generationOf(tenant: string, generation: Generation): Promise<string> {
  const lines: Line[] = [];
  let after: PageCursor | null = null;
  do {
    const { entries, packed, next }: GenerationPage = value(await vaultOf(tenant).exported(generation, after));
    let at = 0;
    for (const entry of entries) {
      const inline = entry.content !== null && entry.content.object === null ? entry.content.size : 0;
      lines.push(await lineOf(tenant, entry, packed.subarray(at, at + inline)));
      at += inline;
    }
    after = next;
  } while (after !== null);
  return textOf(lines);
}

async function lineOf(tenant: string, entry: PageEntry, inline: Uint8Array): Promise<Line> {
  const { path, kind, mode, uid, gid, mtimeNs, target, content } = entry;
  const line = { path, kind, mode, uid, gid, mtimeNs, target, sha256: "" };
  if (content === null) return line;
  const bytes = content.object === null ? inline : await stored(content.object);
  if (bytes.length !== content.size) throw new Error(`${tenant}: ${path} has ${bytes.length} of ${content.size} bytes`);
  if (sha256Of(bytes) !== content.sha256) throw new Error(`${tenant}: ${path} is not what its hash says`);
  return { ...line, sha256: content.sha256 };
}

/** As it is before any test breaks it. */
const get = env.BUCKET.get;

async function stored(key: string): Promise<Uint8Array> {
  const object = await get.call(env.BUCKET, key);
  if (object === null) throw new Error(`${key} is missing`);
  return object.bytes();
}
