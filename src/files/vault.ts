import { within } from "../durable/deadline.ts";
import { vaultOf } from "../durable/stubs.ts";
import type { Generation, TenantId } from "../ids.ts";
import { done, failed, type Outcome } from "../outcome.ts";
import type { PageCursor } from "../vault/storage.ts";
import type { FileInfo, Looked } from "../vault/types.ts";
import { notAFile } from "./container.ts";
import { type Content, type FoundFile, foundBytes, foundStream, type Origin } from "./found.ts";
import type { ByteRange, ListedFile } from "./types.ts";

const ASK_MS = 30_000;

/** A tenant's saved files: the head, or one generation by its number. Reading needs no container. */
export class VaultFiles {
  readonly #env: Env;
  readonly #tenantId: TenantId;
  readonly #generation: Generation | null;

  constructor(env: Env, tenantId: TenantId, generation: Generation | null) {
    this.#env = env;
    this.#tenantId = tenantId;
    this.#generation = generation;
  }

  async find(path: string, how: { stale: boolean }): Promise<Outcome<FoundFile>> {
    const looked = await this.#ask(vaultOf(this.#env, this.#tenantId).readFile(path, this.#generation));
    if (!looked.ok) return looked;
    const { found } = looked.value;
    if (found === null) return this.#nothingAt(path);
    const { info, body, object } = found;
    if (info.kind !== "file") return notAFile(info.kind);
    const origin = originOf(looked.value, how.stale);
    const facts = factsOf(info);
    if (object === null) return done(foundBytes(origin, facts, Uint8Array.from(body ?? [])));
    return done(foundStream(origin, facts, (range) => this.#stored(object, range)));
  }

  async list(
    path: string,
    page: { recursive: boolean; limit: number; after: PageCursor | null },
    how: { stale: boolean },
  ): Promise<Outcome<{ origin: Origin; entries: ListedFile[]; next: PageCursor | null }>> {
    const looked = await this.#ask(vaultOf(this.#env, this.#tenantId).listFiles(path, page, this.#generation));
    if (!looked.ok) return looked;
    const { found } = looked.value;
    if (found === null) return this.#nothingAt(path);
    const below = path === "" ? 0 : path.length + 1;
    const entries = found.entries.map((info) => ({ ...factsOf(info), kind: info.kind, path: info.path.slice(below) }));
    return done({ origin: originOf(looked.value, how.stale), entries, next: found.next });
  }

  /** Not there, or behind a symlink, which is kept as such and leads nowhere here. */
  async #nothingAt(path: string): Promise<Outcome<never>> {
    const vault = vaultOf(this.#env, this.#tenantId);
    const names = path.split("/");
    for (let count = 1; count < names.length; count += 1) {
      const looked = await this.#ask(vault.stat(names.slice(0, count).join("/"), this.#generation));
      if (looked.ok && looked.value.found?.kind === "symlink") return notAFile("symlink");
      if (!looked.ok || looked.value.found?.kind !== "directory") break;
    }
    return failed("not_found", "There is no such file.");
  }

  async #stored(object: string, range: ByteRange | null): Promise<Outcome<Content>> {
    const stored = await within(ASK_MS, "R2", this.#env.BUCKET.get(object, range ? { range } : {})).catch(
      () => undefined,
    );
    if (stored === undefined) return failed("storage_unavailable", "The store of large files did not answer.");
    if (stored === null) return failed("internal", "The content of this file is missing.");
    return done(stored.body);
  }

  async #ask<T>(asked: Promise<Outcome<T>>): Promise<Outcome<T>> {
    try {
      return await within(ASK_MS, "vault", asked);
    } catch {
      return failed("storage_unavailable", "The tenant's vault did not answer.");
    }
  }
}

const originOf = ({ generation, at }: Looked<unknown>, stale: boolean): Origin => ({
  source: "vault",
  generation,
  asOf: at,
  stale,
  woke: false,
});

/** A hash of hashes is no hash of the content. */
const factsOf = ({ size, mode, mtimeNs, sha256, partSize }: FileInfo) => ({
  size,
  mode,
  mtimeNs,
  sha256: partSize === null ? sha256 : null,
});
