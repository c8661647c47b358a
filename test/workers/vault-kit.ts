import { env, exports } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { padded } from "../../src/gateway/storage/tar/header.ts";
import { END, headerOf } from "../../src/gateway/storage/tar/write.ts";
import { elements, textOf } from "../../src/gateway/storage/xml.ts";
import { type Epoch, epoch } from "../../src/ids.ts";
import type { Outcome } from "../../src/outcome.ts";
import type { VaultStorage } from "../../src/vault/storage.ts";
import type { Committed, ManifestEntry, SaveRef, StorageProps, VaultApi } from "../../src/vault/types.ts";

export const ACCESS_KEY = "AKBOOT0123456789";
let counter = 0;
/** A name that no other test uses. */
export const unique = (what: string): string => `${what}-${++counter}-${Math.random().toString(36).slice(2, 8)}`;

export const vaultOf = (tenantId: string): VaultApi & VaultStorage =>
  env.VAULT.getByName(tenantId) as unknown as VaultApi & VaultStorage;

/** One file, directory or symlink of a state directory. */
export interface Node {
  path: string;
  kind?: ManifestEntry["kind"];
  content?: Uint8Array | string;
  target?: string;
  mode?: number;
  uid?: number;
  gid?: number;
  mtimeNs?: string;
}

export const MTIME = "1767225600123456789";

export const bytesOf = (node: Node): Uint8Array =>
  typeof node.content === "string" ? new TextEncoder().encode(node.content) : (node.content ?? new Uint8Array(0));

/** What `boilerhouse-init` would list; the root is added. */
export function aManifest(nodes: readonly Node[]): ManifestEntry[] {
  const root: Node = { path: "", kind: "directory", mode: 0o750 };
  return [root, ...nodes].map((node) => {
    const kind = node.kind ?? "file";
    return {
      path: node.path,
      kind,
      mode: node.mode ?? (kind === "directory" ? 0o755 : 0o644),
      uid: node.uid ?? 10001,
      gid: node.gid ?? 10001,
      size: kind === "file" ? bytesOf(node).length : 0,
      mtimeNs: node.mtimeNs ?? MTIME,
      ctimeNs: node.mtimeNs ?? MTIME,
      inode: "1",
      ...(kind === "symlink" && { target: node.target ?? "" }),
    };
  });
}

/** A tar of the state directory as `tar -c .` makes it. */
export function aTar(nodes: readonly Node[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const byPath = new Map(nodes.map((node) => [node.path, node]));
  for (const entry of aManifest(nodes)) {
    const node = byPath.get(entry.path);
    const content = node && entry.kind === "file" ? bytesOf(node) : new Uint8Array(0);
    parts.push(headerOf({ ...entry, path: entry.path === "" ? "." : `./${entry.path}`, target: entry.target ?? "" }));
    parts.push(content, new Uint8Array(padded(content.length) - content.length));
  }
  parts.push(END);
  return Buffer.concat(parts);
}

export function random(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65536)));
  return bytes;
}

export async function expectOk<T>(answer: Promise<Outcome<T>>): Promise<T> {
  const outcome = await answer;
  if (!outcome.ok) throw new Error(`${outcome.failure.code}: ${outcome.failure.detail}`);
  return outcome.value;
}

/** One tenant's container of one epoch, as the gateway and the Vault see it. */
export class Container {
  readonly tenantId: string;
  readonly epoch: Epoch;
  readonly incarnation: string;

  constructor(tenantId: string, number = 1, incarnation = unique("c")) {
    this.tenantId = tenantId;
    this.epoch = epoch(number);
    this.incarnation = incarnation;
  }

  get vault() {
    return vaultOf(this.tenantId);
  }
  get actor() {
    return { epoch: this.epoch, incarnation: this.incarnation };
  }

  fence() {
    return this.vault.fence(this.epoch, this.incarnation);
  }

  save(saveId = unique("save")): SaveRef {
    return { ...this.actor, saveId };
  }

  /** A request from inside the container. `accessKey: null` sends none. */
  async fetch(path: string, init: RequestInit = {}, accessKey: string | null = ACCESS_KEY): Promise<Response> {
    const props: StorageProps = { ...this.actor, tenantId: this.tenantId, accessKeyId: ACCESS_KEY, poolId: "kit" };
    const gateway = (
      exports as unknown as { StorageGateway: (options: { props: StorageProps }) => Fetcher }
    ).StorageGateway({ props });
    const headers = new Headers(init.headers);
    if (accessKey !== null) headers.set("x-boilerhouse-access-key", accessKey);
    return gateway.fetch(`http://sink.internal${path}`, { ...init, headers });
  }

  putBundle(tar: Uint8Array): Promise<Response> {
    return this.fetch("/.bundle/staging.tar", { method: "PUT", body: tar });
  }

  /** The whole of a save that sends one tar. */
  async saveAll(
    nodes: readonly Node[],
    options: { force: boolean; saveId?: string } = { force: false },
  ): Promise<Outcome<Committed>> {
    const save = this.save(options.saveId);
    const opened = await this.vault.open(save, aManifest(nodes));
    if (!opened.ok) return opened;
    if (opened.value.how === "done") return opened.value.outcome;
    if (opened.value.how !== "unchanged") {
      const sent = await this.putBundle(aTar(nodes));
      if (sent.status !== 200) throw new Error(`bundle: ${sent.status} ${await sent.text()}`);
    }
    return this.vault.commit(save, options);
  }
}

/** A container of a fresh tenant, fenced at epoch 1. */
export async function aContainer(): Promise<Container> {
  const container = new Container(unique("tenant"));
  await expectOk(container.fence());
  return container;
}

/** A container with a save open, ready for puts. */
export async function saving(): Promise<Container> {
  const container = await aContainer();
  await expectOk(container.vault.open(container.save(), aManifest([{ path: "x", content: "x" }])));
  return container;
}

export const md5 = (bytes: Uint8Array | string, as: "hex" | "base64" = "hex"): string =>
  createHash("md5").update(bytes).digest(as);

export const put = (
  container: Container,
  key: string,
  body: Uint8Array | string,
  headers: Record<string, string> = {},
): Promise<Response> => container.fetch(`/state/${key}?x-id=PutObject`, { method: "PUT", body, headers });

/** Status and S3 code of a refusal. */
export const errorOf = async (response: Response): Promise<[number, string | null]> => [
  response.status,
  textOf(await response.text(), "Code"),
];

export async function keysOf(container: Container, query = ""): Promise<string[]> {
  const response = await container.fetch(`/state?list-type=2&${query}`);
  return [...elements(await response.text(), "Contents")].map((content) => textOf(content, "Key") ?? "");
}

export const r2Keys = async (container: Container): Promise<string[]> =>
  (await env.BUCKET.list({ prefix: `tenants/${container.tenantId}/objects/` })).objects.map((object) => object.key);
