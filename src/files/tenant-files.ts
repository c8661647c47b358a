import type { By } from "../auth/principal.ts";
import { configOf } from "../config.ts";
import { tenantOf } from "../durable/stubs.ts";
import type { ContainerId, Epoch, Generation, TenantId } from "../ids.ts";
import { outside } from "../instance/files.ts";
import { done, type Failure, failed, type Outcome } from "../outcome.ts";
import { poolAndWorkload } from "../registry/cache.ts";
import type { FileNote } from "../tenant/requests.ts";
import type { FileGrant } from "../tenant/types.ts";
import type { TenantStatus } from "../tenant/views.ts";
import { keyOf } from "../vault/tree.ts";
import { ContainerFiles } from "./container.ts";
import type { FoundFile, Origin } from "./found.ts";
import { type FilePath, type Located, locate } from "./path.ts";
import { isUnreachable, type Place, placeToRead, type Source, wakesToWrite } from "./place.ts";
import type { FileKind, ListedFile } from "./types.ts";
import { VaultFiles } from "./vault.ts";

export interface ReadOptions {
  source: Source;
  generation: Generation | null;
  wake: boolean;
}
/** `after`: the last entry of the page before, as it was listed. */
export interface ListOptions extends ReadOptions {
  recursive: boolean;
  limit: number;
  after: ListPlace | null;
}
export type ListPlace = Pick<ListedFile, "path" | "kind">;

export interface Listing {
  origin: Origin;
  entries: ListedFile[];
  next: ListPlace | null;
}

/** One tenant's files for one request: in the container where one runs, else as they are saved. */
export class TenantFiles {
  readonly #env: Env;
  readonly #tenantId: TenantId;
  readonly #background: (work: Promise<unknown>) => void;
  /** As it was when this request first looked, or after it woke the tenant. */
  #standing: TenantStatus | null = null;
  #woke = false;

  constructor(env: Env, tenantId: TenantId, background: (work: Promise<unknown>) => void) {
    this.#env = env;
    this.#tenantId = tenantId;
    this.#background = background;
  }

  /** `not_found` for a tenant never seen; asked for once. */
  async known(): Promise<Outcome<null>> {
    const standing = await this.#stands();
    return standing.ok ? done(null) : standing;
  }

