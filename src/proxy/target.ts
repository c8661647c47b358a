import type { Config } from "../config.ts";
import { parseTenantId, RESERVED_HOST_LABELS, SLUG, type TenantId } from "../ids.ts";
import type { Exposure } from "./internal.ts";

/** Whom a URL is for. */
export type Target =
  | SettledTarget
  /** A host that only the registry knows, if anybody does; `otherwise` when it does not. */
  | { kind: "elsewhere"; host: string; path: string; otherwise: SettledTarget };

/** `label`: a hashed host label, whose tenant only the registry knows. */
export type SettledTarget =
  | { kind: "platform" }
  | { kind: "tenant"; tenantId: TenantId; exposure: Exposure; path: string }
  | { kind: "label"; label: string; path: string }
  | { kind: "nobody" }
  | { kind: "bad-tenant-id" };

const HASHED_LABEL = /^t-[a-z2-7]{20}$/;

const LOCAL_HOSTS = new Set(["localhost", "127.0.0.1", "[::1]"]);
const DOMAIN = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/;

/** The two names that say which hosts are ours. */
export type Hosts = Pick<Config, "tenantDomain" | "publicUrl">;

/** Pure. `path` starts with `/`, as the client wrote it, and includes the query. */
export function targetOf(url: URL, hosts: Hosts): Target {
  const host = url.hostname;
  if (isPlatform(host, hosts)) return onPlatform(url);
  if (isUnder(host, hosts.tenantDomain)) return hostTarget(labelOf(host, hosts), url.pathname + url.search);
  // Without PUBLIC_URL nobody said which hosts are the platform's, so any that no tenant has is.
  const otherwise: SettledTarget = hosts.publicUrl === null ? onPlatform(url) : { kind: "nobody" };
  return isDomain(host) ? { kind: "elsewhere", host, path: url.pathname + url.search, otherwise } : otherwise;
}

/** Whether the API answers at this host, whatever is registered. Pure. */
export function isPlatform(host: string, { tenantDomain, publicUrl }: Hosts): boolean {
  if (LOCAL_HOSTS.has(host) || (publicUrl !== null && new URL(publicUrl).hostname === host)) return true;
  return isUnder(host, tenantDomain) && RESERVED_HOST_LABELS.has(labelOf(host, { tenantDomain }));
}

/** A full name in lower case, as DNS has it: no address, no single word. Pure. */
export const isDomain = (host: string): boolean => DOMAIN.test(host);

/** Pure. */
export const isUnder = (host: string, tenantDomain: string): boolean => host.endsWith(`.${tenantDomain}`);

const labelOf = (host: string, { tenantDomain }: Pick<Hosts, "tenantDomain">): string =>
  host.slice(0, -tenantDomain.length - 1);

const onPlatform = (url: URL): SettledTarget =>
  url.pathname.startsWith("/t/") ? pathTarget(url) : { kind: "platform" };

function hostTarget(label: string, path: string): SettledTarget {
  if (HASHED_LABEL.test(label)) return { kind: "label", label, path };
  if (!SLUG.test(label) || label.startsWith("xn--")) return { kind: "nobody" };
  const tenantId = parseTenantId(label);
  return tenantId ? { kind: "tenant", tenantId, exposure: "host", path } : { kind: "nobody" };
}

function pathTarget(url: URL): SettledTarget {
  const end = url.pathname.indexOf("/", 3);
  const segment = url.pathname.slice(3, end === -1 ? undefined : end);
  const tenantId = parseTenantId(decode(segment));
  if (!tenantId) return { kind: "bad-tenant-id" };
  const path = (end === -1 ? "/" : url.pathname.slice(end)) + url.search;
  return { kind: "tenant", tenantId, exposure: "path", path };
}

/** Empty, which is no tenant's id, for a segment that is not percent-encoded UTF-8. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return "";
  }
}