  /** `part`: a range of it will be asked for; `facts`: nothing of its content. A `not_found` says where it was looked for. */
  async find(at: FilePath, wanted: "whole" | "part" | "facts", options: ReadOptions): Promise<Outcome<FoundFile>> {
    return this.#look(
      options,
      (container, origin) => container.find(at, wanted, origin),
      async (vault, stale) => {
        const path = await this.#savedPath(at);
        return path.ok ? vault.find(path.value, { stale }) : path;
      },
    );
  }

  async list(at: FilePath, options: ListOptions): Promise<Outcome<Listing>> {
    const { recursive, limit, after } = options;
    return this.#look(
      options,
      async (container, origin) => {
        const query = { recursive, limit, after: after ? listName(after.path, after.kind) : "" };
        const listed = await container.ask({ op: "list", at, query });
        if (!listed.ok) return listed;
        const { entries, more } = listed.value;
        return done({ origin, entries, next: more ? (entries.at(-1) ?? null) : null });
      },
      async (vault, stale) => {
        const path = await this.#savedPath(at);
        if (!path.ok) return path;
        const cursor = after && cursorOf(path.value, after);
        const listed = await vault.list(path.value, { recursive, limit, after: cursor }, { stale });
        if (!listed.ok) return listed;
        const { origin, entries, next } = listed.value;
        return done({ origin, entries, next: next ? (entries.at(-1) ?? null) : null });
      },
    );
  }

  /** The container in which files may be changed, after it was recorded that they will be; woken first if that is asked for. */
  async writable(
    note: FileNote,
    wake: boolean,
    by: By,
  ): Promise<Outcome<{ container: ContainerFiles; woke: boolean }>> {
    const standing = await this.#stands();
    if (!standing.ok) return standing;
    if (wakesToWrite(standing.value, wake)) {
      const woken = await this.#wake();
      if (!woken.ok) return woken;
    }
    const grant: Outcome<FileGrant> = await tenantOf(this.#env, this.#tenantId).noteFiles(this.#tenantId, note, by);
    if (!grant.ok) return grant;
    return done({ container: new ContainerFiles(this.#env, grant.value), woke: this.#woke });
  }

  async #look<T>(
    options: ReadOptions,
    inContainer: (container: ContainerFiles, origin: Origin) => Promise<Outcome<T>>,
    inVault: (vault: VaultFiles, stale: boolean) => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    const standing = await this.#stands();
    if (!standing.ok) return standing;
    const { source, generation, wake } = options;
    const vault = new VaultFiles(this.#env, this.#tenantId, generation);
    const place: Place = placeToRead(standing.value, { source, wake, pinned: generation !== null });
    switch (place.from) {
      case "nowhere":
        return { ok: false, failure: place.failure };
      case "vault":
        return lookedIn(await inVault(vault, place.stale), "vault");
      case "wake": {
        const woken = await this.#wake();
        return woken.ok ? lookedIn(await inContainer(...this.#containerOf(woken.value)), "container") : woken;
      }
      case "container": {
        const found = await inContainer(...this.#containerOf(standing.value));
        if (found.ok || place.fallback === "none" || !isUnreachable(found.failure)) return lookedIn(found, "container");
        const saved = await inVault(vault, true);
        return saved.ok ? saved : lookedIn(saved, "container", "vault");
      }
    }
  }

  async #stands(): Promise<Outcome<TenantStatus>> {
    if (this.#standing) return done(this.#standing);
    const status = await tenantOf(this.#env, this.#tenantId).status(this.#tenantId);
    if (status.ok) this.#standing = status.value;
    return status;
  }

  async #wake(): Promise<Outcome<TenantStatus>> {
    const { wakeMs } = configOf(this.#env).deadlines;
    const route = await tenantOf(this.#env, this.#tenantId).route(this.#tenantId, null, wakeMs);
    if (route.kind === "failed") return { ok: false, failure: route.failure };
    if (route.kind === "starting") {
      return failed("starting", "The tenant is being woken; its container is not there yet.", {
        extra: { operation: route.operation.id },
      });
    }
    this.#woke = true;
    this.#standing = null;
    return this.#stands();
  }

  #containerOf({ containerId, epoch }: { containerId?: ContainerId; epoch: Epoch }): [ContainerFiles, Origin] {
    const origin: Origin = { source: "container", generation: null, asOf: Date.now(), stale: false, woke: this.#woke };
    return [new ContainerFiles(this.#env, { containerId: containerId as ContainerId, epoch }), origin];
  }

  /** Only the state volume is saved. An absolute path needs the workload to say where that is. */
  async #savedPath(at: FilePath): Promise<Outcome<string>> {
    if (at.from === "state") return done(at.path);
    const poolId = this.#standing?.poolId;
    const found = poolId && (await poolAndWorkload(this.#env.DB, poolId, Date.now(), this.#background));
    if (!found) {
      return failed(
        "bad_request",
        "Nobody knows where the tenant's volumes are any more; name the path relative to the state volume.",
      );
    }
    const place: Located | null = locate(at, found.workload.spec.volumes);
    if (!place) return outside(at);
    return place.volume === "state" ? done(place.path) : failed("not_found", "The comm volume is not saved.");
  }
}

function lookedIn<T>(outcome: Outcome<T>, ...places: ("container" | "vault")[]): Outcome<T> {
  if (outcome.ok || outcome.failure.code !== "not_found") return outcome;
  const failure: Failure = { ...outcome.failure, extra: { ...outcome.failure.extra, lookedIn: places } };
  return { ok: false, failure };
}

const listName = (path: string, kind: FileKind): string => (kind === "directory" ? `${path}/` : path);

function cursorOf(directory: string, { path, kind }: ListPlace) {
  const known = kind === "special" ? "file" : kind; // none of those is saved
  return { key: keyOf(directory === "" ? path : `${directory}/${path}`, known), kind: known };
}
